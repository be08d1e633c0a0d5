"""Tokens that are kept outside of the database, in the environment or a file.

Such a token is for one site of one database, and for one address: a server may have
many databases, each with a site of the same number, whose address anybody may choose.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class OutsideToken:
    """A token that is kept for a site.

    :ivar name: of the variable in the environment
    :ivar url: the address of Matomo to which the token may travel; "" if none is named
    """

    name: str
    token: str
    url: str

    # No log line and no traceback shows it.
    def __repr__(self):
        return f"OutsideToken({self.name})"


def get_name(database: str, site_id: int) -> str:
    """Return the name of the variable that holds the token of a site.

    In Odoo's configuration file the option has the same name, in lower case.
    """
    return f"MATOMO_TOKEN_{re.sub('[^A-Za-z0-9]', '_', database)}_{site_id}".upper()


def get_old_name(site_id: int) -> str:
    """Return the name that older versions knew, which any database could use."""
    return f"MATOMO_TOKEN_{site_id}"


def find_token(
    name: str, environ: Mapping[str, str], options: Mapping[str, object]
) -> OutsideToken | None:
    """Return the token that is kept under a name.

    :param environ: the environment, which takes precedence
    :param options: the options of Odoo's configuration file
    """
    for source, key in ((environ, name), (options, name.lower())):
        if token := source.get(key):
            url = source.get(f"{key}_URL" if source is environ else f"{key}_url")
            return OutsideToken(name, str(token), str(url or ""))
    return None
