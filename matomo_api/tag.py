"""Find Matomo's JavaScript tag in the HTML of a page, as people paste it there."""

import re
from functools import lru_cache
from urllib.parse import urlsplit

from .address import address_key

_HOST = re.compile(r"(?:https?:)?//([\w.-]+(?::\d+)?)", re.IGNORECASE)
# The number of the site in _paq.push(["setSiteId", "1"]), tracker.setSiteId(1),
# matomo.php?idsite=1 and addTracker(address, 1), with any quotes and spaces.
_SITE = re.compile(
    r"""(?:
        setSiteId ["']? \s* [,(] \s*
      | \b idsite=
      | (?:addTracker|getTracker|getAsyncTracker) ["']? [^;\n]{1,300}? , \s*
    ) ["']? (\d{1,9}) \b""",
    re.VERBOSE,
)
# A container of Matomo's Tag Manager. The page does not say which site it tracks.
_CONTAINER = re.compile(r"/container_\w+\.js")
# Calls of matomo.js that send orders and carts from the browser.
_ECOMMERCE = re.compile(
    r"\b(?:trackEcommerceOrder|trackEcommerceCartUpdate|addEcommerceItem)\b"
)

_PARAMETER = re.compile(r"[A-Za-z][\w-]{0,49}", re.ASCII)
# Parts of names of parameters that open a document or an account, or name a person.
_SECRET = re.compile(
    r"auth|code|digest|email|hash|key(?!word)|login|pass|phone|secret|sess|sign|token"
    r"|user|^pid$|^name$",
    re.IGNORECASE,
)


def read_parameters(text: str) -> tuple[list[str], list[str]]:
    """Return the names of address parameters in a text, and those that are refused.

    :param text: names that spaces or commas divide
    :return: tuple of the names that Matomo may learn, each once, and of the words that
        are no names, or names of what may be a secret
    """
    words = list(dict.fromkeys(text.replace(",", " ").split()))
    wrong = [
        word for word in words if not _PARAMETER.fullmatch(word) or _SECRET.search(word)
    ]
    return [word for word in words if word not in wrong], wrong


def has_ecommerce_calls(code: str) -> bool:
    """Return whether the code of a page sends orders or carts to some Matomo.

    :param code: HTML
    """
    return bool(_ECOMMERCE.search(_without_comments(code)))


# A website asks this on each of its pages, always of the same code.
@lru_cache(maxsize=64)
def has_tag(code: str, url: str, idsite: int) -> bool:
    """Return whether the code of a page contains a tag of a Matomo site.

    A container of this Matomo's Tag Manager counts, too. A tag without a host counts as
    a tag of this Matomo.

    :param code: HTML; comments are ignored
    :param url: the address of this Matomo
    :param idsite: the ID of the site in this Matomo
    """
    code = _without_comments(code)
    hosts = {host.lower() for host in _HOST.findall(code)}
    is_here = urlsplit(address_key(url)).netloc in hosts
    sites = {int(site) for site in _SITE.findall(code)}
    return bool(
        (idsite in sites and (is_here or not hosts))
        or (is_here and _CONTAINER.search(code))
    )


def _without_comments(code: str) -> str:
    """Return HTML without its comments; one that is never closed stays.

    A regular expression would read on to the end from each comment that is not closed.
    """
    kept, start = [], 0
    while (opening := code.find("<!--", start)) >= 0:
        closing = code.find("-->", opening + 4)
        if closing < 0:
            break
        kept.append(code[start:opening])
        start = closing + 3
    return "".join([*kept, code[start:]])
