"""Erasing people from Matomo: what is asked of it, without an open transaction."""

from contextlib import closing

from ..matomo_api.erasure import delete_visits
from .transactions import end_transaction


def erase_in_matomo(env, client, targets):
    """Delete visits in one Matomo, and return how many it has deleted.

    The client is closed afterwards. To erase what is erased already does no harm.

    :param client: with the token of an administrator of Matomo
    :param targets: list of ``(idsite, visitor ids, order ids)``
    :raise MatomoError: see ``delete_visits``
    """
    # Sales would wait for the locks of this transaction.
    end_transaction(env)
    with closing(client):
        return sum(delete_visits(client, *target) for target in targets)
