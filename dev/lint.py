"""Style and form of the checkout, without running it; pyproject.toml has the rules."""

import ast
import os
import re
import shutil
from pathlib import Path

import environments
import machine

ADDON = "matomo_order_tracking"
# Not part of the addon that Odoo loads, so OCA's rules for addons do not fit them.
NOT_THE_ADDON = ("dev/", ".ci/", "Makefile", "pyproject.toml")
# All of OCA's rules but these.
NOT_OURS = [
    "manifest-required-author",  # The addon is not the association's.
    "missing-readme",  # The README is Markdown, which the code's host shows, too.
]
ODOO_RULES = [
    "--disable=all",
    "--enable=odoolint",
    f"--disable={','.join(NOT_OURS)}",
]
NOT_OURS_EITHER = [
    "prefer-readme-rst",  # As above.
    "file-not-used",  # Odoo finds the icon and the page of the Apps menu by name.
]
OCA_RULES = [f"--disable={','.join(NOT_OURS_EITHER)}"]
PRETTY = {".css", ".js", ".mjs", ".scss", ".xml", ".yaml", ".yml"}

# What Odoo 19 no longer knows, and no linter finds: the files, the words, the remedy.
OUTDATED = [
    (".py", r"\b_sql_constraints\b", "models.Constraint"),
    (".py", r"\bodoo\.osv\b|import osv\b", "odoo.fields.Domain"),
    (".py", r"""\btype=["']json["']""", 'type="jsonrpc"'),
    (".py .xml .csv", r"\bgroups_id\b", "group_ids"),
    (".xml", r"<group\b[^>]*\bexpand=", "a search view's <group> takes no attribute"),
    (".xml", r"</?tree\b", "<list>"),
    (".xml", r"\b(attrs|states)=", "invisible=, readonly=, required="),
    (".xml", r"\bt-(esc|raw)=", "t-out="),
    (
        ".xml",
        r"""model="res\.groups"(?:(?!</record>).)*name="category_id\"""",
        "privilege_id of res.groups",
    ),
]


def main():
    """Run all checks, whatever the first ones find; 1 if there are findings."""
    files = _files()
    checks = [_ruff, _outdated, _tests, _addon, _pretty]
    results = []
    for check in checks:
        with machine.step(check.__doc__):
            results.append(check(files))
    machine.say("No findings." if all(results) else "There are findings, see above.")
    return 0 if all(results) else 1


def rewrite():
    """Write the files the way the checks want them."""
    files = _files()
    with machine.step("Rewrite"):
        _passes("ruff", "check", "--fix", machine.ROOT)
        _passes("ruff", "format", machine.ROOT)
        _repair(files)
        if pretty := _of_kind(files, PRETTY):
            _node("prettier", "--write", "--log-level=warn", *pretty)


def _files():
    """The checkout's own files: those git knows, and new ones it does not ignore."""
    listed = machine.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=machine.ROOT,
        capture_output=True,
        trouble="git cannot list the files:",
    ).stdout.split("\0")
    return [name for name in listed if name and (machine.ROOT / name).is_file()]


def _of_kind(files, endings):
    return [name for name in files if Path(name).suffix in endings]


def _tool(name):
    return environments.python("lint").with_name(name)


def _passes(tool, *arguments, cwd=machine.ROOT):
    """Whether one of the Python tools finds nothing; it speaks for itself."""
    env = {
        **os.environ,
        "PATH": f"{_tool(tool).parent}{os.pathsep}{os.environ['PATH']}",
        "RUFF_CACHE_DIR": str(machine.folder("ruff")),
        "PYLINTHOME": str(machine.folder("pylint")),
    }
    return machine.run([_tool(tool), *arguments], cwd=cwd, env=env).returncode == 0


# ---- The checks ----------------------------------------------------------------------


def _ruff(files):
    """ruff: rules and format"""
    rules = _passes("ruff", "check", "--quiet", machine.ROOT)
    return _passes("ruff", "format", "--check", "--quiet", machine.ROOT) and rules


def _outdated(files):
    """Words that Odoo 19 no longer knows"""
    clean = True
    for name in files:
        if name.startswith(NOT_THE_ADDON):
            continue
        for endings, words, remedy in OUTDATED:
            if Path(name).suffix not in endings.split():
                continue
            text = (machine.ROOT / name).read_text()
            for found in re.finditer(words, text, re.S):
                line = text.count("\n", 0, found.start()) + 1
                word = found[0].split("\n")[0]
                machine.say(f"{name}:{line}: `{word}` is outdated: {remedy}")
                clean = False
    return clean


def _tests(files):
    """Test modules that Odoo's own runner does not find"""
    tree = ast.parse((machine.ROOT / "tests" / "__init__.py").read_text())
    named = {
        "/".join(filter(None, ["tests", node.module, f"{alias.name}.py"]))
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    missing = [
        name
        for name in files
        if re.fullmatch(r"tests/(?!unit/|addons/)(.+/)?test_\w+\.py", name)
        and name not in named
    ]
    for name in missing:
        machine.say(f"{name}: Odoo does not find it: import it in tests/__init__.py")
    return not missing


def _addon(files):
    """pylint-odoo and OCA's checks of the module and its translations"""
    addon = export(machine.folder("export"))
    if not (addon / "__manifest__.py").exists():
        raise machine.Trouble("There is no addon here: __manifest__.py is missing.")
    settings = [f"--rcfile={machine.ROOT / 'pyproject.toml'}", "--score=n"]
    results = [
        _passes("pylint", *settings, *ODOO_RULES, ADDON, cwd=addon.parent),
        _passes("oca-checks-odoo-module", *OCA_RULES, ADDON, cwd=addon.parent),
    ]
    if translations := sorted(addon.glob("i18n/*.po*")):
        results.append(_passes("oca-checks-po", *translations, cwd=addon.parent))
    return all(results)


def export(top):
    """Make `top` hold the addon alone, under its own name; the addon's folder there.

    OCA's checks check nothing at all in an addon that is itself the top of a git
    checkout, and Odoo's export of its words reads whatever else lies in one.
    """
    shutil.rmtree(top)
    for name in _files():
        if not name.startswith(NOT_THE_ADDON):
            target = top / ADDON / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(machine.ROOT / name, target)
    return top / ADDON


def _repair(files):
    """Let OCA's checks mend what they can, in the copy, and bring that home."""
    addon = export(machine.folder("export"))
    _passes("oca-checks-odoo-module", "--fix", *OCA_RULES, ADDON, cwd=addon.parent)
    for copy in addon.rglob("*"):
        original = machine.ROOT / copy.relative_to(addon)
        if copy.is_file() and copy.read_bytes() != original.read_bytes():
            shutil.copyfile(copy, original)


def _pretty(files):
    """prettier and eslint: XML, JavaScript, styles"""
    results = []
    if pretty := _of_kind(files, PRETTY):
        results.append(_node("prettier", "--check", "--log-level=warn", *pretty))
    if scripts := _of_kind(files, {".js", ".mjs"}):
        rules = _node_home() / "eslint.config.mjs"
        results.append(_node("eslint", f"--config={rules}", *scripts))
    return all(results)


# ---- Node's tools --------------------------------------------------------------------


def _node_home():
    return machine.DEV / "node"


def _node(tool, *arguments):
    """Whether one of Node's tools, installed when missing, finds nothing."""
    home = _node_home()
    with machine.alone("node"):
        _install_node_tools(home)
    modules = home / "node_modules"
    if tool == "prettier":
        plugin = modules / "@prettier/plugin-xml/src/plugin.js"
        settings = home / "package.json"
        arguments = [f"--config={settings}", f"--plugin={plugin}", *arguments]
    program = modules / ".bin" / tool
    return machine.run([program, *arguments], cwd=machine.ROOT).returncode == 0


def _install_node_tools(home):
    here = Path(__file__).parent
    home.mkdir(exist_ok=True)
    shutil.copy(here / "eslint.config.mjs", home)
    wanted = (here / "package.json").read_text()
    stamp = home / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not shutil.which("npm"):
        machine.apt_install(["npm"])
    shutil.copy(here / "package.json", home)
    with machine.step("Install prettier and eslint"):
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        machine.run(
            ["npm", "install", *quiet],
            cwd=home,
            trouble="npm failed: is the network up?",
        )
    stamp.write_text(wanted)
