"""The base classes and helpers of the tests.

``browser`` and ``real_*`` are not imported here: they need
libraries that Odoo does without.
"""

from .amounts import AmountsCommon, cents
from .canary import CANARY, holds
from .copies import CopyCase
from .fake_matomo import TOKEN, FakeMatomo, FakeResponse, Login, lose
from .comparison import ComparisonCommon
from .failures import everything_fails
from .loggers import LOGGER
from .refunds import RefundCommon
from .reports import ReportsCommon
from .shop import (
    ADDRESS,
    BROWSER,
    SIGNATURE,
    VISITOR,
    CheckoutCommon,
    ShopperCommon,
    arrive,
    open_page,
)
from .site import MODULE, MatomoCommon
from .till import (
    IS_KEPT,
    UNSYNCED,
    MatomoPosCommon,
    TillCase,
    open_register,
    ring_up,
)
from .verdicts import VerdictsCommon
