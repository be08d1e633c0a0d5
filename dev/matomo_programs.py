"""Matomo's programs: the machine's PHP and MariaDB; Matomo and its libraries."""

import os
import re
import shutil
from pathlib import Path

import machine
from machine import DEV, Trouble, say

HERE = Path(__file__).resolve().parent / "matomo"
HOME = DEV / "matomo"
# Matomo finds files by patterns and PHP has lists of folders: not every name will do.
PLAIN = re.fullmatch(r"[\w/ .,+=@~-]+", str(HOME))
PREFIX = (HOME if PLAIN else machine.fallback_dir()) / "matomo-prefix"
APP = PREFIX / "usr/share/matomo"

SUITE = "trixie"
PACKAGES = """
    matomo
    less.php libphp-phpmailer matomo-component-ini matomo-php-tracker
    matomo-referrer-spam-list matomo-searchengine-and-social-list php-composer-ca-bundle
    php-composer-semver php-di php-di-invoker php-jshrink 
    php-laravel-serializable-closure
    php-matomo-component-cache php-matomo-component-decompress
    php-matomo-component-network php-matomo-device-detector php-matomo-doctrine-cache
    php-monolog php-pear php-psr-container php-psr-event-dispatcher php-psr-log
    php-sparkline php-spyc php-symfony-console php-symfony-deprecation-contracts
    php-symfony-error-handler php-symfony-event-dispatcher
    php-symfony-event-dispatcher-contracts php-symfony-http-foundation
    php-symfony-http-kernel php-symfony-monolog-bridge php-symfony-process
    php-symfony-service-contracts php-symfony-string php-symfony-var-dumper php-tcpdf
    php-twig
    libjs-jquery libjs-jquery-ui libjs-jquery-mousewheel libjs-jquery-scrollto
    libjs-mousetrap libjs-raphael libjs-sprintf-js
""".split()

PHP_EXTENSIONS = ["curl", "gd", "intl", "mbstring", "pdo_mysql", "xml"]
PHP_PACKAGES = "php-cli php-curl php-gd php-intl php-mbstring php-mysql php-xml".split()
MARIADB_PACKAGES = ["mariadb-server-core", "mariadb-client-core"]


def install():
    """Install PHP with its extensions, and MariaDB, unless they are there already."""
    code = "exit(array_filter($argv, 'extension_loaded') == $argv ? 0 : 1);"
    check = ["php", "-r", f"array_shift($argv); {code}", "--", *PHP_EXTENSIONS]
    if not shutil.which("php") or machine.run(check).returncode:
        machine.apt_install(PHP_PACKAGES)
    if not sbin("mariadbd") or not sbin("mariadb-install-db"):
        machine.apt_install(MARIADB_PACKAGES)


def sbin(program):
    """Return the path of a program that may not be on an ordinary account's PATH."""
    return shutil.which(
        program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
    )


def php():
    """Return the start of a command that runs a PHP script with Matomo's settings."""
    # A scan folder without a name is the machine's own: its extensions stay.
    return ["env", f"PHP_INI_SCAN_DIR=:{PREFIX}/ini", f"MATOMO_PREFIX={PREFIX}", "php"]


def unpack(stop):
    """Matomo and its libraries in PREFIX, their absolute paths led there.

    :param stop: ends the servers, called before what they run on is removed
    """
    place, ready = HOME / "place", PREFIX / ".ready"
    if place.exists() and place.read_text() != str(PREFIX):
        say("    The checkout was moved: Matomo is unpacked anew.")
        stop()
        shutil.rmtree(PREFIX, ignore_errors=True)
    PREFIX.parent.mkdir(mode=0o711, exist_ok=True)
    if PREFIX.parent.lstat().st_uid != os.geteuid():
        raise Trouble(f"{PREFIX.parent} belongs to somebody else: remove it.")
    PREFIX.mkdir(exist_ok=True)
    place.write_text(str(PREFIX))
    (PREFIX / "ini").mkdir(exist_ok=True)
    shutil.copy(HERE / "php.ini", PREFIX / "ini")
    wanted = machine.digest(*PACKAGES)
    if ready.exists() and ready.read_text() == wanted:
        return
    machine.fetch_debian(SUITE, PACKAGES, PREFIX)
    # All stand right behind a quote: a path that was led there already does not match.
    absolute = re.compile(rb"'(/usr/share/(?:php|matomo)|/var/cache/matomo)\b")
    for script in (PREFIX / "usr/share").rglob("*.php"):
        if script.is_file():
            code = script.read_bytes()
            changed = absolute.sub(rb"'%b\1" % bytes(PREFIX), code)
            if changed != code:
                script.write_bytes(changed)
    (PREFIX / "var/cache/matomo/tmp").mkdir(parents=True, exist_ok=True)
    # The archiver starts Matomo by this name, from the console.
    index = APP / "index.php"
    index.unlink(missing_ok=True)
    index.symlink_to("public/index.php")
    ready.write_text(wanted)
