"""Addresses of Matomo's own screens, for people."""

from datetime import date
from urllib.parse import quote, urlencode

from .tracking import api_url, is_visitor_id


def order_url(base_url: str, idsite: int, day: date, ref: str, visitor_id="") -> str:
    """Return the address of the screen that shows an order.

    That is the profile of its visitor (docs/matomo.md section 17), or, if the visitor
    is not known, the log of orders of the day, with this order alone.

    :param base_url: the address of Matomo
    :param day: of the order, in the time zone of the site
    :param ref: the order ID, "" if there is none
    :param visitor_id: 16 hex digits, or anything else if nobody knows the visitor
    """
    if is_visitor_id(visitor_id):
        page = {
            "category": "General_Visitors",
            "subcategory": "Live_VisitorLog",
            "popover": f"visitorProfile$3A{visitor_id}",
        }
    else:
        page = {"category": "Goals_Ecommerce", "subcategory": "Ecommerce_EcommerceLog"}
        if ref:
            # Matomo decodes the value of a segment once more.
            page["segment"] = f"orderId=={quote(ref, safe='')}"
    return _screen_url(base_url, idsite, day, page)


def day_url(base_url: str, idsite: int, day: date) -> str:
    """Return the address of the e-commerce report of a day of the site.

    :param base_url: the address of Matomo
    """
    page = {"category": "Goals_Ecommerce", "subcategory": "General_Overview"}
    return _screen_url(base_url, idsite, day, page)


def _screen_url(base_url, idsite, day, page):
    place = {"idSite": idsite, "period": "day", "date": day.isoformat()}
    query = urlencode({"module": "CoreHome", "action": "index", **place})
    fragment = urlencode({**place, **page}, safe="$", quote_via=quote)
    return f"{api_url(base_url)}?{query}#?{fragment}"
