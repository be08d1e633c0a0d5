"""What a guard around our own work must let pass."""

from psycopg2 import InterfaceError, OperationalError

from odoo.exceptions import ConcurrencyError

# Whoever began the transaction has to hear of these: it is to be replayed, or its
# connection is gone. Swallowed, they would make a sale look made that never was: a
# commit on a lost connection raises nothing.
NOT_TO_SWALLOW = (OperationalError, InterfaceError, ConcurrencyError)
