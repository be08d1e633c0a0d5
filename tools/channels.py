"""Which channels of a company get a site: what is proposed, and what changes.

A company may be set up already. Then the wizard proposes what stands, and a site for
what has none, and changes what a person changes. Nothing here knows Odoo; records are
their IDs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Channels:
    """What is set now; a site is its ID, 0 if there is none.

    :ivar websites: ``{website: its site}``
    :ivar salespeople: the site of salespeople's orders
    :ivar tagged: the websites to which Odoo adds Matomo's tag
    """

    websites: Mapping[int, int]
    salespeople: int = 0
    tagged: Collection[int] = ()


@dataclass(frozen=True)
class Choice:
    """What is proposed, or what a person has chosen, for one site."""

    websites: frozenset[int]
    salespeople: bool
    tag: bool


@dataclass(frozen=True)
class Changes:
    """What is written.

    :ivar joining: websites that get the site
    :ivar leaving: websites that lose it
    :ivar salespeople: True: they get the site, False: they lose it, None: no change
    :ivar tag_on: websites that get the tag
    :ivar tag_off: websites that lose it
    """

    joining: frozenset[int] = frozenset()
    leaving: frozenset[int] = frozenset()
    salespeople: bool | None = None
    tag_on: frozenset[int] = frozenset()
    tag_off: frozenset[int] = frozenset()


def get_of_site(channels: Channels, site: int) -> frozenset[int]:
    """Return the websites that have a site; none of them for 0."""
    websites = channels.websites.items()
    return frozenset(each for each, its in websites if site and its == site)


def propose(channels: Channels, site: int, wants_tag: bool) -> Choice:
    """Return what is proposed for a site: what it has, and what has no site.

    :param site: 0: it is not here yet
    :param wants_tag: whether a website without the tag should get it
    """
    having = get_of_site(channels, site)
    without = frozenset(each for each, its in channels.websites.items() if not its)
    return Choice(
        websites=having | without,
        salespeople=channels.salespeople in (0, site),
        tag=bool(having & frozenset(channels.tagged)) if having else wants_tag,
    )


def find_changes(
    channels: Channels, site: int, shown: Choice, chosen: Choice
) -> Changes:
    """Return what has to be written so that a choice is set.

    :param channels: what is set now; somebody may have changed it since
    :param site: the chosen one
    :param shown: what was proposed
    """
    having = get_of_site(channels, site)
    joining = chosen.websites - having
    leaving = having & (shown.websites - chosen.websites)
    is_tag_changed = shown.tag != chosen.tag
    salespeople = None
    if chosen.salespeople and channels.salespeople != site:
        salespeople = True
    elif shown.salespeople and not chosen.salespeople:
        salespeople = False if channels.salespeople == site else None
    return Changes(
        joining=joining,
        leaving=leaving,
        salespeople=salespeople,
        tag_on=(chosen.websites if is_tag_changed else joining)
        if chosen.tag
        else frozenset(),
        tag_off=chosen.websites if is_tag_changed and not chosen.tag else frozenset(),
    )
