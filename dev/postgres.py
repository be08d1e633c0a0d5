"""A private PostgreSQL for Odoo: its own cluster, port and password; fast, unsafe."""

import contextlib
import json
import os
import secrets
import shutil
import signal
from pathlib import Path

import machine

NAME = "postgres"
ACCOUNT = "postgres"
ROLE = "odoo"

# Nothing here is worth keeping after a power cut, so it need not wait for the disk.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "4GB",
}
# What makes a commit survive a power cut, as in production.
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def binaries():
    """Return the folder of the newest PostgreSQL server on this machine."""

    def find():
        folders = Path("/usr/lib/postgresql").glob("*/bin")
        known = [path for path in folders if (path / "postgres").exists()]
        known.sort(key=lambda path: float(path.parent.name))
        if not known and (found := shutil.which("postgres")):
            known = [Path(found).resolve().parent]
        return known[-1] if known else None

    if not find():
        machine.apt_install(["postgresql"])
    return find()


def _secrets():
    """The passwords of this cluster; written once it is made."""
    return machine.DEV / "postgres.json"


def dsn():
    """Return how to reach the server: host, port, user, password."""
    kept = json.loads(_secrets().read_text())
    return {
        "host": "127.0.0.1",
        "port": machine.free_port(NAME),
        "user": ROLE,
        "password": kept["password"],
    }


def start():
    """Start the server, made on first use; return its dsn()."""
    with machine.alone(NAME):
        if not machine.running(NAME) or not _secrets().exists():
            _start()
    return dsn()


@contextlib.contextmanager
def durable():
    """Let commits wait for the disk until the block ends, as in production.

    The server is started anew: nobody else may use it meanwhile.
    """
    start()
    _start(DURABLE)
    try:
        yield
    finally:
        # Whoever needs it next starts it as usual.
        stop()


def _start(more_settings=None):
    machine.stop(NAME)
    fresh = not _secrets().exists()
    programs = binaries()
    data = machine.reachable_dir(NAME, ACCOUNT)
    with machine.step("Start PostgreSQL"):
        if fresh:
            owner = {"password": secrets.token_hex(16), "admin": secrets.token_hex(16)}
            _initdb(programs, data, owner["admin"])
        port = machine.free_port(NAME)
        chosen = {**SETTINGS, **(more_settings or {})}
        settings = [f"--{key}={value}" for key, value in chosen.items()]
        machine.start(
            NAME,
            [programs / "postgres", "-D", data, "-p", port, *settings],
            user=ACCOUNT,
            cwd="/",
            ready=lambda: machine.answers(port) and _accepts(programs, port),
            stop_signal=signal.SIGINT,
        )
        if fresh:
            statement = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD "
            _psql(
                f"{statement}'{owner['password']}'",
                {"host": "127.0.0.1", "port": port}
                | {"user": "postgres", "password": owner["admin"]},
            )
            _secrets().touch(0o600)
            _secrets().write_text(json.dumps(owner))


def _initdb(programs, data, password):
    for leftover in data.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    note = data.with_name("initdb-password")
    note.touch(0o600)
    note.write_text(password + "\n")
    if machine.is_root():
        shutil.chown(note, ACCOUNT)
    try:
        machine.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "--no-sync"]
            + ["-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256"]
            + [f"--pwfile={note}"],
            user=ACCOUNT,
            cwd="/",
            capture_output=True,
            trouble="PostgreSQL's initdb failed:",
        )
    finally:
        note.unlink()


def _accepts(programs, port):
    command = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
    return machine.run(command, cwd="/").returncode == 0


def _client(program, *arguments, login=None, **options):
    """Run one of PostgreSQL's client programs against our server."""
    login = login or start()
    env = {
        **os.environ,
        "PGHOST": login["host"],
        "PGPORT": str(login["port"]),
        "PGUSER": login["user"],
        "PGPASSWORD": login["password"],
    }
    return machine.run(
        [binaries() / program, *arguments], env=env, capture_output=True, **options
    )


def _psql(statement, login=None, database="postgres"):
    return _client(
        "psql",
        *("-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database),
        *("-c", statement),
        login=login,
        trouble=f"PostgreSQL refused: {statement.split(' PASSWORD ')[0]}:",
    ).stdout


def query(statement, database="postgres"):
    """Return the rows of a statement, as tuples of strings."""
    rows = _psql(statement, database=database).splitlines()
    return [tuple(row.split("|")) for row in rows]


def databases():
    """Return the names of Odoo's databases."""
    owned = (
        "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = current_user"
    )
    return [name for (name,) in query(owned)]


def create(name, template="template0"):
    """Create a database, as Odoo would, or as a copy of another one."""
    collation = "LC_COLLATE 'C'" if template == "template0" else ""
    query(
        f"CREATE DATABASE \"{name}\" ENCODING 'unicode' {collation} "
        f'TEMPLATE "{template}"'
    )


def drop(name):
    """Drop a database, whoever is connected to it."""
    query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def dump(name):
    """Return the whole database as SQL text, in bytes."""
    return _client(
        "pg_dump",
        *("--no-owner", "-d", name),
        text=False,
        trouble=f"pg_dump of {name} failed.",
    ).stdout


def stop():
    machine.stop(NAME)
