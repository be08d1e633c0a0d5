"""A real Odoo 19: its source, its Python packages, its databases and its server."""

import configparser
import hashlib
import os
import re
import shutil
import tempfile
import urllib.request
from pathlib import Path

import environments
import machine
import postgres

ADDON = "matomo_order_tracking"
SERVER = "odoo"
DEMO_DATABASE = "mot_demo"
TEMPLATE_PREFIX = "mot_base_"
INSTALLED_PREFIX = "mot_installed_"
# Folders of the checkout that a database with the addon does not depend on.
NOT_INSTALLED = ("dev", "tests")

# What the addon needs, and what its tests and the demo sell with.
MODULES = """
    website_sale website_sale_loyalty website_sale_collect
    sale_management sale_loyalty sale_mrp payment_demo
    point_of_sale pos_sale pos_sale_loyalty pos_loyalty pos_restaurant pos_discount
    base_automation
""".split()

# Debian's package of Odoo 19 is in the newest suite only. Some of its fonts and scripts
# are links into other packages; the fonts of the stable suite still have these names.
PACKAGES = {
    "sid": ["odoo-19", "libjs-jquery", "libjs-jquery-form", "libjs-underscore"],
    "trixie": [
        "fonts-font-awesome",
        "fonts-inconsolata",
        "fonts-montserrat",
        "fonts-ocr-b",
        "fonts-roboto-unhinted",
    ],
}

# What browsers ask for: {bundle: the website whose styles it has}.
BUNDLES = {
    "web.assets_web": None,
    "web.assets_frontend": 1,
    "web.assets_frontend_lazy": 1,
    "web.assets_frontend_minimal": 1,
}
MAKE_BUNDLES = f"""
for name, website in {BUNDLES}.items():
    params = {{"website_id": website}}
    bundle = env["ir.qweb"]._get_asset_bundle(name, assets_params=params)
    bundle.js()
    bundle.css()
env.cr.commit()
"""

# Translations into all languages are two thirds of it; the other folder is a second,
# incomplete copy of the addons.
LEFT_OUT = ["*.po", "./usr/lib/python3/dist-packages/addons"]


# ---- Odoo itself ---------------------------------------------------------------------


def source():
    """Return the folder of the `odoo` package; fetch it unless ODOO_PATH names one."""
    if given := os.environ.get("ODOO_PATH"):
        path = Path(given).expanduser().resolve()
        path = path.parent if (path / "release.py").exists() else path
        if not _series(path):
            raise machine.Trouble(
                f"ODOO_PATH={given} is no Odoo: name the folder that holds `odoo`."
            )
    else:
        prefix = machine.DEV / "odoo"
        path = prefix / "usr/lib/python3/dist-packages"
        for suite, packages in PACKAGES.items():
            try:
                machine.fetch_debian(suite, packages, prefix, LEFT_OUT)
            except machine.Trouble as trouble:
                raise machine.Trouble(
                    f"{trouble} An Odoo 19 you already have: make … ODOO_PATH=<folder>"
                ) from None
    if _series(path) != "19":
        raise machine.Trouble(
            f"{path} holds Odoo {_series(path)}; this is for Odoo 19."
        )
    return path


def _series(path):
    """Return the main version of the Odoo in a folder, or None."""
    release = path / "odoo" / "release.py"
    if not release.exists():
        return None
    return re.search(r"^version_info = \((\d+)", release.read_text(), re.M)[1]


def version():
    """Return the version of this Odoo."""
    release = (source() / "odoo" / "release.py").read_text()
    numbers = re.search(r"^version_info = \((\d+), (\d+), (\d+)", release, re.M)
    return ".".join(numbers.groups())


def _identity():
    """Return what tells this Odoo from another one: its folder and version."""
    path = source()
    stamp = path.parents[3] / ".packages" / "odoo-19" if len(path.parents) > 3 else None
    if stamp and stamp.exists():
        return stamp.read_text().strip()
    git = machine.run(["git", "-C", path, "rev-parse", "HEAD"], capture_output=True)
    return f"{path} {git.stdout.strip()}"


def addons_dir():
    """Return an addons folder with the checkout under the addon's technical name."""
    link = machine.folder("addons") / ADDON
    if not link.is_symlink() or link.resolve() != machine.ROOT:
        link.unlink(missing_ok=True)
        link.symlink_to(machine.ROOT)
    return link.parent


def filestore(database):
    return machine.folder("data") / "filestore" / database


def config(name=SERVER, **options):
    """Write the configuration file of that name; return its path.

    Each name has its own ports, so that tests and the demo run side by side.
    """
    login = postgres.start()
    parser = configparser.ConfigParser(interpolation=None)
    parser["options"] = {
        "addons_path": addons_dir(),
        "data_dir": machine.folder("data"),
        "db_host": login["host"],
        "db_port": login["port"],
        "db_user": login["user"],
        "db_password": login["password"],
        "http_interface": "127.0.0.1",
        "http_port": machine.free_port(name),
        "gevent_port": machine.free_port(f"{name}-gevent"),
        "list_db": "False",
        "pg_path": postgres.binaries(),
        "workers": "0",
        **options,
    }
    path = machine.DEV / f"{name}.conf"
    path.touch(0o600)
    with path.open("w") as target:
        parser.write(target)
    return path


def environment():
    """Return the environment in which this Odoo's Python runs."""
    return {
        "PYTHONPATH": str(source()),
        "PYTHONPYCACHEPREFIX": str(machine.folder("pycache")),
        # Also where the machine forbids it: each start would compile all of Odoo.
        "PYTHONDONTWRITEBYTECODE": "",
        # Nothing of the person's own settings.
        "HOME": str(machine.folder("home")),
        "PATH": f"{environments.path('odoo') / 'bin'}:{os.environ['PATH']}",
    }


def command(*arguments, name=SERVER, **options):
    """Return the argv that runs Odoo's own command line with our configuration."""
    python = environments.python("odoo")
    # -P: the folder this is called from may hold another `odoo`.
    return [python, "-P", "-m", "odoo", *arguments, "-c", config(name, **options)]


def run(*arguments, log, name=SERVER, code="", **options):
    """Run Odoo once, to its end, with its log in a file; return the log's text.

    :param code: Python for Odoo's shell
    """
    path = machine.log_path(log)
    with path.open("w") as output, tempfile.TemporaryFile("w+") as program:
        program.write(code)
        program.seek(0)
        done = machine.run(
            command(*arguments, name=name, log_level="info", **options),
            env={**os.environ, **environment()},
            stdin=program,
            stdout=output,
            stderr=output,
        )
    text = path.read_text(errors="replace")
    if done.returncode:
        tail = text.splitlines()[-40:]
        raise machine.Trouble("\n".join([*tail, f"Odoo failed; its log is {path}"]))
    return text


# ---- Databases -----------------------------------------------------------------------


def clone(template, name):
    """Make a database, files included, a copy of another one."""
    discard(name)
    postgres.create(name, template)
    if filestore(template).exists():
        # Odoo never changes a stored file, so the copies can share it.
        shutil.copytree(filestore(template), filestore(name), copy_function=os.link)


def discard(name):
    """Drop a database and its files."""
    postgres.drop(name)
    shutil.rmtree(filestore(name), ignore_errors=True)


def template():
    """Return a database with all the addon depends on; made once per Odoo version."""
    machine.together(source, lambda: environments.python("odoo"), postgres.start)
    pins = environments.pins("odoo")
    name = TEMPLATE_PREFIX + machine.digest(_identity(), pins, *MODULES)
    finished = machine.folder("templates") / name
    with machine.alone("template"):
        if finished.exists() and name in postgres.databases():
            return name
        with machine.step(
            "Make the template database: Odoo's shops, without the addon"
        ):
            for old in postgres.databases():
                if old.startswith(TEMPLATE_PREFIX):
                    discard(old)
            postgres.create(name)
            # fmt: off
            run(
                "server", "-d", name, "-i", ",".join(MODULES),
                "--stop-after-init", "--no-http", "--max-cron-threads=0",
                log="template",
            )
            # fmt: on
            finished.touch()
    return name


def fresh_database(name):
    """Make a database with the addon installed; return its name.

    :raise Trouble: if the installation logs a warning
    """
    base = template()
    with machine.alone("installed"):
        installed = _installed(base)
        with machine.step(f"Copy {installed} to {name}"):
            clone(installed, name)
    return name


def make_bundles(database):
    """Make the scripts and styles of Odoo's pages in a database, as Odoo itself does.

    A browser test would make them itself and lose them with its transaction.
    """
    with machine.step("Make the scripts and styles of Odoo's pages"):
        run("shell", "-d", database, "--no-http", log="bundles", code=MAKE_BUNDLES)


def _installed(base):
    """Return a database with the addon installed, made once for each state of it."""
    name = INSTALLED_PREFIX + machine.digest(base, *_installed_code())
    finished = machine.folder("templates") / name
    if finished.exists() and name in postgres.databases():
        return name
    for old in postgres.databases():
        if old.startswith(INSTALLED_PREFIX):
            discard(old)
    with machine.step(f"Install {ADDON} into a copy of {base}"):
        clone(base, name)
        # fmt: off
        text = run(
            "server", "-d", name, "-i", ADDON,
            "--stop-after-init", "--no-http", "--max-cron-threads=0",
            log="install",
        )
        # fmt: on
    complain(text)
    finished.touch()
    return name


def _installed_code():
    """Return what an installed database depends on: names and contents of files."""
    for folder in sorted(machine.ROOT.iterdir()):
        if folder.name.startswith(".") or folder.name in NOT_INSTALLED:
            continue
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            if path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                yield f"{path.relative_to(machine.ROOT)} {content}"


def complain(text):
    """Raise Trouble with the warnings and errors in a log of Odoo's."""
    entries = re.split(r"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ )", text, flags=re.M)
    bad = re.compile(r"\S+ \S+ \d+ (WARNING|ERROR|CRITICAL) ")
    found = [entry.strip() for entry in entries if bad.match(entry)]
    if found:
        raise machine.Trouble("\n".join(["Odoo logged warnings:", *found]))


# ---- The server ----------------------------------------------------------------------


def url(name=SERVER):
    return f"http://127.0.0.1:{machine.free_port(name)}"


def _serves():
    try:
        with urllib.request.urlopen(f"{url()}/web/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def start(database=DEMO_DATABASE, new=False, arguments=()):
    """Start the server on a database, made if missing or `new`; return its address."""
    if new:
        machine.stop(SERVER)
    if new or database not in postgres.databases():
        fresh_database(database)
    if not machine.running(SERVER):
        with machine.step("Start Odoo"):
            machine.start(
                SERVER,
                command("server", "-d", database, "--max-cron-threads=2", *arguments),
                env=environment(),
                ready=_serves,
                timeout=180,
            )
    return url()


def restart(database=DEMO_DATABASE):
    """Start the server anew, with the addon as it is now in the checkout."""
    machine.stop(SERVER)
    known = database in postgres.databases()
    return start(database, arguments=["-u", ADDON] if known else [])


def stop():
    machine.stop(SERVER)
