"""How long the delivery waits: leases, back-off, and how often it tries.

Read these as attributes of the module (``schedule.LEASE``): a program that proves
the delivery cannot wait as long as people can, and sets shorter times.
"""

import random
from datetime import timedelta

# === A REQUEST === #

# A claimed request is nobody else's for this long; after a crash it is due again.
LEASE = timedelta(minutes=10)
# Of its lease, a delivery may use this share until it begins its last request to
# Matomo, which ends within the rest.
LEASE_SHARE = 0.8
# No request is ever deferred further. A later date was written while the server's
# clock was wrong: the request is due.
LONGEST_WAIT = timedelta(hours=2)
# The verifier reads an accepted order back after this time.
GRACE = timedelta(minutes=1)
# A little later, when the last order accepted in this second is due as well.
VERIFIER_SLACK = timedelta(seconds=1)
# An order that broke Matomo's server so often is given up, once Matomo takes others.
MAX_ERRORS = 3
# The same, if it takes no others: about three days, in which a person may see to the
# firewall that refuses all of them.
MAX_GENERAL_ERRORS = 72
# An order accepted so often and never recorded is given up.
MAX_MISSING = 3
# An order of which Matomo so often did not show whether it has it is left alone.
MAX_UNSEEN = 4
# An order whose ID was taken by other sales more often is given up.
MAX_TAKEN = 1

# === REFUNDS AND CARTS === #

# A refund waits this long for its order to be in Matomo.
ORDER_WAIT = timedelta(minutes=15)
# A credit note waits this long to be looked at again, while a draft invoice bills
# anew what it credits; it waits so long in all.
DRAFT_WAIT = timedelta(hours=1)
MAX_DRAFT_WAIT = timedelta(days=30)
# A refund that Matomo may have waits this long until the token may read whether.
UNREADABLE_WAIT = timedelta(hours=1)
# A cart waits this long to learn whose it is.
VISITOR_WAIT = timedelta(minutes=30)
# A second attempt to send a cart follows after this time, a third one never.
CART_RETRY = timedelta(seconds=30)
MAX_CART_ATTEMPTS = 2
# A claimed cart update gets this beyond its timeout before it is due again.
CART_LEASE_MARGIN = timedelta(seconds=30)
# In Matomo a visit ends after this time without action; until then its cart can
# become its order.
VISIT = timedelta(minutes=30)

# === A SITE === #

FIRST_BACKOFF = timedelta(seconds=30)
MAX_BACKOFF = timedelta(hours=1)
# A wrong token is tried again this often: 20 failures an hour lock the sender out
# of Matomo (docs/matomo.md section 5).
MISCONFIGURED_BACKOFF = timedelta(hours=1)
# A token that may not read is tried again after this time.
READ_REFUSED_WAIT = timedelta(days=1)
# No site waits longer; see LONGEST_WAIT.
LONGEST_SITE_WAIT = timedelta(hours=25)
# The last success is written down this often at most, or all lanes would write one
# row.
SUCCESS_INTERVAL = timedelta(minutes=1)

# === A RUN === #

# A run waits this long for silent servers in all, so that Odoo's other scheduled
# actions are not starved (seconds); a site's own timeout may be longer.
WAITING_BUDGET = 10
# Matomo may think this long about what it has recorded (seconds).
READ_TIMEOUT = WAITING_BUDGET
# The sender reports at most this many requests to the scheduler, because counting
# millions takes long.
MAX_REMAINING = 10_000

# A scheduled action that is later than this does not run.
ACTION_PATIENCE = timedelta(hours=2)

# === A BROWSER === #

# A matomo.js that has not started on a page by then is not there, or blocked.
VISITOR_PATIENCE = timedelta(seconds=2)


def get_patience():
    """Return the seconds after which a delivery asks Matomo nothing more."""
    return LEASE.total_seconds() * LEASE_SHARE


def get_cart_patience():
    """Return the same for cart updates, whose lease is shorter."""
    return CART_LEASE_MARGIN.total_seconds() / 2


def backoff(count, retry_after=0):
    """Return how long to wait after ``count`` failures in a row.

    :param retry_after: what the server asked for (seconds)
    """
    wait = min(FIRST_BACKOFF * 2 ** min(count - 1, 10), MAX_BACKOFF)
    # Jitter, so that many databases do not come back at the same moment.
    wait *= random.uniform(0.75, 1.25)
    return max(wait, timedelta(seconds=retry_after))
