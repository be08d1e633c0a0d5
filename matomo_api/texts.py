"""Texts from outside: of shops, of shoppers, and of whatever answers as Matomo."""

import html
import re
from html.entities import html5

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")
# What breaks a line, or has a terminal or a screen show a text as another one: also
# the controls of ISO 8859, the line breaks of Unicode, and those that turn the
# direction of writing.
_DECEPTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)
# What a spreadsheet takes for the start of a formula; tabs and line ends have become
# spaces by then.
_FORMULA_START = "=+-@ "
_ENDS_OF_ENTITIES = re.compile("([&;])")
_NUMBER = re.compile("#(?:0*([0-9]{1,7})|[xX]0*([0-9a-fA-F]{1,6}))")


def clean_text(text: str | None, length: int) -> str:
    """Return the text on one line, without control characters, cut at ``length``."""
    if not text:
        return ""
    return _CONTROL_CHARACTERS.sub(" ", text).strip()[:length].strip()


def clean_shopper_text(text: str | None, length: int) -> str:
    """Return a shopper's text as ``clean_text`` does, without the start of a formula.

    Odoo writes a text that begins with "=" into a spreadsheet as a formula. Other
    programs also take one that begins with "+", "-" or "@" for a formula.
    """
    return clean_text(clean_text(text, length).lstrip(_FORMULA_START), length)


def to_line(text: str) -> str:
    """Return a text of a server as one line that is what it looks like.

    It may be written to a log, a terminal or a database: it can neither begin a new
    line of a log nor hold an escape sequence.
    """
    return _DECEPTIVE.sub(" ", text)


def decode_entities(text: str) -> str:
    """Return the text without HTML entities, however often they were escaped.

    Matomo decodes texts: "A&lt;B" and "A<B" are the same SKU, category and order id
    there (docs/matomo.md section 15). Each character is looked at once, however deep
    the entities are: a stranger may have written them.
    """
    if "&" not in text:
        return text
    done: list[str] = []
    # Where in ``done`` something begins that may become an entity.
    starts: list[int] = []
    for part in _ENDS_OF_ENTITIES.split(text):
        while part == ";" and starts:
            start = starts.pop()
            part = _decode_entity("".join(done[start + 1 :]))
            if part is None:
                # What is before it holds a "&" and a ";" now, and can be none either.
                starts.clear()
                part = ";"
            else:
                # What it stands for may begin or end another entity.
                del done[start:]
        if part == "&":
            starts.append(len(done))
        done.append(part)
    return "".join(done)


def _decode_entity(name: str) -> str | None:
    """Return what an entity stands for, None if there is no such entity.

    :param name: without "&" and ";"
    """
    if number := _NUMBER.fullmatch(name):
        decimal, hexadecimal = number.groups()
        return html.unescape(f"&#x{hexadecimal or f'{int(decimal):x}'};")
    # Python alone also decodes the beginning of a name.
    return html5.get(f"{name};")
