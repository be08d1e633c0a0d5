"""The tests of the doctor against a real Matomo leave no finding out."""

import ast
from pathlib import Path

from matomo_order_tracking.tools.doctor import LEVELS
from matomo_order_tracking.tools.findings import POINTS

REAL_TEST = Path(__file__).parents[1] / "external" / "test_real_doctor.py"
WRONG = set(LEVELS) - {"good"}
# What only a fault of the addon's own could bring about: Matomo says whether a token
# may read, or why it does not say it.
NEVER = {("reading", "unknown")}
# The level of a sentence that is said for a cause, and words of the real test for it.
CAUSES = {
    ("version", "old"): ("look", "older than"),
    ("version", "new"): ("look", "newer than"),
    ("clock", "ahead"): ("look", "ahead of"),
    ("clock", "late"): ("look", "behind"),
    ("currency", "inactive"): ("bad", "not active"),
    ("currency", "unconfirmed"): ("bad", ""),
    ("stopped", "deleted"): ("bad", "creates again"),
    ("excluded_browsers", "pattern"): ("unknown", "regular expression"),
}
# Causes for which all is well.
FINE = {"endless", "alone", "off", "prefix"}


def find_asserted():
    """Return what real tests assert: a set of (point, level).

    Only assertions within tests count. A loop over a table counts with what stands in
    the table.
    """
    tree = ast.parse(REAL_TEST.read_text())
    constants = {
        node.targets[0].id: find_texts(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    tests = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return {pair for test in tests for pair in find_pairs(test, constants, {})}


def find_texts(node):
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def find_pairs(node, constants, loops):
    """Yield what is asserted within a node.

    :param loops: ``{variable: texts}`` of the loops around it
    """
    if isinstance(node, ast.For):
        is_named = isinstance(node.iter, ast.Name)
        texts = constants.get(node.iter.id) if is_named else find_texts(node.iter)
        names = [
            each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)
        ]
        loops = {**loops, **dict.fromkeys(names, texts or set())}
    if is_assertion(node):
        words = set()
        for each in (inner for argument in node.args for inner in ast.walk(argument)):
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                words.add(each.value)
            elif isinstance(each, ast.Name):
                words |= loops.get(each.id, set())
        for point in words & POINTS.keys():
            yield from ((point, level) for level in words & set(LEVELS))
    for child in ast.iter_child_nodes(node):
        yield from find_pairs(child, constants, loops)


def is_assertion(node):
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith("assert")
    )


def test_every_sentence_that_is_not_good_is_asserted():
    asserted, text = find_asserted(), REAL_TEST.read_text()
    missing = []
    for kind, point in POINTS.items():
        for said in point.says.keys() - {"good"} - FINE:
            level, words = CAUSES.get((kind, said), (said, ""))
            pair = (kind, level)
            if pair not in asserted | NEVER or words not in text:
                missing.append((kind, said))
    assert missing == []


def test_each_level_of_a_number_is_asserted():
    """These have one sentence for several levels, or one that a number decides."""
    asserted = find_asserted()
    for kind in ("clock", "certificate", "token_end"):
        assert {(kind, "look"), (kind, "bad")} <= asserted, kind
    assert WRONG == {level for _kind, level in asserted} - {"good"}
