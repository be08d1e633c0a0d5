"""What the wizard proposes for a company that is set up already, and what it writes."""

import pytest
from matomo_order_tracking.tools.channels import (
    Changes,
    Channels,
    Choice,
    find_changes,
    propose,
)

SITE, OTHER = 10, 20


def choose(*websites, salespeople=True, tag=True):
    return Choice(frozenset(websites), salespeople, tag)


@pytest.mark.parametrize(
    ("channels", "site", "proposed"),
    [
        # The first time, everything is proposed.
        (Channels({1: 0, 2: 0}), 0, choose(1, 2)),
        # What has another site stays there.
        (Channels({1: SITE, 2: OTHER, 3: 0}, SITE, {1}), SITE, choose(1, 3)),
        (Channels({1: SITE}, OTHER), SITE, choose(1, salespeople=False, tag=False)),
        (Channels({1: SITE, 2: OTHER}, SITE), 0, choose(salespeople=False)),
        # A tag that was switched off stays off.
        (Channels({1: SITE}, SITE), SITE, choose(1, tag=False)),
        (Channels({1: SITE, 2: SITE}, SITE, {2}), SITE, choose(1, 2)),
    ],
)
def test_proposed(channels, site, proposed):
    assert propose(channels, site, wants_tag=True) == proposed


@pytest.mark.parametrize(
    "channels",
    [
        Channels({1: SITE, 2: OTHER}, SITE, {1}),
        Channels({1: SITE, 2: SITE}, OTHER, {2}),
        Channels({1: SITE}, SITE),
        Channels({}, SITE),
    ],
)
def test_what_is_left_as_it_is_changes_nothing(channels):
    shown = propose(channels, SITE, wants_tag=True)
    assert find_changes(channels, SITE, shown, shown) == Changes()


@pytest.mark.parametrize(
    ("channels", "chosen", "changes"),
    [
        (
            Channels({1: 0, 2: 0}),
            choose(1),
            Changes(joining=frozenset({1}), salespeople=True, tag_on=frozenset({1})),
        ),
        # A website that is taken out loses the site; so do salespeople's orders.
        (
            Channels({1: SITE, 2: SITE}, SITE, {1}),
            choose(1, salespeople=False),
            Changes(leaving=frozenset({2}), salespeople=False),
        ),
        # A website moves, and gets the tag; the other one keeps what it has.
        (
            Channels({1: SITE, 2: OTHER, 3: SITE}, SITE, {1}),
            choose(1, 2, 3),
            Changes(joining=frozenset({2}), tag_on=frozenset({2})),
        ),
        (
            Channels({1: SITE}, SITE, {1}),
            choose(1, tag=False),
            Changes(tag_off=frozenset({1})),
        ),
        (
            Channels({1: SITE}, SITE),
            choose(1),
            Changes(tag_on=frozenset({1})),
        ),
    ],
)
def test_what_a_person_changes(channels, chosen, changes):
    shown = propose(channels, SITE, wants_tag=True)
    assert find_changes(channels, SITE, shown, chosen) == changes


def test_what_somebody_else_has_added_meanwhile_stays():
    shown = propose(Channels({1: SITE}, SITE), SITE, wants_tag=True)
    now = Channels({1: SITE, 2: SITE}, SITE)
    assert find_changes(now, SITE, shown, shown) == Changes()
