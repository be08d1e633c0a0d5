"""Matomo's JavaScript tag, as people paste it into a page."""

import re
from urllib.parse import urlsplit

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HOST = re.compile(r"(?:https?:)?//([\w.-]+(?::\d+)?)", re.IGNORECASE)
# _paq.push(["setSiteId", "1"]), tracker.setSiteId(1), matomo.php?idsite=1 and
# addTracker(address, 1), in all the ways to write them.
_SITE = re.compile(
    r"""(?:
        setSiteId ["']? \s* [,(] \s*
      | \b idsite=
      | (?:addTracker|getTracker|getAsyncTracker) ["']? [^;\n]{1,300}? , \s*
    ) ["']? (\d{1,9}) \b""",
    re.VERBOSE,
)
# Matomo's Tag Manager: which site it tracks is not said in the page.
_CONTAINER = re.compile(r"/container_\w+\.js")


def has_tag(code: str, url: str, idsite: int) -> bool:
    """Whether a page's code holds a tag of this site of this Matomo.

    :param code: HTML
    :param url: of Matomo; a tag that names no host at all is taken for its own
    """
    code = _COMMENT.sub("", code)
    hosts = {host.lower() for host in _HOST.findall(code)}
    is_here = urlsplit(url).netloc.lower() in hosts
    sites = {int(site) for site in _SITE.findall(code)}
    return bool(
        (idsite in sites and (is_here or not hosts))
        or (is_here and _CONTAINER.search(code))
    )
