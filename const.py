"""What several models name: states, groups, the fields of a shopper."""

from datetime import timedelta
from typing import NamedTuple

USER_GROUP = "matomo_order_tracking.group_matomo_user"
MANAGER_GROUP = "matomo_order_tracking.group_matomo_manager"

STATES = [
    ("excluded", "Not Tracked"),
    ("pending", "Waiting"),
    ("sent", "Sent"),
    ("verified", "Verified"),
    ("different", "Different in Matomo"),
    # A person has said so: Odoo sends nothing, and does not look for it.
    ("elsewhere", "From Another System"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]
# What Matomo has.
ACCEPTED_STATES = ("sent", "verified", "different", "elsewhere")
# A sales order whose request is in one of these states counts nowhere.
UNCOUNTED_STATES = ("excluded", "cancelled")
ALLOWED_STATES = {
    "excluded": {"pending"},
    "pending": {
        "excluded",
        "sent",
        "verified",
        "different",
        "elsewhere",
        "failed",
        "cancelled",
    },
    "sent": {"pending", "verified", "different", "failed"},
    "verified": {"pending", "different", "failed"},
    "different": {"pending", "verified", "elsewhere", "failed"},
    "elsewhere": {"pending"},
    "failed": {
        "excluded",
        "pending",
        "sent",
        "verified",
        "different",
        "elsewhere",
        "cancelled",
    },
    "cancelled": {"excluded", "pending"},
}
# The metadata of the guide, as stored on the order.
SHOPPER_FIELDS = (
    "matomo_ip_address",
    "matomo_user_agent",
    "matomo_accept_language",
    "matomo_client_hints",
    "matomo_browser_flags",
    "matomo_visitor_id",
    "matomo_user_id",
    "matomo_attribution_info",
)
# To this route the tag of a site without cookies tells what the browser can show.
FEATURES_ROUTE = "/matomo_order_tracking/browser"
# To this route the tag tells that a page is shown which was prerendered.
ARRIVAL_ROUTE = "/matomo_order_tracking/arrival"
# What is older than the retention and this is anonymized, whatever waits for it.
RETENTION_MARGIN = timedelta(days=30)


class Verdict(NamedTuple):
    """What is to become of an order: a state of its request, and why, if excluded."""

    state: str
    reason: str | bool = False


# The ID of a test order of the wizard, in Matomo, begins with it.
TEST_ORDER_PREFIX = "ODOO-TEST-"

# What a job does: the kinds of ``matomo.job``, and their labels.
JOB_KINDS = [("backfill", "Backfill"), ("compare", "Comparison")]
