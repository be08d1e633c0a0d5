"""Odoo's own tests of the modules the addon extends, without the addon and with it.

The same tests run in two databases at the same time. One has this addon; the other has
a control addon whose automation rules react to the same sales and do nothing. A test
that fails with this addon only is this addon's fault.
"""

import os
import re
import shutil
from typing import NamedTuple

import machine

import odoo

MODULES = """
    sale website_sale point_of_sale pos_sale
    loyalty sale_loyalty website_sale_loyalty pos_loyalty pos_sale_loyalty
""".split()
# Tests are chosen by file: those that sell or fill a cart, and need no browser …
SELLS = re.compile(
    r"action_confirm|_cart_|sync_from_ui|action_pos_order_paid|_process_order"
    r"|_validate_order|_run_test\(|create_backend_pos_order"
)
DRIVES_A_BROWSER = re.compile(r"start_tour|start_pos_tour|browser_js|TestTaxCommonPOS")
# … and a few tours.
TOURS = [
    "/website_sale:TestSaleProcess.test_02_admin_checkout",
    "/website_sale:TestSaleProcess.test_03_demo_checkout",
    "/point_of_sale:TestUi.test_01_pos_basic_order",
    "/pos_sale:TestPoSSale.test_settle_order_with_kit",
    "/pos_loyalty:TestUi.test_loyalty_free_product_loyalty_program",
]
# Tests that count queries, and by how many ours may add to the count: the addon keeps
# its own records of a sale or a cart, and these take statements of their own.
MORE_QUERIES: dict[str, int] = {}

STARTED = re.compile(r"odoo\.addons\.(\w+)\.tests\.\w+: Starting (\w+\.\w+) \.\.\.")
FAILED = re.compile(
    r"odoo\.addons\.(\w+)\.tests\.\w+: (?:FAIL|ERROR): (?:Subtest )?(\w+\.\w+)"
    r"|odoo\.tests\.suite: ERROR: \w+ \(odoo\.addons\.(\w+)\.tests\.\w+\.(\w+)\)"
)
ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ", re.M)
QUERIES = re.compile(r"Query count more than expected .*?: (\d+) > (\d+) ")

CONTROL = "mot_control"
RULES = {"sale.order": ("sale", "sale"), "pos.order": ("point_of_sale", "paid")}
RULE = """\
  <record id="rule_{table}" model="base.automation">
    <field name="name">Do nothing</field>
    <field name="model_id" ref="{module}.model_{table}" />
    <field name="trigger">on_state_set</field>
    <field name="trg_selection_field_id" search="[('field_id.model', '=', '{model}'),
        ('field_id.name', '=', 'state'), ('value', '=', '{state}')]" />
  </record>
  <record id="action_{table}" model="ir.actions.server">
    <field name="name">Nothing</field>
    <field name="model_id" ref="{module}.model_{table}" />
    <field name="base_automation_id" ref="rule_{table}" />
    <field name="usage">base_automation</field>
    <field name="state">code</field>
    <field name="code">pass</field>
  </record>
"""


class Run(NamedTuple):
    """Which tests have run, and what those said that failed: ``{test: text}``."""

    started: set
    failed: dict


def main(is_whole=False):
    """Run the tests on both sides and print the difference; return the exit status."""
    with machine.alone("test-odoo"):
        machine.together(lambda: machine.apt_install(["chromium"]), odoo.template)
        for addon in (CONTROL, odoo.ADDON):
            _install(addon)
        tags = [f"/{name}" for name in MODULES] if is_whole else [*_files(), *TOURS]
        with machine.step("Odoo's own tests, without the addon and with it"):
            control, ours = _run_both(tags)
        if not control.started:
            log = machine.log_path(_database(CONTROL))
            raise machine.Trouble(f"No test has run: see {log}")
        for test in control.started - ours.started:
            ours.failed.setdefault(test, "It did not run.")
        # Tours and a busy machine make some tests fail by chance: what differs runs
        # again on both sides, one after the other.
        if doubtful := sorted(ours.failed.keys() ^ control.failed.keys()):
            with machine.step(f"Once more: {', '.join(doubtful)}"):
                moody = {
                    addon: _run_again(addon, run, doubtful)
                    for addon, run in ((CONTROL, control), (odoo.ADDON, ours))
                }
            for addon, tests in moody.items():
                _say_tests(f"Failed once, and not alone, with {addon}", tests)
    return _report(control, ours)


def _run_again(addon, run, tests):
    """Run these tests again alone and correct the run; return those that pass now."""
    again = _run(addon, tests, name="again")
    passed = sorted(
        (run.failed.keys() & again.started & set(tests)) - again.failed.keys()
    )
    run.failed.update(again.failed)
    for test in passed:
        del run.failed[test]
    return passed


def _files():
    """Return the test files that sell and need no browser, as Odoo's test tags."""
    addons = odoo.source() / "odoo" / "addons"
    chosen = []
    for module in MODULES:
        for path in sorted((addons / module / "tests").glob("test_*.py")):
            text = path.read_text()
            if SELLS.search(text) and not DRIVES_A_BROWSER.search(text):
                chosen.append(f"/{module}/tests/{path.name}")
    return chosen


# ---- Both sides ----------------------------------------------------------------------


def _install(addon):
    """Make a copy of the template with one of the two addons."""
    database = _database(addon)
    if addon == CONTROL:
        _write_control()
    odoo.clone(odoo.template(), database)
    # fmt: off
    odoo.run(
        "server", "-d", database, "-i", addon,
        "--stop-after-init", "--no-http", "--max-cron-threads=0",
        log=f"{database}-install",
    )
    # fmt: on


def _database(addon):
    return f"mot_suites_{addon.rpartition('_')[2]}"


def _write_control():
    """Write the control addon beside the link to ours."""
    folder = odoo.addons_dir() / CONTROL
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    manifest = {
        "name": "Control",
        "version": "19.0.1.0.0",
        "author": "Control",
        "license": "LGPL-3",
        "depends": ["website_sale", "pos_sale", "base_automation"],
        "data": ["rules.xml"],
    }
    (folder / "__init__.py").touch()
    (folder / "__manifest__.py").write_text(f"{manifest!r}\n")
    rules = "".join(
        RULE.format(
            table=model.replace(".", "_"), module=module, model=model, state=state
        )
        for model, (module, state) in RULES.items()
    )
    (folder / "rules.xml").write_text(f"<odoo>\n{rules}</odoo>\n")


def _run_both(tags):
    """Return the runs of the control addon and of ours, made at the same time."""
    runs = {}

    def run(addon):
        runs[addon] = _run(addon, tags)

    machine.together(lambda: run(CONTROL), lambda: run(odoo.ADDON))
    return runs[CONTROL], runs[odoo.ADDON]


def _run(addon, tags, name=""):
    database = _database(addon)
    log = machine.log_path(f"{database}-{name}" if name else database)
    with log.open("w") as output:
        machine.run(
            odoo.command(
                *("server", "-d", database, "--test-tags", ",".join(tags)),
                *("--stop-after-init", "--max-cron-threads=0"),
                name=database,
                log_level="info",
            ),
            env={**os.environ, **odoo.environment()},
            stdout=output,
            stderr=output,
        )
    return _read(log.read_text(errors="replace"))


def _read(text):
    """Return the run that a log of Odoo describes."""
    started, failed = set(), {}
    for entry in ENTRY.split(text):
        line = entry.partition("\n")[0]
        if found := STARTED.search(line):
            started.add("/{}:{}".format(*found.groups()))
        elif found := FAILED.search(line):
            test = "/{}:{}".format(*filter(None, found.groups()))
            failed[test] = f"{failed.get(test, '')}{entry.strip()}\n"
    return Run(started, failed)


# ---- The difference ------------------------------------------------------------------


def _report(control, ours):
    machine.say(f"{'':<28}{'without':>9}{'with':>9}")
    for name in ("started", "failed"):
        counts = len(getattr(control, name)), len(getattr(ours, name))
        machine.say(f"{f'tests {name}':<28}{counts[0]:>9}{counts[1]:>9}")
    different = sorted(ours.failed.keys() - control.failed.keys())
    excused = [test for test in different if _is_excused(test, ours.failed[test])]
    bad = [test for test in different if test not in excused]
    _say_tests("Fail on both sides", sorted(ours.failed.keys() & control.failed.keys()))
    _say_tests(
        "Fail without the addon only",
        sorted(control.failed.keys() - ours.failed.keys()),
    )
    _say_tests("Count more queries, and may", excused)
    _say_tests("FAIL WITH THE ADDON ONLY", bad)
    for test in bad:
        machine.say(f"\n{ours.failed[test]}")
    machine.say(f"{len(bad)} tests fail with the addon that pass without it")
    return 1 if bad else 0


def _say_tests(title, tests):
    machine.say(f"{title}: {len(tests)}")
    for test in tests:
        more = MORE_QUERIES.get(test)
        machine.say(f"  {test}" + (f" ({more} more at most)" if more else ""))


def _is_excused(test, text):
    """Return whether a test fails only by a number of queries that we allow."""
    counts = [(int(count), int(expected)) for count, expected in QUERIES.findall(text)]
    # One that did not run, or died otherwise, complains of nothing.
    return 0 < len(counts) == text.count("Traceback (most recent call last)") and all(
        count - expected <= MORE_QUERIES.get(test, 0) for count, expected in counts
    )
