"""The layout of the code: one file per model, and imports that point one way."""

import ast
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the code of each layer may import of the addon, besides itself.
LAYERS = {
    "matomo_api": set(),
    "tools": {"const", "matomo_api"},
    "outbox": {"const", "matomo_api", "tools"},
    "models": {"const", "matomo_api", "tools", "outbox"},
    "wizard": {"const", "matomo_api", "tools", "outbox"},
    "controllers": {"const", "matomo_api", "tools", "outbox"},
}
# Each knows nothing of Odoo.
PURE = ["matomo_api", "outbox/health.py", "outbox/schedule.py"] + [
    f"tools/{name}.py"
    for name in (
        "billing",
        "copies",
        "channels",
        "outside_token",
        "preview",
        "proof",
        "proxies",
        "reconciliation",
        "sales_report",
        "settlement",
        "shopper",
        "user_id",
        "waiting",
    )
]


@cache
def parse(path):
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text())


def sources(*folders):
    """Return ``{path from the root: syntax tree}`` of the Python files in folders."""
    return {
        path.relative_to(ROOT).as_posix(): parse(path)
        for folder in folders
        for path in (
            sorted((ROOT / folder).rglob("*.py"))
            if (ROOT / folder).is_dir()
            else [ROOT / folder]
        )
    }


def models(tree):
    """Yield each class of a file that defines or extends a model, and its name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        values = {
            target.id: ast.literal_eval(statement.value)
            for statement in node.body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name) and target.id in ("_name", "_inherit")
        }
        inherited = values.get("_inherit")
        name = values.get("_name") or inherited
        if name:
            yield name if isinstance(name, str) else name[0], node


def imported(tree):
    """Return the parts of the addon that a file one folder deep imports."""
    return {
        (node.module or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 2
        for alias in node.names
    }


def test_each_model_has_one_file():
    files = defaultdict(list)
    for path, tree in sources("models", "wizard").items():
        for name, _node in models(tree):
            files[name].append(path)
    assert len(files) > 15
    assert {name: paths for name, paths in files.items() if len(paths) > 1} == {}


def test_a_file_has_one_model():
    found = {
        path: [name for name, _node in models(tree)]
        for path, tree in sources("models", "wizard").items()
    }
    assert {path: names for path, names in found.items() if len(names) > 1} == {}


def test_no_method_is_defined_twice():
    twice = {}
    for path, tree in sources("models", "wizard", "outbox", "tools").items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                names = Counter(
                    each.name for each in node.body if isinstance(each, ast.FunctionDef)
                )
                if again := [name for name, count in names.items() if count > 1]:
                    twice[path, node.name] = again
    assert twice == {}


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer):
    wrong = {
        path: extra
        for path, tree in sources(layer).items()
        if (extra := imported(tree) - LAYERS[layer])
    }
    assert wrong == {}


@pytest.mark.parametrize("part", PURE)
def test_decisions_know_no_odoo(part):
    wrong = [
        path
        for path, tree in sources(part).items()
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
        if name.partition(".")[0] == "odoo"
    ]
    assert wrong == []


def test_the_addon_imports_no_development_code():
    wrong = [
        path
        for path, tree in sources(*LAYERS).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").partition(".")[0] in ("dev", "tests")
    ]
    assert wrong == []


# === WHAT THE DOCUMENT SAYS OF THE CODE === #

DOCUMENT = (ROOT / "docs/architecture.md").read_text()
FOLDERS = [*LAYERS, "data", "tests", "tests/unit"]
# What the document names of Odoo's own code and of Matomo's interface.
OTHERS = {"_action_confirm", "_commit_progress", "_id", "safe_eval", "sync_from_ui"}


def quoted(text):
    """Return what a text has between backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def find_file(name):
    """Return the path of a file that the document names, perhaps by its name alone."""
    paths = [ROOT / name, *(ROOT / folder / name for folder in FOLDERS)]
    return next((path for path in paths if path.exists()), None)


def defined(tree):
    """Return the names of functions, classes, fields and constants of a file."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    return names


def test_each_file_of_the_document_exists():
    names = {
        word for word in quoted(DOCUMENT) if re.fullmatch(r"[\w/]+\.(py|xml|sql)", word)
    }
    assert len(names) > 50
    assert [name for name in sorted(names) if not find_file(name)] == []


def test_each_name_of_the_document_is_defined():
    known = OTHERS.union(*map(defined, sources(*LAYERS, "const.py").values()))
    names = {
        word.partition("(")[0].rpartition(".")[2]
        for word in quoted(DOCUMENT)
        if re.fullmatch(r"(?:[\w.]+\.)?(?:_[a-z]\w+|[A-Z]\w+)(?:\([\w, ]*\))?", word)
    }
    assert len(names) > 80
    assert sorted(names - known) == []


def test_each_step_of_the_walks_is_where_it_says():
    """A step is a file and then the functions in it, until the next file."""
    walks = DOCUMENT.partition("## Three walks")[2]
    path, wrong, count = None, [], 0
    for word in quoted(walks):
        if "/" in word:
            path = word
        elif path and path.endswith(".py"):
            count += 1
            if word.rpartition(".")[2] not in defined(parse(ROOT / path)):
                wrong.append(f"{path} {word}")
    assert count > 80
    assert wrong == []


def test_the_walks_pass_as_many_files_as_they_say():
    walks = re.findall(
        r"\((\d+) files\):?\n(.*?)(?=\n#|\nWithin|\Z)",
        DOCUMENT.partition("## Three walks")[2],
        re.DOTALL,
    )
    assert len(walks) == 3
    for count, steps in walks:
        files = {word for word in quoted(steps) if re.fullmatch(r"\w+/\w+\.py", word)}
        assert len(files) == int(count), sorted(files)
