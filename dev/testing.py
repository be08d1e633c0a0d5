"""The test suite: pytest, in a fresh database of a real Odoo, beside a real Matomo."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import environments
import machine
import matomo
import translations

import odoo

DATABASE = "mot_test"
CONFIG = "odoo-test"
STANDARD = "mot_test_standard"
CHANNEL = "mot_test_channel"
CHANNEL_ADDON = "matomo_test_channel"


def main(arguments):
    """Set up what is missing and run pytest; return its exit status."""
    with machine.alone("test"):
        machine.together(_install_programs, matomo.start, odoo.template)
        odoo.fresh_database(DATABASE)
        if not _paths(arguments)[0]:
            translations.check(DATABASE)
            _run_third_channel()
        return subprocess.call(
            _pytest(arguments),
            cwd=machine.ROOT,
            env={**os.environ, **_environment()},
            stdin=subprocess.DEVNULL,
        )


def standard():
    """Run with Odoo's own runner what it finds: without Matomo, browser or network.

    What Odoo logs is not looked at: tests that ask for pages make it miss scripts that
    its Debian package lacks. `make test` looks at it.

    :raise machine.Trouble: if a test fails
    """
    with machine.alone("test-standard"):
        _run_in_odoo(STANDARD, odoo.ADDON, "-u")


def _install_programs():
    """Install what tests start: a browser, and Node for the tests of the JavaScript."""
    node = [] if shutil.which("node") else ["nodejs"]
    machine.apt_install(["chromium", *node])


def _run_in_odoo(database, addon, option, **options):
    """Run an addon's tests with Odoo's own runner, in a fresh database; its log.

    :param option: ``-i`` or ``-u``
    :param options: of Odoo's configuration
    :raise machine.Trouble: if a test fails, or there is none
    """
    odoo.fresh_database(database)
    with machine.step(f"Run the tests of {addon} with Odoo's own runner"):
        # fmt: off
        text = odoo.run(
            "server", "-d", database, option, addon,
            f"--test-tags=/{addon}", "--stop-after-init",
            log=database, name=database, max_cron_threads=0, **options,
        )
        # fmt: on
    result = re.findall(r"odoo\.tests\.result: (.*)", text)[-1]
    if not re.search(r"of [1-9]\d* tests", result):
        raise machine.Trouble(f"{addon} has run no test: {result}")
    machine.say(f"    {result}")
    return text


def _run_third_channel():
    """Test an addon that tracks orders of its own, in a database with both."""
    addons = machine.ROOT / "tests" / "addons"
    path = f"{odoo.addons_dir()},{addons}"
    odoo.complain(_run_in_odoo(CHANNEL, CHANNEL_ADDON, "-i", addons_path=path))


def _pytest(arguments):
    addon = odoo.addons_dir() / odoo.ADDON
    paths, options = _paths(arguments)
    # fmt: off
    return [
        environments.python("odoo"), "-P", "-m", "pytest",
        "-p", "odoo_warnings", "-p", "printed",
        # Under its technical name, whatever the checkout's folder is called.
        f"--rootdir={addon}",
        f"--config-file={addon / 'pyproject.toml'}",
        f"--confcutdir={addon}",
        # An addon of its own, in a database of its own.
        f"--ignore={addon / 'tests' / 'addons'}",
        f"--override-ini=cache_dir={machine.folder('pytest')}",
        f"--odoo-config={_config()}",
        f"--odoo-database={DATABASE}",
        "--odoo-log-level=info",
        f"--odoo-extra=logfile={machine.log_path('test')}",
        "--odoo-http",
        *options,
        *(addon / path for path in paths or ["tests"]),
    ]
    # fmt: on


def _config():
    """Return Odoo's configuration file for the tests."""
    # What a test starts shares Odoo's limit, and Chromium needs more than that.
    return odoo.config(CONFIG, max_cron_threads=0, limit_memory_hard=0)


def _paths(arguments):
    """Tell paths in the checkout, perhaps with a test's name, from pytest's options."""
    paths = [
        argument
        for argument in arguments
        if (machine.ROOT / argument.partition("::")[0]).exists()
    ]
    return paths, [argument for argument in arguments if argument not in paths]


def _environment():
    """Return the environment of the tests: where Odoo, Matomo and PostgreSQL are."""
    machine.log_path("test").unlink(missing_ok=True)
    environment = odoo.environment()
    plugins = Path(__file__).with_name("plugin")
    environment["PYTHONPATH"] += f"{os.pathsep}{plugins}"
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(machine.folder("hypothesis"))
    environment["MATOMO_DEV_JSON"] = str(matomo.answer_path())
    return environment
