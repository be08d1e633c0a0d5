"""Python environments, one for each purpose; pyproject.toml pins what is in them."""

import importlib.util
import shutil
import site
import sys

import machine
import tomllib

# Which dependency groups each environment holds, and where it is.
ENVIRONMENTS = {
    "odoo": ("venv", ["odoo-runtime", "test"]),
    "lint": ("venv-lint", ["lint"]),
}


def path(name):
    return machine.DEV / ENVIRONMENTS[name][0]


def pins(name):
    """Return the pinned packages of an environment, with those of included groups."""
    text = (machine.ROOT / "pyproject.toml").read_text()
    groups = tomllib.loads(text)["dependency-groups"]

    def members(group):
        for entry in groups[group]:
            if isinstance(entry, dict):
                yield from members(entry["include-group"])
            else:
                yield entry

    return sorted({pin for group in ENVIRONMENTS[name][1] for pin in members(group)})


def python(name):
    """Return the Python of an environment, after making or updating it if needed."""
    home = path(name)
    stamp = home / ".pins"
    wanted = "\n".join([sys.version, *pins(name)])
    with machine.alone(home.name):
        if not stamp.exists() or stamp.read_text() != wanted:
            with machine.step(f"Install {len(pins(name))} Python packages for {name}"):
                _make(home, pins(name))
                stamp.write_text(wanted)
    return home / "bin" / "python"


def use(name):
    """Let this process import the packages of an environment, whose Python is its own.

    :raise machine.Trouble: if the environment cannot be made
    """
    [packages] = python(name).parents[1].glob("lib/python*/site-packages")
    site.addsitedir(packages)


def _make(home, packages):
    if importlib.util.find_spec("ensurepip") is None:
        machine.apt_install(["python3-venv"])
    shutil.rmtree(home, ignore_errors=True)
    machine.run(
        [sys.executable, "-m", "venv", home],
        cwd="/",
        trouble="Python's venv module failed: install python3-venv.",
    )
    # Python compiles what is used when it is used.
    quiet = ["--disable-pip-version-check", "--no-input", "--no-compile"]
    log = machine.log_path(f"pip-{home.name}")
    with log.open("w") as output:
        machine.run(
            [home / "bin" / "python", "-m", "pip", "install", *quiet, *packages],
            cwd="/",
            stdout=output,
            stderr=output,
            trouble=f"pip failed, is the network up? Its words are in {log}.",
        )
