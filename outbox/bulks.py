"""Bulks: requests that are claimed together, and go to Matomo together."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..matomo_api.outcomes import Attempt, Policy
from .kinds import Kind, start_attempts


@dataclass(frozen=True)
class Claim:
    """Requests that are leased and built.

    What was claimed ahead waits while the bulk before it is sent. Until it is sent
    itself, nothing was tried: it can be given back.

    :ivar requests: a recordset of the model of the kind
    :ivar attempt_counts: of each request by its id, which tells whether this claim
        still holds it
    :ivar time: on the monotonic clock, in seconds
    :ivar has_next: whether the next requests are claimed while these are sent
    """

    kind: Kind
    site: Any
    requests: Any
    attempt_counts: Mapping[int, int]
    time: float
    has_next: bool

    def may_be_sent(self) -> bool:
        """Return whether it may still be sent, after the bulk before it.

        Not if the site was paused meanwhile, takes no longer so many at once, or is so
        slow that the lease would end first.
        """
        waited = time.monotonic() - self.time
        return (
            not self.site.paused_date
            and len(self.requests) <= self.site._get_batch_size()
            and waited < self.kind.get_patience() / 2
        )

    def prepare(self) -> "Bulk":
        """Return what is sent; a request that cannot be prepared fails alone."""
        attempts = []

        def prepare(part):
            attempts.extend(part._prepare_attempts())
            return part

        start_attempts(self.requests, prepare)
        # The lease began when they were claimed.
        patience = self.kind.get_patience() - (time.monotonic() - self.time)
        policy = replace(self.site._get_policy(), patience=patience)
        return Bulk(self, attempts, policy)

    def follow(self) -> "Bulk | None":
        """Return what is sent after the bulk before; None if it was given back.

        That is what is left by now: people may have cancelled orders.
        """
        if self.may_be_sent():
            return replace(self, requests=self._get_held()).prepare()
        self.give_back()
        return None

    def give_back(self):
        """Have the requests be due again, as if they had not been claimed."""
        self._get_held()._give_back()

    def _get_held(self):
        """Return the requests that are still leased by this claim."""
        there = self.requests.search_fetch(
            [("id", "in", self.requests.ids)], self.requests._get_attempt_fields()
        )
        # In the sequence in which they were claimed.
        return (self.requests & there).filtered(
            lambda each: each.state == "pending"
            and each.attempt_count == self.attempt_counts[each.id]
            and each.next_attempt_date
            and each.next_attempt_date == each.lease_date
        )


@dataclass(frozen=True)
class Bulk:
    """What goes to Matomo together, and what its delivery has to know."""

    claim: Claim
    attempts: list[Attempt]
    policy: Policy


def claim(env, kind, site):
    """Lease and build due requests of a site.

    :return: a ``Claim``, of no requests if nothing was left to send of what was due;
        None if nothing is due, or the site is paused
    """
    if site.paused_date:
        # Somebody has paused it since the last batch.
        return None
    claimed = time.monotonic()
    requests = kind.claim(env, site)
    if requests is None:
        return None
    requests.fetch(["attempt_count"])
    return Claim(
        kind=kind,
        site=site,
        requests=requests,
        attempt_counts={each.id: each.attempt_count for each in requests},
        time=claimed,
        # After a smaller one there is little more. Or Matomo has refused so many at
        # once: then what becomes of this one decides how many are claimed next.
        has_next=kind.is_built_ahead and len(requests) >= site.batch_size,
    )
