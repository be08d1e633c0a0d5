"""A bulk: requests that were claimed, and go to Matomo together."""

import time
from dataclasses import dataclass, replace
from typing import Any

from ..matomo_api.outcomes import Attempt, Policy
from .kinds import Kind


@dataclass(frozen=True)
class Bulk:
    """Requests that are leased and built, and what their delivery has to know.

    A bulk that was built ahead waits while the one before it is sent. Until it is sent
    itself, nothing was tried: it can be given back.

    :ivar claimed: on the monotonic clock, in seconds
    :ivar requests: a recordset of the model of the kind
    :ivar has_next: whether the next bulk is built while this one is sent
    """

    kind: Kind
    site: Any
    requests: Any
    attempts: list[Attempt]
    policy: Policy
    claimed: float
    has_next: bool

    def may_be_sent(self) -> bool:
        """Return whether it may still be sent, after the bulk before it.

        Not if the site was paused meanwhile, takes no longer so many at once, or is so
        slow that the lease would end first.
        """
        waited = time.monotonic() - self.claimed
        return (
            not self.site.paused_date
            and len(self.attempts) <= self.site._get_batch_size()
            and waited < self.kind.get_patience() / 2
        )

    def renew(self) -> "Bulk":
        """Return this bulk as it is by now: people may have cancelled orders of it."""
        requests = self._get_held()
        return _prepare(self.kind, self.site, requests, self.claimed, self.has_next)

    def give_back(self):
        """Have the requests be due again, as if they had not been claimed."""
        self._get_held()._give_back()

    def _get_held(self):
        """Return the requests that are still leased by this bulk."""
        counts = {each.key: each.attempt_count for each in self.attempts}
        return self.requests.exists().filtered(
            lambda each: each.state == "pending"
            and each.attempt_count == counts.get(each.id)
            and each.next_attempt_date
            and each.next_attempt_date == each.lease_date
        )


def claim(env, kind, site):
    """Lease and build due requests of a site.

    :return: a ``Bulk``, without attempts if nothing was left to send of what was due;
        None if nothing is due, or the site is paused
    """
    if site.paused_date:
        # Somebody has paused it since the last batch.
        return None
    claimed = time.monotonic()
    requests = kind.claim(env, site)
    if requests is None:
        return None
    # After a smaller one there is little more. Or Matomo has refused so many at once:
    # then what becomes of this one decides how many are claimed next.
    has_next = kind.is_built_ahead and len(requests) >= site.batch_size
    return _prepare(kind, site, requests, claimed, has_next)


def _prepare(kind, site, requests, claimed, has_next):
    # The lease began when they were claimed.
    patience = kind.get_patience() - (time.monotonic() - claimed)
    return Bulk(
        kind=kind,
        site=site,
        requests=requests,
        attempts=requests._prepare_attempts(),
        policy=replace(site._get_policy(), patience=patience),
        claimed=claimed,
        has_next=has_next,
    )
