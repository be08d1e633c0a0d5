"""A token that is looked for wherever it must not be."""

from base64 import b64encode
from urllib.parse import quote

# It is written in other ways in an address and in base64.
CANARY = "canary+0123/456789=abcdef"


def forms(secret):
    """The ways a text may be written: plain, in an address, in base64.

    In base64 it may begin at any of three places of a longer text; what depends on
    the text around it is left out.
    """
    yield secret
    yield quote(secret, safe="")
    for before in range(3):
        data = bytes(before) + secret.encode()
        first, end = -(-before * 8 // 6), len(data) * 8 // 6
        yield b64encode(data).decode()[first:end]


def holds(text, secret):
    """Whether ``text`` holds a secret, however it is written."""
    return any(form in text for form in forms(secret))
