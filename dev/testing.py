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
# A whole run is two at the same time, each with a database and a server of its own:
# what waits for browsers and for Matomo leaves the processor to the others.
EXTERNAL = "tests/external"
# The exit status of pytest that has found none.
NO_TESTS = 5
STANDARD = "mot_test_standard"
CHANNEL = "mot_test_channel"
CHANNEL_ADDON = "matomo_test_channel"


def main(arguments):
    """Set up what is missing and run pytest; return its exit status."""
    with machine.alone("test"):
        machine.together(_install_programs, matomo.start, odoo.template)
        paths, options = _paths(arguments)
        odoo.fresh_database(DATABASE)
        if paths:
            return _start("test", paths, options).wait()
        odoo.make_bundles(DATABASE)
        odoo.clone(DATABASE, _database("external"))
        return _run_all(options)


def _run_all(options):
    """Run all tests, in two runs at the same time; return the worst exit status.

    :raise machine.Trouble: if a check before the second run fails
    """
    path = machine.log_path("pytest-external")
    ignore = f"--ignore={odoo.addons_dir() / odoo.ADDON / EXTERNAL}"
    with path.open("w") as output:
        external = _start("external", [EXTERNAL], options, stdout=output, stderr=output)
        try:
            translations.check(DATABASE)
            _run_third_channel()
            others = _start("test", ["tests"], [*options, ignore])
            statuses = {others.wait(), external.wait()}
        finally:
            external.terminate()
    print(path.read_text(), flush=True)
    # An option may choose tests of one run only.
    return max(statuses - {NO_TESTS} or statuses)


def _start(name, paths, options, **streams):
    """Start a run of pytest and return its process.

    :param name: ``test`` or ``external``: of its database, its server and its log
    """
    return subprocess.Popen(
        _pytest(name, paths, options),
        cwd=machine.ROOT,
        env={**os.environ, **_environment(name)},
        stdin=subprocess.DEVNULL,
        **streams,
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


def _database(name):
    return DATABASE if name == "test" else f"{DATABASE}_{name}"


def _pytest(name, paths, options):
    addon = odoo.addons_dir() / odoo.ADDON
    # fmt: off
    return [
        environments.python("odoo"), "-P", "-m", "pytest",
        "-p", "odoo_warnings", "-p", "printed", "-p", "times", "-p", "company",
        # Under its technical name, whatever the checkout's folder is called.
        f"--rootdir={addon}",
        f"--config-file={addon / 'pyproject.toml'}",
        f"--confcutdir={addon}",
        # An addon of its own, in a database of its own.
        f"--ignore={addon / 'tests' / 'addons'}",
        f"--override-ini=cache_dir={machine.folder('pytest', name)}",
        f"--odoo-config={_config(name)}",
        f"--odoo-database={_database(name)}",
        "--odoo-log-level=info",
        f"--odoo-extra=logfile={machine.log_path(name)}",
        "--odoo-http",
        *options,
        *(addon / path for path in paths),
    ]
    # fmt: on


def _config(name):
    """Return Odoo's configuration file for the tests."""
    # What a test starts shares Odoo's limit, and Chromium needs more than that.
    return odoo.config(f"odoo-{name}", max_cron_threads=0, limit_memory_hard=0)


def _paths(arguments):
    """Tell paths in the checkout, perhaps with a test's name, from pytest's options."""
    paths = [
        argument
        for argument in arguments
        if (machine.ROOT / argument.partition("::")[0]).exists()
    ]
    return paths, [argument for argument in arguments if argument not in paths]


def _environment(name):
    """Return the environment of the tests: where Odoo, Matomo and PostgreSQL are."""
    machine.log_path(name).unlink(missing_ok=True)
    environment = odoo.environment()
    plugins = Path(__file__).with_name("plugin")
    environment["PYTHONPATH"] += f"{os.pathsep}{plugins}"
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(machine.folder("hypothesis"))
    environment["MATOMO_DEV_JSON"] = str(matomo.answer_path())
    return environment
