"""The translations are whole, and leave what programs fill in where it was."""

import re
from pathlib import Path

import polib
import pytest

FOLDER = Path(__file__).parents[2] / "i18n"
TEMPLATE = polib.pofile(str(FOLDER / "matomo_order_tracking.pot"))
# This share of the texts may wait for their translation.
MISSING = 0.05
LANGUAGES = ("de", "es", "fr", "nl")
# What a program fills in, tags, entities.
MARKS = re.compile(r"%\(\w+\)[sd]|%[sd%]|</?[a-z][^>]*>|&\w+;")


def find_marks(text):
    """Return what has to be in a translation, too: titles of tags are translated."""
    return [re.sub(r' title="[^"]*"', "", mark) for mark in MARKS.findall(text)]


def find_faults(text, translation):
    """Return what a translation lacks or has too much."""
    marks, found = find_marks(text), find_marks(translation)
    faults = []
    if sorted(marks) != sorted(found):
        faults.append(f"{marks} became {found}")
    # Without names they are filled in one after the other.
    unnamed = [mark for mark in marks if mark in ("%s", "%d")]
    if unnamed != [mark for mark in found if mark in ("%s", "%d")]:
        faults.append("the order of what is filled in")
    if text.count("\n") != translation.count("\n"):
        faults.append("the lines")
    if (text[0].isspace(), text[-1].isspace()) != (
        translation[0].isspace(),
        translation[-1].isspace(),
    ):
        faults.append("the spaces at an end")
    return faults


@pytest.mark.parametrize("language", LANGUAGES)
def test_translation(language):
    entries = polib.pofile(str(FOLDER / f"{language}.po"))
    texts = {entry.msgid: entry.msgstr for entry in entries if not entry.fuzzy}
    missing = [entry.msgid for entry in TEMPLATE if not texts.get(entry.msgid)]
    # A sentence that is changed today is shown in English until somebody translates it.
    assert len(missing) <= len(TEMPLATE) * MISSING
    faults = {
        text: found
        for text, translation in texts.items()
        if translation and (found := find_faults(text, translation))
    }
    assert not faults


@pytest.mark.parametrize(
    ("text", "translation", "is_good"),
    [
        ("%s of %(count)s", "%(count)s, davon %s", True),
        ("%(a)s and %(b)s", "%(b)s und %(a)s", True),
        ("%(a)s", "%(b)s", False),
        ("%s", "nichts", False),
        ('<i title="good"/>', '<i title="gut"/>', True),
        ("<b>all</b>", "<b>alle<b>", False),
        ("one\ntwo", "eins zwei", False),
        (" Matomo", "Matomo", False),
    ],
)
def test_fault(text, translation, is_good):
    assert (not find_faults(text, translation)) == is_good
