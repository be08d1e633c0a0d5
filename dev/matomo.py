"""The real Matomo of the development set-up, with one shop site, on a port of its own.

Matomo and its PHP libraries are Debian packages unpacked into DEV, never installed;
PHP and MariaDB are the machine's own. `python3 dev/matomo.py` starts it all and prints
the logins.
"""

import contextlib
import json
import os
import pwd
import re
import secrets
import shutil
import sys
import tempfile
import urllib.request

import machine
import matomo_programs
from machine import DEV, Trouble, say, step
from matomo_programs import DEFAULT, HERE, app, home, php, prefix, sbin, suite, version

SITE = {
    "name": "Demo shop",
    "urls": ["http://localhost"],
    "currency": "USD",
    "timezone": "Europe/Brussels",
}


# ---- Places, for the Matomo that is chosen now


def answer_path():
    """Return the file that says how to reach Matomo."""
    return DEV / f"{home().name}.json"


def _data():
    return home() / "mariadb"


def _provisioned():
    return _data() / "provisioned"


def _config():
    return app() / "config/config.ini.php"


def _pristine():
    """Return where the configuration is kept as set up; start() goes back to it."""
    return home() / "config.ini.php"


def _database_server():
    return f"{home().name}-mariadb"


def _web_server():
    return f"{home().name}-web"


# ---- Public


def start():
    """Set up what is missing, start MariaDB and Matomo, and say how to reach them.

    Returns what answer_path() then holds. The configuration is put back as it was set
    up, so a test's change never stays. A suite other than the default one moves: if its
    Matomo never ran here and cannot be set up, that is said, and the default Matomo is
    chosen for this process and its children.
    """
    if suite() == DEFAULT or _provisioned().exists():
        return _start()
    try:
        return _start()
    except Trouble as trouble:
        stop()
        say(f"    The Matomo of Debian {suite()} cannot be set up here: {trouble}")
        say(f"    Going on with the Matomo of Debian {DEFAULT} instead.")
    os.environ["MATOMO"] = DEFAULT
    return _start()


def _start():
    with machine.alone(home().name):
        home().mkdir(parents=True, exist_ok=True)
        matomo_programs.install()
        matomo_programs.unpack(stop)
        _start_mariadb()
        _provision()
        port = machine.free_port(_web_server())
        _configure(port)
        _start_web(port)
        say(f"    Matomo {version()} of Debian {suite()} is ready")
        return _answer(port)


def stop():
    """Stop Matomo and its MariaDB."""
    machine.stop(_web_server())
    machine.stop(_database_server())


def stop_mariadb():
    """Take the database away from a running Matomo; restart_mariadb() ends it."""
    machine.stop(_database_server())


def restart_mariadb():
    """Start MariaDB again, stopping it first if it runs."""
    machine.stop(_database_server())
    _start_mariadb()
    set_config("database", "port", machine.free_port(_database_server()))
    _answer(machine.free_port(_web_server()))


def info():
    """Return what start() returned last; that need not be running now."""
    try:
        return json.loads(answer_path().read_text())
    except FileNotFoundError:
        raise Trouble("Matomo is not set up: run python3 dev/matomo.py") from None


def set_config(section, key, value):
    """Set a value (a list for `key[]`) of the running Matomo's configuration.

    None takes the setting away, so that Matomo's default holds. Returns what was.
    """
    text, former = _with_setting(_config().read_text(), section, key, value)
    _write(_config(), text)
    return former


def query(sql):
    """Return the rows of an SQL statement on Matomo's tables (`matomo_…`), as dicts."""
    task = json.dumps({"database": _database(), "sql": sql})
    done = machine.run(
        [*php(), HERE / "query.php"], input=task, capture_output=True, stdin=None
    )
    if done.returncode:
        raise Trouble(f"Matomo's database refused the statement: {done.stderr.strip()}")
    return json.loads(done.stdout)


def unlock():
    """Forget the wrong tokens that were tried: after 20 Matomo locks the sender out."""
    query("TRUNCATE matomo_brute_force_log")


# ---- Secrets


def _secrets():
    """Return passwords, tokens and the salt: made once, readable by this account."""
    path = home() / "secrets.json"
    if not path.exists():
        names = "salt database admin odoo analyst admin_token odoo_token".split()
        _write(path, json.dumps({name: secrets.token_hex(16) for name in names}))
    return json.loads(path.read_text())


def _database():
    return {
        "host": "127.0.0.1",
        "port": machine.free_port(_database_server()),
        "user": "matomo",
        "password": _secrets()["database"],
        "name": "matomo",
    }


def _users():
    """Who manages Matomo, who tracks, and who looks at the reports."""
    kept = _secrets()
    return [
        {
            "login": login,
            "password": kept[login],
            "access": access,
            "token": kept.get(f"{login}_token"),
        }
        for login, access in [
            ("admin", "superuser"),
            ("odoo", "write"),
            ("analyst", "view"),
        ]
    ]


def _write(path, text):
    """Write a file, whole or not at all, readable by this account only."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


# ---- MariaDB


def _start_mariadb():
    """Start MariaDB with Matomo's database, on a loopback port."""
    account = pwd.getpwuid(os.geteuid()).pw_name
    if not _data().exists():
        with step("Create Matomo's database server"):
            _create_mariadb(account)
    database = _database()
    # Run at every start, before the first client is let in.
    init = home() / "init.sql"
    user = f"'{database['user']}'@'127.0.0.1'"
    _write(
        init,
        f"CREATE DATABASE IF NOT EXISTS {database['name']}"
        " CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;\n"
        f"CREATE OR REPLACE USER {user} IDENTIFIED BY '{database['password']}';\n"
        f"GRANT ALL ON {database['name']}.* TO {user};\n",
    )
    machine.start(
        _database_server(),
        [
            sbin("mariadbd"),
            "--no-defaults",
            f"--user={account}",
            f"--datadir={_data()}",
            f"--init-file={init}",
            "--bind-address=127.0.0.1",
            f"--port={database['port']}",
            # Both in the data folder: a socket's full path may be too long.
            "--socket=mariadb.sock",
            "--pid-file=mariadb.pid",
            "--skip-name-resolve",
            "--max-allowed-packet=64M",
            # A commit survives the end of this process, not the end of the machine.
            "--innodb-flush-log-at-trx-commit=2",
            "--skip-innodb-doublewrite",
        ],
        ready=lambda: machine.answers(database["port"]),
    )


def _create_mariadb(account):
    """Create the server's files, whole or not at all."""
    part = _data().with_name("mariadb.part")
    shutil.rmtree(part, ignore_errors=True)
    # Made elsewhere: the script that does it fails if there is a space in the path.
    with tempfile.TemporaryDirectory() as scratch:
        machine.run(
            [
                sbin("mariadb-install-db"),
                "--no-defaults",
                f"--user={account}",
                f"--datadir={scratch}/mariadb",
                "--skip-test-db",
                "--auth-root-authentication-method=socket",
                f"--auth-root-socket-user={account}",
            ],
            capture_output=True,
            trouble="MariaDB could not create its files:",
        )
        shutil.move(f"{scratch}/mariadb", part)
    part.replace(_data())


# ---- Configuration


def _settings():
    """Return our part of config.ini.php, as (section, key, value)."""
    database = _database()
    settings = {
        "database": {
            "host": database["host"],
            "port": database["port"],
            "username": database["user"],
            "password": database["password"],
            "dbname": database["name"],
            "tables_prefix": "matomo_",
            "charset": "utf8mb4",
            "collation": "utf8mb4_general_ci",
        },
        "General": {
            "salt": _secrets()["salt"],
            # Reports show an order at once; those of today after two seconds.
            "enable_browser_archiving_triggering": 1,
            **{
                f"time_before_{period}_archive_considered_outdated": 1
                for period in ("today", "week", "month", "year", "range")
            },
            # It talks to nobody.
            "enable_internet_features": 0,
            "enable_auto_update": 0,
            "emails_enabled": 0,
        },
        # A tracking request does no housekeeping.
        "Tracker": {"scheduled_tasks_min_interval": 0},
    }
    return [
        (section, key, value)
        for section, values in settings.items()
        for key, value in values.items()
    ]


def _provision():
    """Create Matomo's tables, site and users, as its web installer would."""
    ready = _provisioned()
    wanted = machine.digest(
        version(),
        (HERE / "provision.php").read_text(),
        SITE,
        _settings(),
    )
    if ready.exists() and ready.read_text() == wanted and _pristine().exists():
        return
    with step("Set up Matomo's tables, site and users"):
        if _pristine().exists():
            text = _pristine().read_text()
        else:
            text = "; <?php exit; ?> DO NOT REMOVE THIS LINE\n"
        for setting in _settings():
            text, _ = _with_setting(text, *setting)
        _write(_config(), text)
        task = json.dumps({"site": SITE, "users": _users()})
        machine.run(
            [*php(), HERE / "provision.php"],
            input=task,
            stdin=None,
            capture_output=True,
            trouble="Matomo could not be set up:",
        )
        # Matomo has added its plugins to it.
        _write(_pristine(), _config().read_text())
        ready.write_text(wanted)


def _configure(port):
    """Write the configuration as set up, with the present ports."""
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
    text, _ = _with_setting(_pristine().read_text(), "General", "trusted_hosts", hosts)
    text, _ = _with_setting(text, "database", "port", _database()["port"])
    if not _config().exists() or _config().read_text() != text:
        _write(_config(), text)


def _with_setting(text, section, key, value):
    """Return an INI text with one setting changed, and the value it had, or None."""
    lines = text.splitlines()
    header = f"[{section}]"
    if header not in lines:
        lines += [header]
    first = lines.index(header) + 1
    last = first
    while last < len(lines) and not lines[last].startswith("["):
        last += 1
    mine = re.compile(rf'{re.escape(key)}(\[\])?\s*=\s*"?(.*?)"?\s*$')
    found = list(filter(None, map(mine.match, lines[first:last])))
    former = [match[2] for match in found] or None
    if found and not found[0][1]:
        former = former[-1]
    if value is None:
        added = []
    elif isinstance(value, list):
        added = [f'{key}[] = "{part}"' for part in value]
    else:
        added = [f'{key} = "{value}"']
    others = [line for line in lines[first:last] if not mine.match(line)]
    lines[first:last] = added + others
    return "\n".join(lines) + "\n", former


# ---- The web server


def _start_web(port):
    """Start PHP's own web server on Matomo's public folder, four requests at a time."""
    environment = dict(part.split("=", 1) for part in php()[1:-1])
    machine.start(
        _web_server(),
        ["php", "-S", f"127.0.0.1:{port}", "-t", app() / "public"],
        env={**environment, "PHP_CLI_SERVER_WORKERS": "4"},
        cwd=app(),
        ready=lambda: _is_matomo(port),
    )
    if not _is_matomo(port):
        log = machine.log_path(_web_server())
        raise Trouble(
            f"Matomo runs but does not answer: see {log}, or stop it and start again."
        )


def _is_matomo(port):
    """Return whether Matomo's tracker answers there."""
    address = f"http://127.0.0.1:{port}/matomo.php"
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(address, timeout=20) as page,
    ):
        return b"Matomo" in page.read()
    return False


def _answer(port):
    """Return what others need to know, and write it to answer_path()."""
    users = {user["login"]: user for user in _users()}
    answer = {
        "url": f"http://127.0.0.1:{port}/",
        "idsite": 1,
        "token": users["odoo"]["token"],
        "write_login": "odoo",
        "write_password": users["odoo"]["password"],
        "superuser_token": users["admin"]["token"],
        "superuser_login": "admin",
        "superuser_password": users["admin"]["password"],
        "login": "analyst",
        "password": users["analyst"]["password"],
        "database": _database(),
        "php": php(),
        "console": [*php(), str(app() / "console")],
        "sdk": str(
            prefix() / "usr/share/php/matomo/matomo-php-tracker/MatomoTracker.php"
        ),
        "version": version(),
    }
    _write(answer_path(), json.dumps(answer, indent=2) + "\n")
    return answer


def main():
    try:
        answer = start()
    except Trouble as trouble:
        sys.exit(f"matomo: {trouble}")
    say(f"Matomo {answer['version']} runs at {answer['url']}")
    say(f"  reports:  {answer['login']} / {answer['password']}")
    say(f"  manager:  {answer['superuser_login']} / {answer['superuser_password']}")
    say(f"  the rest: {answer_path()}")


if __name__ == "__main__":
    main()
