<?php

/**
 * Does what Matomo's web installer does: tables, one site, three users and their tokens.
 *
 * Reads what to make as JSON from the standard input. It can be run again: only what is missing is made.
 */

use Piwik\Access;
use Piwik\Application\Environment;
use Piwik\Date;
use Piwik\DbHelper;
use Piwik\FrontController;
use Piwik\Plugin\Manager;
use Piwik\Plugin\ReportsProvider;
use Piwik\Plugins\SitesManager;
use Piwik\Plugins\UsersManager;
use Piwik\Updater;
use Piwik\Version;

$wanted = json_decode(stream_get_contents(STDIN), true, 8, JSON_THROW_ON_ERROR);

set_exception_handler(function (Throwable $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
});

require getenv('MATOMO_PREFIX') . '/usr/share/matomo/vendor_config.php';
require PIWIK_INCLUDE_PATH . '/core/bootstrap.php';

(new Environment('cli'))->init();

DbHelper::createTables();
if (!(new UsersManager\Model())->getUser('anonymous')) {
    DbHelper::createAnonymousUser();
}
DbHelper::recordInstallVersion();

FrontController::getInstance()->init();
Manager::getInstance()->installLoadedPlugins();

Access::doAsSuperUser(function () use ($wanted) {
    $updater = new Updater();
    $outdated = $updater->getComponentUpdates();
    if ($outdated) {
        $result = $updater->updateComponents($outdated);
        if ($result['errors']) {
            throw new Exception(implode(' ', $result['errors']));
        }
    }
    Updater::recordComponentSuccessfullyUpdated('core', Version::VERSION);

    $site = $wanted['site'];
    $sites = SitesManager\API::getInstance();
    if (!in_array(1, $sites->getAllSitesId())) {
        $sites->addSite(
            $site['name'],
            $site['urls'],
            $ecommerce = 1,
            timezone: $site['timezone'],
            currency: $site['currency']
        );
    }

    $users = UsersManager\API::getInstance();
    $model = new UsersManager\Model();
    foreach ($wanted['users'] as $user) {
        $login = $user['login'];
        if (!$users->userExists($login)) {
            $users->addUser($login, $user['password'], "$login@example.com");
        }
        if ($user['access'] == 'superuser') {
            $model->setSuperUserAccess($login, true);
        } else {
            $users->setUserAccess($login, $user['access'], 1);
        }
        if ($user['token'] && !$model->getUserByTokenAuth($user['token'])) {
            $model->addTokenAuth($login, $user['token'], 'Set-up', Date::now()->getDatetime());
        }
    }

    // A report class that PHP refuses to load would break the reporting API only later.
    (new ReportsProvider())->getAllReports();
});

echo Version::VERSION, "\n";
