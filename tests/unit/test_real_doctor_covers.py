"""The tests of the doctor against a real Matomo leave no finding out."""

import ast
from pathlib import Path

from matomo_order_tracking.tools.findings import POINTS

REAL_TEST = Path(__file__).parents[1] / "external" / "test_real_doctor.py"


def find_asserted():
    """Return the points that a real test asserts to be other than good.

    Only assertions within tests count that name the point and its level, or take the
    level from a table of the test.
    """
    tests = [
        node
        for node in ast.walk(ast.parse(REAL_TEST.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    calls = [
        node
        for test in tests
        for node in ast.walk(test)
        if isinstance(node, ast.Call) and is_assertion(node)
    ]
    named = [(get_point(call), call) for call in calls]
    return {point for point, call in named if point and is_wrong(call)}


def is_assertion(call):
    return isinstance(call.func, ast.Attribute) and call.func.attr.startswith("assert")


def get_point(call):
    """Return the point that an assertion names, also as ``get_level(point)``."""
    for argument in call.args:
        inner = argument.args[:1] if isinstance(argument, ast.Call) else [argument]
        for each in inner:
            if isinstance(each, ast.Constant) and each.value in POINTS:
                return each.value
    return None


def is_wrong(call):
    return any(
        argument.value in ("bad", "look", "unknown")
        if isinstance(argument, ast.Constant)
        else isinstance(argument, ast.Name) and argument.id == "level"
        for argument in call.args
    )


def test_every_point_that_can_be_wrong_is_asserted():
    can_be_wrong = {
        kind for kind, point in POINTS.items() if point.says.keys() - {"good"}
    }
    assert can_be_wrong <= find_asserted()
