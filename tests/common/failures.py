"""Every function of the addon fails, except those by which Odoo calls it."""

import ast
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType

PACKAGE = "odoo.addons.matomo_order_tracking"
ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("controllers", "matomo_api", "models", "outbox", "tools", "wizard")
# These keep a failure away from Odoo, and are no part of what may fail.
GUARDS = f"{PACKAGE}.outbox.transactions"
# Odoo's cursor calls it before a commit.
HOOKS = {"_track_scheduled"}


@contextmanager
def everything_fails(env):
    """Have each function of the addon raise a ``ValueError`` within the block.

    Left alone are the methods that Odoo calls: overrides of Odoo's methods, the
    computation of fields, what templates and automation rules name. They must call
    the others behind a guard, or those that are nothing but a guard. New functions are
    found by themselves.
    """
    called = _get_called_methods(env) | _get_guards()
    codes = {
        function: function.__code__
        for function in _get_functions()
        if function not in called
    }
    for function, code in codes.items():
        function.__code__ = _make_failing_code(code.co_freevars)
    try:
        yield
    finally:
        for function, code in codes.items():
            function.__code__ = code


def _get_functions():
    """Return the functions and methods in the files of the addon, without tests."""
    found = set()
    for name, module in list(sys.modules.items()):
        part = name.removeprefix(f"{PACKAGE}.").partition(".")[0]
        if name == GUARDS or not name.startswith(PACKAGE) or part == "tests":
            continue
        for value in list(vars(module).values()):
            members = vars(value).values() if isinstance(value, type) else [value]
            found.update(filter(None, map(_unwrap, members)))
    return found


def _unwrap(member):
    """Return the function of a method, None for what is no function of the addon."""
    is_wrapped = isinstance(member, classmethod | staticmethod)
    function = member.__func__ if is_wrapped else member
    if not isinstance(function, FunctionType):
        return None
    path = _get_path(function)
    # Odoo, too, may lie in a folder below the addon.
    is_ours = any(path.is_relative_to(ROOT / folder) for folder in FOLDERS)
    return function if is_ours else None


def _get_guards():
    """Return the functions that do all they do behind a guard."""
    places = {
        (path, min(part.lineno for part in (function, *function.decorator_list)))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef) and _is_guard(function)
    }
    return {
        function
        for function in _get_functions()
        if (_get_path(function), function.__code__.co_firstlineno) in places
    }


def _is_guard(function):
    body = function.body[bool(ast.get_docstring(function)) :]
    return (
        len(body) == 1
        and isinstance(body[0], ast.With)
        and isinstance(call := body[0].items[0].context_expr, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("caught", "guarded")
    )


def _get_path(function):
    return Path(function.__code__.co_filename).resolve()


def _get_called_methods(env):
    """Return the functions of the addon that Odoo calls by itself."""
    names = HOOKS | _get_names_in_data()
    classes = [base for model in env.registry.values() for base in model.__mro__]
    classes += [
        value
        for name, module in list(sys.modules.items())
        if name.startswith(PACKAGE)
        for value in list(vars(module).values())
        if isinstance(value, type)
    ]
    computes = {
        getattr(field.compute, "__name__", field.compute)
        for model in env.registry.values()
        for field in model._fields.values()
        if (field._module or "") == PACKAGE.rpartition(".")[2]
    }
    found = set()
    for owner in set(classes):
        if not owner.__module__.startswith(PACKAGE):
            continue
        for name, member in vars(owner).items():
            function = _unwrap(member)
            if function and (
                name in names | computes or _is_override(env, owner, name)
            ):
                found.add(function)
    return found


def _is_override(env, owner, name):
    """Return whether a class that is not of the addon has a method of this name."""
    owners = [owner, *(env.registry.get(model) for model in _get_model_names(owner))]
    return any(
        name in vars(base)
        for each in owners
        if each
        for base in each.__mro__
        if not base.__module__.startswith(PACKAGE) and not getattr(base, "pool", None)
    )


def _get_model_names(owner):
    inherit = getattr(owner, "_inherit", None) or ()
    inherit = (inherit,) if isinstance(inherit, str) else tuple(inherit)
    return {name for name in (getattr(owner, "_name", None), *inherit) if name}


def _get_names_in_data():
    """Return the methods that views, templates and automation rules call."""
    files = [path for part in ("data", "views") for path in (ROOT / part).glob("*.xml")]
    return {
        name
        for path in files
        for name in re.findall(r"\.(\w*matomo\w*)\(", path.read_text())
    }


def _make_failing_code(free_names):
    """Return code that raises, for a function with these names of its surroundings."""
    lines = [
        "def surround():",
        *(f"    {name} = None" for name in free_names),
        "    def fail(*args, **kwargs):",
        *(f"        {name}" for name in free_names),
        "        raise ValueError('nobody foresaw this')",
        "    return fail",
    ]
    namespace = {}
    exec("\n".join(lines), namespace)  # noqa: S102
    return namespace["surround"]().__code__
