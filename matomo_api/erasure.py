"""Erases visits from Matomo, as its own GDPR tools do (docs/matomo.md section 16).

This needs the token of an administrator of the site. Matomo takes the orders of these
visits out of its reports, also those of past days.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from .client import Client
from .errors import ServerTrouble
from .reading import read_flag, segment_values

# So many conditions are asked for at once.
CONDITIONS = 20
# Matomo shows 401 visits at a time. Whoever has more visits than this is no person.
MAX_ROUNDS = 25


def delete_visits(
    client: Client, idsite: int, visitor_ids: Iterable[str], refs: Iterable[str]
) -> int:
    """Delete all visits of these visitors, and those with these orders.

    Matomo may have renamed the visitor of an order: it is found by its ID then. What
    is older than Matomo's raw data is not found; it names no visitor any more.

    :param visitor_ids: 16 hex digits each
    :param refs: order ids
    :return: how many visits Matomo has deleted
    :raise ReportRefused: the token may not do this
    :raise ServerTrouble: Matomo shows no visits at all, or does not come to an end
    :raise Unreachable: no answer
    """
    if not read_flag(client, "Live.isVisitorProfileEnabled", idSite=str(idsite)):
        raise ServerTrouble("no_visits_log")
    conditions = iter(
        [
            *(f"visitorId=={visitor_id}" for visitor_id in sorted(set(visitor_ids))),
            *(
                f"orderId=={value}"
                for ref in sorted(set(refs))
                for value in segment_values(ref)
            ),
        ]
    )
    count = 0
    while some := list(islice(conditions, CONDITIONS)):
        count += _delete_found(client, idsite, ",".join(some))
    return count


def _delete_found(client: Client, idsite: int, segment: str) -> int:
    """Delete the visits of a segment, as many at once as Matomo shows."""
    count = 0
    for _round in range(MAX_ROUNDS):
        found = client.call_api(
            "PrivacyManager.findDataSubjects", idSite=str(idsite), segment=segment
        )
        idvisits = list(_get_idvisits(found, idsite))
        if not idvisits:
            return count
        client.call_api(
            "PrivacyManager.deleteDataSubjects",
            **{
                f"visits[{number}][{name}]": value
                for number, idvisit in enumerate(idvisits)
                for name, value in (("idsite", str(idsite)), ("idvisit", idvisit))
            },
        )
        count += len(idvisits)
    raise ServerTrouble("not_a_report")


def _get_idvisits(found, idsite: int) -> Iterator[str]:
    """Yield the ids of the visits in an answer of Matomo.

    :raise ServerTrouble: what is no list must not pass for "there is no visit"
    """
    if not isinstance(found, list):
        raise ServerTrouble("not_a_report")
    for visit in found:
        if not isinstance(visit, Mapping):
            raise ServerTrouble("not_a_report")
        idvisit = str(visit.get("idVisit", ""))
        if str(visit.get("idSite", "")) != str(idsite) or not idvisit.isdigit():
            raise ServerTrouble("not_a_report")
        yield idvisit
