"""Where a shopper comes from, read from the address of a page as Matomo reads it.

matomo.js keeps this in its cookie ``_pk_ref``, see ``cookies.py``. These functions do
the same where it does not run. Address and referrer come from strangers: what cannot be
parsed counts as nothing. docs/matomo.md section 18 names the rules.
"""

from urllib.parse import parse_qsl, urlsplit

from .cookies import clean_web_address
from .texts import clean_shopper_text
from .tracking import MAX_CAMPAIGN_LENGTH, Attribution

# A visit of Matomo ends after so much time without an action (seconds).
VISIT_LENGTH = 1800
# How long matomo.js keeps where a shopper came from (seconds).
ATTRIBUTION_AGE = 15_768_000
# The parameters that Matomo reads by default, in its order.
CAMPAIGN_PARAMETERS = (
    "pk_cpn",
    "pk_campaign",
    "piwik_campaign",
    "mtm_campaign",
    "matomo_campaign",
    "utm_campaign",
    "utm_source",
    "utm_medium",
)
KEYWORD_PARAMETERS = (
    "pk_kwd",
    "pk_keyword",
    "piwik_kwd",
    "mtm_kwd",
    "mtm_keyword",
    "matomo_kwd",
    "utm_term",
)
# matomo.js takes no referrer from a page with one of these, set to 1.
_IGNORE_PARAMETERS = ("ignore_referrer", "ignore_referer")
MAX_ADDRESS_LENGTH = 8192
_MAX_PARAMETER_COUNT = 100


def read_arrival(address: str, referrer: str, host: str) -> Attribution:
    """Return the campaign and the referrer of a page, without its time.

    A click ID alone (``gclid`` and the like) is no campaign: Matomo reads none either,
    and takes the search engine or social network from the referrer.

    :param address: of the page
    :param referrer: the address of the page before it; one of the shop is none
    :param host: the shop's host, with or without a port
    :return: an empty attribution for a page within the shop without a campaign
    """
    values = _read_parameters(address)
    if any(values.get(name) == "1" for name in _IGNORE_PARAMETERS):
        return Attribution()
    referrer = clean_web_address(referrer)
    if referrer and get_host_name(referrer) == get_host_name(f"//{host}"):
        referrer = ""
    campaign = _find_first(values, CAMPAIGN_PARAMETERS)
    # Matomo counts a keyword with its campaign only.
    keyword = _find_first(values, KEYWORD_PARAMETERS) if campaign else ""
    return Attribution(campaign=campaign, keyword=keyword, referrer=referrer)


def get_host_name(address: str) -> str:
    """Return the host of an address without port, "" without one."""
    try:
        return (urlsplit(address).hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _read_parameters(address: str) -> dict[str, str]:
    """Return the first value of each parameter of an address."""
    if len(address) > MAX_ADDRESS_LENGTH:
        return {}
    try:
        query = urlsplit(address).query
        pairs = parse_qsl(query, max_num_fields=_MAX_PARAMETER_COUNT)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def _find_first(values: dict[str, str], names: tuple[str, ...]) -> str:
    """Return the value of the first of these parameters that has one."""
    texts = (
        clean_shopper_text(values.get(name, ""), MAX_CAMPAIGN_LENGTH) for name in names
    )
    return next((text.strip() for text in texts if text.strip()), "")
