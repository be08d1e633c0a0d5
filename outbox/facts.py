"""What Matomo says of itself: asked before the first order, and every night.

This file asks Matomo; ``matomo.site`` follows what it says.
"""

import logging
from contextlib import closing
from functools import partial

from ..matomo_api.errors import MatomoError
from ..matomo_api.facts import read_facts
from . import schedule
from .transactions import end_transaction, run_guarded, run_in_transaction

_logger = logging.getLogger(__name__)


def read_site_facts(env, site, client):
    """Ask a site's Matomo, and follow what it says.

    No transaction is open while Matomo answers.

    :return: whether orders can be sent
    """
    asked = site.url, site.idsite
    timeout = site.order_timeout
    end_transaction(env)
    facts = read_facts(client, asked[1], timeout)

    def apply():
        site.invalidate_recordset()
        if (site.url, site.idsite) != asked:
            # It was moved meanwhile: the answers are another site's.
            return False
        return not site._apply_facts(facts)

    return run_in_transaction(env, apply)


def read_all_facts(env):
    """Ask the Matomo of every site that may be asked now."""
    for site in env["matomo.site"].search([]):
        if not site._may_run() or not site._get__token():
            continue
        # A wrong token is not tried more often than the sender does.
        if site._is_waiting("next_attempt_date"):
            continue
        message = "Matomo site %s cannot be asked"
        run_guarded(env, partial(_read_facts, env, site), message, site.id)


def _read_facts(env, site):
    site = site.with_env(site._get_message_env())
    try:
        with closing(site._get__client(report_timeout=schedule.READ_TIMEOUT)) as client:
            read_site_facts(env, site, client)
    except MatomoError as error:
        _logger.warning("Matomo site %s is not asked: %s", site.id, error)
