"""What `make` runs: python3 dev/cli.py <command>."""

import os
import shlex
import sys

import machine


def demo():
    """Sell in Odoo and compare with Matomo, on real servers"""
    import environments

    environments.use("odoo")
    from demo import program

    return program.main()


def test():
    """Run the whole test suite, with a real Odoo, Matomo and browser"""
    import testing

    return testing.main(shlex.split(os.environ.get("PYTEST_ARGS", "")))


def test_standard():
    """Run with Odoo's own runner the tests that need nothing but Odoo"""
    import testing

    return testing.standard()


def golden():
    """Write the record of what the addon does, which `make test` compares with"""
    import testing

    os.environ["MATOMO_GOLDEN"] = "write"
    return testing.main(["tests/golden"])


def test_odoo():
    """Run Odoo's own tests without and with the addon, and compare"""
    import suites

    return suites.main(is_whole=bool(os.environ.get("ALL")))


def chaos():
    """Sell while everything breaks; nothing may be lost or sent twice"""
    from chaos import program

    return program.run()


def bench():
    """Measure speed, each figure beside its peer"""
    from bench import program

    return program.run()


def lint():
    """Check style and the addon's form, without running it"""
    import lint as checks

    return checks.main()


def format():
    """Rewrite the files the way `make lint` wants them"""
    import lint as checks

    return checks.rewrite()


def pot():
    """Write the template of the translations from the code"""
    import translations

    return translations.write()


def odoo():
    """Start Odoo alone, with the addon as it is in this checkout"""
    import odoo as server

    address = server.restart()
    machine.say(f"\nOdoo: {address} (login admin, password admin)")


def matomo():
    """Start Matomo alone"""
    import matomo as server

    access = server.start()
    machine.say(
        f"\nMatomo: {access['url']} "
        f"(login {access['superuser_login']}, password {access['superuser_password']})"
    )


def stop():
    """Stop the servers that were started here"""
    machine.stop_all()


def clean():
    """Stop the servers and remove all that was made"""
    machine.clean()


COMMANDS = [
    demo,
    test,
    test_standard,
    golden,
    chaos,
    bench,
    test_odoo,
    lint,
    format,
    pot,
    odoo,
    matomo,
    stop,
    clean,
]


def _name(command):
    return command.__name__.replace("_", "-")


def usage():
    """Say what there is"""
    machine.say("Matomo Order Tracking: what make can do\n")
    for command in COMMANDS:
        machine.say(f"  make {_name(command):<10} {command.__doc__}")
    machine.say(
        "\nVariables\n"
        "  ODOO_PATH=<folder>   an Odoo 19 you have: the folder that holds `odoo`\n"
        "  MATOMO=sid           a newer Matomo beside the default one\n"
        "  PYTEST_ARGS=<words>  for pytest: a file below tests/, -k, -x ...\n"
        "  SEED=<n> ORDERS=<n>  for chaos: an earlier run again; how many orders\n"
        "  ALL=1                for test-odoo: every test, not a selection\n"
        "  BENCH=<name>         for bench: one of them, as drain\n"
        "  SMOKE=1              for bench: a minute, to see that it runs"
    )


def main(arguments):
    commands = {_name(command): command for command in COMMANDS}
    name = arguments[0] if arguments else "help"
    try:
        return commands.get(name, usage)() or 0
    except machine.Trouble as trouble:
        machine.say(f"{trouble}")
    except KeyboardInterrupt:
        machine.say("Interrupted.")
    return 1


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit("These commands need Python 3.11 or newer: make PYTHON=<python> ...")
    sys.exit(main(sys.argv[1:]))
