"""A token that tests search for in all places where it must not be."""

from base64 import b64encode
from urllib.parse import quote

# It is written in other ways in an address and in base64.
CANARY = "canary+0123/456789=abcdef"


def forms(secret):
    """Yield the forms of a secret: plain, in an address, in base64.

    In base64 its form depends on its position in a longer text: there are three. The
    characters that depend on the text around it are left out.
    """
    yield secret
    yield quote(secret, safe="")
    for before in range(3):
        data = bytes(before) + secret.encode()
        first, end = -(-before * 8 // 6), len(data) * 8 // 6
        yield b64encode(data).decode()[first:end]


def holds(text, secret):
    """Return whether ``text`` contains a secret in one of its forms."""
    return any(form in text for form in forms(secret))
