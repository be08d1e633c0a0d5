"""How long the delivery waits, and the one factor that makes it wait less.

Programs that prove the delivery cannot wait as long as people can: they start
Odoo with ``MATOMO_TIME_FACTOR=0.01``, say. Nobody else sets it.
"""

import os
from datetime import timedelta

# No row waits longer, so who seems to has been put off by a clock that was wrong.
LONGEST_WAIT = timedelta(hours=2)
FACTOR = float(os.environ.get("MATOMO_TIME_FACTOR") or 1)


def scaled(**duration):
    """A ``timedelta`` of that duration, times the factor."""
    return timedelta(**duration) * FACTOR
