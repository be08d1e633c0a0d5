"""What the field does to requests, as rules of the stand-in; and a stranger.

A rule is a function ``rule(request, pass_on)``. It returns an ``Answer``: its own, or
what ``pass_on(request)`` returns, which asks the next rule and at last Matomo. Each
function below returns a rule.
"""

import gzip
import json
import urllib.parse
import urllib.request
from dataclasses import dataclass, field, replace
from itertools import count

HTML = b"<!DOCTYPE html><html><body><h1>Please stand by</h1></body></html>"
# What Matomo's tracker answers to a single request, and QueuedTracking to all.
GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
PHP_MESSAGE = (
    b"<br />\n<b>%s</b>:  Undefined array key &quot;theme&quot; in "
    b"<b>/srv/www/auto_prepend.php</b> on line <b>7</b><br />\n"
)
GONE_AWAY = "SQLSTATE[HY000]: General error: 2006 MySQL server has gone away"
NO_ACCESS = "You can't access this resource as it requires 'view' access for id = 1."
LOG_OFF = (
    "Visits log is deactivated globally. A user with super user access can enable this "
    "feature in the general settings."
)
VISITS_LOG = "Live.getLastVisitsDetails"


@dataclass(frozen=True)
class Request:
    """A request on its way to Matomo.

    :ivar path: with its query
    """

    command: str
    path: str
    headers: dict
    body: bytes

    @property
    def is_tracking(self):
        return urllib.parse.urlsplit(self.path).path.endswith("/matomo.php")

    @property
    def api_method(self):
        """The method of the reporting API that is called, "" if none is."""
        if self.is_tracking:
            return ""
        return dict(urllib.parse.parse_qsl(self.body.decode())).get("method", "")

    @property
    def orders(self):
        """The parameters of the orders in a bulk; probes and carts are none."""
        try:
            bulk = json.loads(self.body)["requests"] if self.is_tracking else []
        except (ValueError, KeyError):
            return []
        return [parameters for parameters in bulk if "ec_id" in parameters]


@dataclass(frozen=True)
class Answer:
    """An answer on its way back."""

    status: int
    body: bytes = b""
    headers: dict = field(default_factory=dict)


# The client is kept waiting until it gives up.
SILENCE = Answer(0)


def answer_json(content, status=200):
    return Answer(
        status, json.dumps(content).encode(), {"Content-Type": "application/json"}
    )


# === PROXIES, FIREWALLS, LIMITS === #


def refuse(status, retry_after=None, times=None):
    """Refuse requests to the tracker.

    :param retry_after: for how long the server wants to be left alone (seconds)
    :param times: how many requests are refused; None: all
    """
    left = count() if times is None else iter(range(times))
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    def rule(request, pass_on):
        if request.is_tracking and next(left, None) is not None:
            return Answer(status, HTML, headers)
        return pass_on(request)

    return rule


def refuse_larger(limit, status=413, is_recorded=False):
    """Refuse bodies of more than ``limit`` bytes.

    :param is_recorded: whether Matomo gets them, as before a gateway that gives up
    """

    def rule(request, pass_on):
        if len(request.body) <= limit:
            return pass_on(request)
        if is_recorded:
            pass_on(request)
        return Answer(status, HTML)

    return rule


def refuse_phrase(phrase, status=403, is_read_refused=False):
    """Refuse requests to the tracker that contain a phrase, in any case.

    :param is_read_refused: whether questions that contain it are refused, too
    """

    def rule(request, pass_on):
        body = request.body.decode()
        if not request.is_tracking and is_read_refused:
            # Firewalls decode what was encoded more than once.
            for _ in range(5):
                body = urllib.parse.unquote_plus(body)
        elif not request.is_tracking:
            body = ""
        if phrase.lower() in body.lower():
            return Answer(status, HTML)
        return pass_on(request)

    return rule


def answer_nothing_over(limit):
    """Say nothing to bulks of more than ``limit`` orders."""

    def rule(request, pass_on):
        return SILENCE if len(request.orders) > limit else pass_on(request)

    return rule


# === WHAT IS MIXED INTO ANSWERS === #


def mix_in(before=b"", after=b""):
    """Write something before and after each answer."""

    def rule(request, pass_on):
        answer = pass_on(request)
        return replace(answer, body=before + answer.body + after)

    return rule


def show_php_messages():
    """Show PHP's messages, as with ``display_errors=1``."""
    return mix_in(PHP_MESSAGE % b"Notice", PHP_MESSAGE % b"Warning")


def add_byte_order_mark():
    """Begin each answer with a byte order mark, as a PHP file saved with one does."""
    return mix_in(b"\xef\xbb\xbf")


def compress():
    """Compress each answer, whatever the client asked for."""

    def rule(request, pass_on):
        answer = pass_on(request)
        headers = {**answer.headers, "Content-Encoding": "gzip"}
        return replace(answer, body=gzip.compress(answer.body), headers=headers)

    return rule


def queue():
    """Play the plugin QueuedTracking (docs/matomo.md section 15).

    It looks for ``queuedtracking=0`` in the address only. Without it, a GIF is the
    answer, whatever becomes of the requests.
    """

    def rule(request, pass_on):
        answer = pass_on(request)
        if not request.is_tracking or "queuedtracking=0" in request.path:
            return answer
        return Answer(
            200, GIF, {"Content-Type": "image/gif", "Content-Encoding": "none"}
        )

    return rule


# === THE REPORTING API === #


def break_reports(
    message=GONE_AWAY, status=200, times=None, method="", content_type="json"
):
    """Answer calls of the reporting API with an error.

    :param times: how many calls; None: all
    :param method: of the API, "" for all
    :param content_type: "json" if Matomo itself says it, "html" if a server before it
    """
    left = count() if times is None else iter(range(times))

    def rule(request, pass_on):
        called = request.api_method
        if not called or (method and called != method) or next(left, None) is None:
            return pass_on(request)
        if content_type == "html":
            return Answer(status, HTML)
        return answer_json({"result": "error", "message": message}, status)

    return rule


def switch_visits_log_off(times=None):
    """Answer as a Matomo whose visits log is switched off."""
    return break_reports(LOG_OFF, times=times, method=VISITS_LOG)


def cut_visits(limit):
    """Show only the first actions of a visit (docs/matomo.md section 15)."""

    def rule(request, pass_on):
        answer = pass_on(request)
        if request.api_method != VISITS_LOG or answer.status != 200:
            return answer
        visits = json.loads(answer.body)
        for visit in visits if isinstance(visits, list) else []:
            more = len(visit["actionDetails"]) - limit
            if more > 0:
                visit["actionDetails"] = visit["actionDetails"][:limit]
                visit["truncatedActionsCount"] = more
        return answer_json(visits)

    return rule


# === A STRANGER === #


class Stranger:
    """Somebody on the internet: Matomo records without a token what has no address.

    :param url: of Matomo
    """

    def __init__(self, url, idsite):
        self.url = url
        self.idsite = idsite

    def track(self, **parameters):
        """Track something, as anybody's browser can."""
        query = urllib.parse.urlencode(
            {"idsite": self.idsite, "rec": 1, "send_image": 0, **parameters}
        )
        with urllib.request.urlopen(f"{self.url}matomo.php?{query}", timeout=60):
            pass

    def forge_order(self, ref, revenue=1, **parameters):
        """Track an order under any ID, of any revenue."""
        self.track(idgoal=0, ec_id=ref, revenue=revenue, ec_items="[]", **parameters)
