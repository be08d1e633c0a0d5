"""The template of the addon's translations: written from its code, checked by tests."""

import tempfile
from pathlib import Path

import lint
import machine

import odoo

DATABASE = "mot_translations"
CONFIG = "odoo-translations"
TEMPLATE = machine.ROOT / "i18n" / f"{odoo.ADDON}.pot"


def write():
    """Write the template anew."""
    odoo.fresh_database(DATABASE)
    with machine.step(f"Write {TEMPLATE.relative_to(machine.ROOT)}"):
        TEMPLATE.parent.mkdir(exist_ok=True)
        TEMPLATE.write_text(_export(DATABASE))
    odoo.discard(DATABASE)


def check(database):
    """Raise Trouble if the template is not what the code in a database gives."""
    with machine.step("Compare the template of translations with the code"):
        kept = TEMPLATE.read_text() if TEMPLATE.exists() else ""
        missing = _entries(_export(database)) ^ _entries(kept)
    if missing:
        raise machine.Trouble(
            "\n".join(
                ["Translations are out of date: run make pot. These differ:"]
                + sorted(entry.split("msgid ", 1)[-1] for entry in missing)
            )
        )


def _entries(text):
    """The entries of a template, without the head that holds the time."""
    return {entry for entry in text.split("\n\n")[1:] if entry.strip()}


def _export(database):
    """What Odoo itself exports.

    It reads every file below the addon, and a checkout holds much that is not the
    addon, its own development servers for one: so it gets a copy.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / TEMPLATE.name
        addons = machine.folder("translations")
        lint.export(addons)
        # fmt: off
        odoo.run(
            "i18n", "export", "-d", database, "-l", "pot", "-o", output, odoo.ADDON,
            log="translations", name=CONFIG, addons_path=addons,
        )
        # fmt: on
        return output.read_text()
