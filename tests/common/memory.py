"""What Odoo makes of its code and its files, made once for all tests.

After each test Odoo clears its caches: the records that they tell of are gone. Making
them anew is half of what a page takes, and a part of that depends on no record.
"""

from functools import cache, lru_cache, wraps
from unittest.mock import patch

from odoo.addons.base.models import ir_asset, ir_qweb


def remember_expressions(compile_expr):
    """Return IrQweb's method that remembers what it has made of an expression."""
    known = {}

    @wraps(compile_expr)
    def remembering(self, expr, raise_on_missing=False):
        key = (expr, raise_on_missing)
        if key not in known:
            known[key] = compile_expr(self, expr, raise_on_missing)
        return known[key]

    return remembering


MEMORIES = (
    (
        ir_qweb.IrQweb,
        "_compile_expr",
        remember_expressions(ir_qweb.IrQweb._compile_expr),
    ),
    # From the text of a template's Python to its code. Each website has its own.
    (ir_qweb, "compile", lru_cache(2000)(compile)),
    # The files of a bundle, and when they were changed.
    (ir_asset, "_glob_static_file", cache(ir_asset._glob_static_file)),
)


def remember(case):
    """Let Odoo remember this during the tests of a class."""
    for owner, name, function in MEMORIES:
        case.startClassPatcher(patch.object(owner, name, function, create=True))
