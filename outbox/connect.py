"""Connecting a shop to Matomo: what is asked of it, without an open transaction.

``matomo.connect`` decides and writes down; this file asks Matomo.
"""

import secrets
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from ..const import TEST_ORDER_PREFIX
from ..matomo_api import setup
from ..matomo_api.errors import MatomoError, ServerTrouble
from ..matomo_api.facts import read_facts
from ..matomo_api.items import Item
from ..matomo_api.reading import read_orders
from ..matomo_api.tracking import Order, Page, Visitor, order_parameters
from .transactions import end_transaction

TEST_AMOUNT = Decimal("0.01")
TIMEOUT = 10
# How often, and how long apart (seconds), a test order is looked for.
LOOKS, PAUSE = 5, 1


@dataclass(frozen=True)
class Target:
    """A site of Matomo that is to be used.

    :ivar idsite: 0: it is to be made, as ``new`` says
    :ivar switches_on: whether e-commerce is to be switched on
    """

    idsite: int
    new: setup.NewSite
    switches_on: bool


def log_in(env, open_client, login, password, code):
    """Return a token of a login and what it may do there, a ``setup.Offer``.

    :raise MatomoError: see ``setup.log_in`` and ``setup.read_offer``
    """
    end_transaction(env)
    token = setup.log_in(open_client, login, password, code)
    return token, _read_offer(open_client, token, login)


def read_offer(env, open_client, token):
    """Return what a token may do in its Matomo, a ``setup.Offer``.

    :raise MatomoError: see ``setup.read_offer``
    """
    end_transaction(env)
    return _read_offer(open_client, token)


def _read_offer(open_client, token, login=""):
    with closing(open_client(token)) as client:
        return setup.read_offer(client, login)


def prepare_sites(env, open_client, token, targets, keep):
    """Make sites that are to be made, and switch e-commerce on.

    :param targets: list of ``Target``
    :param keep: ``keep(position, idsite)`` writes down at once which site was made, so
        that a second try does not make another one
    :return: list of the numbers of the sites
    """
    end_transaction(env)
    idsites = []
    with closing(open_client(token)) as client:
        for position, target in enumerate(targets):
            idsite = target.idsite
            if not idsite:
                idsite = setup.make_site(client, target.new)
                keep(position, idsite)
            elif target.switches_on:
                setup.switch_ecommerce_on(client, idsite)
            idsites.append(idsite)
    return idsites


def make_user(env, open_client, token, user, idsites, password):
    """Return the token of a user that writes to these sites."""
    end_transaction(env)
    return setup.make_user(open_client, token, user, idsites, password)


def find_working(env, clients):
    """Return at which sites a token works as Odoo's own should.

    :param clients: ``{idsite: client}``, with the token that is stored here
    :return: set of the numbers of the sites
    """
    found = _read_each(env, clients)
    return {
        idsite
        for idsite, facts in found.items()
        if not facts.refusal and not facts.is_superuser and facts.may_read is not False
    }


def read_all(env, clients):
    """Return the ``Facts`` of sites: ``{idsite: Facts}``; nothing is stored there.

    :param clients: ``{idsite: client}``
    :raise MatomoError: if Matomo takes no orders for one of them
    """
    found = _read_each(env, clients)
    for facts in found.values():
        if facts.refusal:
            raise facts.refusal
    return found


def _read_each(env, clients):
    end_transaction(env)
    found = {}
    for idsite, client in clients.items():
        with closing(client):
            found[idsite] = read_facts(client, idsite, TIMEOUT)
    return found


def send_test_order(env, client, idsite, url, name, now):
    """Send a test order, which stays in Matomo, and look whether it is there.

    :param url: of the page on which it is shown
    :param name: of its item
    :param now: naive UTC
    :return: its order ID, and after how many seconds it was seen; None if it was not
    :raise MatomoError: see ``Client.send_bulk``
    """
    end_transaction(env)
    ref = f"{TEST_ORDER_PREFIX}{secrets.token_hex(4)}"
    order = Order(
        ref=ref,
        time=now,
        revenue=TEST_AMOUNT,
        subtotal=TEST_AMOUNT,
        tax=Decimal(0),
        shipping=Decimal(0),
        discount=Decimal(0),
        items=(Item(ref, name, (), TEST_AMOUNT, 1),),
    )
    parameters = order_parameters(
        idsite, order, Visitor(secrets.token_hex(8)), Page(url, name)
    )
    with closing(client):
        answer = client.send_bulk([parameters], TIMEOUT)
        if answer.invalid:
            raise ServerTrouble("recorded_nothing", status=answer.status)
        return ref, _look_for(client, idsite, ref, now.date())


def _look_for(client, idsite, ref, day):
    """Return after how many seconds an order was seen in Matomo, None if it was not."""
    start, margin = time.monotonic(), timedelta(days=1)
    for _look in range(LOOKS):
        try:
            found = read_orders(client, idsite, [ref], day - margin, day + margin)
        except MatomoError:
            return None
        if ref in found.orders:
            return max(1, round(time.monotonic() - start))
        time.sleep(PAUSE)
    return None
