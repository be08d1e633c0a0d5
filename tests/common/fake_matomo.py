"""A Matomo in memory that answers as a live one was measured to (docs/matomo.md).

It stands in for the network alone: tests replace ``requests.Session.post`` with
its ``post``, so that everything above the socket is the addon's own.
"""

import html
import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from hashlib import sha1
from urllib.parse import unquote

import requests

from ...matomo_api.tracking import get_visitor_id

TOKEN = "0123456789abcdef0123456789abcdef"


class FakeResponse:
    """An HTTP answer, as far as the client reads it."""

    def __init__(self, status_code, body=b"", headers=None):
        self.status_code = status_code
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = requests.structures.CaseInsensitiveDict(headers or {})

    def iter_content(self, size):
        yield self.body

    def close(self):
        pass


def lose(answer):
    """Record the request and lose the answer on its way: a fault of ``FakeMatomo``."""
    raise requests.ConnectionError("connection reset")


@dataclass
class Login:
    """Somebody who may log in to a Matomo.

    :ivar code: of two-factor authentication, "" without it
    :ivar access: numbers of sites to which they may write, as texts
    """

    password: str
    is_superuser: bool = False
    email: str = ""
    code: str = ""
    access: set = field(default_factory=set)


def _cut(rows, data):
    """Return the page of a list that is asked for: the first hundred by default."""
    offset, limit = (
        int(data.get("filter_offset", 0)),
        int(data.get("filter_limit", 100)),
    )
    return rows[offset:] if limit < 0 else rows[offset : offset + limit]


def _refuse(message, status=200):
    return FakeResponse(status, {"result": "error", "message": message})


class FakeMatomo:
    """One Matomo server with its sites, orders and rights."""

    def __init__(self, token=TOKEN, idsites=(1, 2, 3)):
        self.token = token
        self.idsites = {str(idsite) for idsite in idsites}
        # The orders it has recorded: {(idsite, key of the order id): parameters}.
        self.orders = {}
        # Its events, which it never deduplicates.
        self.events = []
        # Its page views, which it never deduplicates either.
        self.page_views = []
        # Every request that arrived: {"url", "data", "timeout"}.
        self.requests = []
        # Bulks of orders, carts and events, as lists of parameters.
        self.bulks = []
        # What is done instead of answering, in order: an exception to raise, a
        # response, or a function that takes the usual answer.
        self.faults = []
        # The same for bulks of page views, which go before those of orders.
        self.view_faults = []
        # Of a user with admin access to its sites, who may delete visits.
        self.admin_token = f"admin{token[5:]}"
        # Its visits log and visitor profiles.
        self.has_profiles = True
        self.may_read = True
        self.is_superuser = False
        # Whether the token may record; without it, it may only read.
        self.may_write = True
        # Whether every call of the reporting API is refused, as by a firewall.
        self.is_reporting_closed = False
        self.version = "5.3.1"
        # Its plugins that are asked for.
        self.plugins = set()
        # Whether it shows single visits.
        self.has_visits_log = True
        # Addresses of its sites besides the main one.
        self.more_urls = []
        # What it says of its sites, and otherwise of one of them: {idsite: values}.
        self.sites = {}
        self.site = {
            "name": "Fake shop",
            "main_url": "https://shop.example.com",
            "currency": "USD",
            "timezone": "UTC",
            "ecommerce": "1",
        }
        # Whether the visit of an order has a page view before it.
        self.has_pages = False
        # Matomo's privacy setting "Anonymize Order ID".
        self.anonymises = False
        # A test of one set of parameters: true if they are silently dropped.
        self.drops = lambda parameters: False
        # A test of one set of parameters: true if PHP stumbles over them, and the
        # whole bulk is rolled back (docs/matomo.md section 3).
        self.breaks = lambda parameters: False
        # A test of one set of parameters: true if they are refused.
        self.refuses = lambda parameters: False

        # Who may log in: {login: Login}.
        self.logins = {}
        # Tokens that were made: {token: login}.
        self.made_tokens = {}

    def post(self, url, data=None, **options):
        """Answer in the place of ``requests.Session.post``."""
        self.requests.append({"url": url, "data": data, "options": options})
        faults = self.view_faults if _is_of_views(url, data) else self.faults
        fault = faults.pop(0) if faults else None
        if isinstance(fault, Exception):
            raise fault
        if isinstance(fault, FakeResponse):
            return fault
        answer = self._answer(url, data)
        return fault(answer) if fault else answer

    def _answer(self, url, data):
        if url.partition("?")[0].endswith("/index.php"):
            return self._report(data)
        return self._bulk(json.loads(data))

    # === TRACKING === #

    def _bulk(self, body):
        first = body["requests"][0]
        if first["rec"] == "1" and not _is_view(first):
            self.bulks.append(body["requests"])
        if any(map(self.breaks, body["requests"])):
            return FakeResponse(500)
        invalid = sum(
            not self._track(parameters, body["token_auth"])
            for parameters in body["requests"]
        )
        tracked = len(body["requests"]) - invalid
        answer = {"status": "success", "tracked": tracked, "invalid": invalid}
        if self.is_superuser:
            answer["invalid_indices"] = []
        return FakeResponse(200, answer)

    def _track(self, parameters, token):
        """Record a request. Return whether it counts as tracked."""
        made_for = self.logins.get(self.made_tokens.get(token))
        if made_for and parameters["idsite"] in made_for.access:
            token = self.token
        if token != self.token or parameters["idsite"] not in self.idsites:
            return False
        if not self.may_write:
            return False
        if parameters["rec"] == "0":
            # The probe: judged, and nothing stored (docs/matomo.md section 4).
            return True
        if self.refuses(parameters):
            return False
        if self.drops(parameters):
            return True
        if "e_c" in parameters:
            self.events.append(parameters)
        if _is_view(parameters):
            self.page_views.append(parameters)
        if not parameters.get("ec_id"):
            return True
        if self.anonymises:
            random_ref = sha1(f"{len(self.orders)}".encode()).hexdigest()
            parameters = {**parameters, "ec_id": random_ref}
        key = parameters["idsite"], parameters["ec_id"].casefold()
        if key in self.orders:
            return False
        self.orders[key] = parameters
        return True

    # === REPORTING === #

    def _report(self, data):
        if self.is_reporting_closed:
            return FakeResponse(403, b"<html>Forbidden</html>")
        if data["method"].startswith(("PrivacyManager.", "Live.isVisitor")):
            return self._erase(data)
        if self.logins and (answer := self._set_up(data)):
            return answer
        if data["token_auth"] != self.token:
            return FakeResponse(401, b"<!DOCTYPE html><html>unknown token</html>")
        if data["method"] == "SitesManager.getSitesIdWithAtLeastViewAccess":
            idsites = map(int, self.idsites) if self.may_read else ()
            return FakeResponse(200, sorted(idsites))
        if data["method"] == "SitesManager.getSitesIdWithAdminAccess":
            idsites = map(int, self.idsites) if self.is_superuser else ()
            return FakeResponse(200, sorted(idsites))
        if data["method"] == "API.getMatomoVersion":
            return FakeResponse(200, {"value": self.version})
        if data["method"] == "API.isPluginActivated":
            return FakeResponse(200, {"value": data["pluginName"] in self.plugins})
        if data["method"].startswith("SitesManager.getExcluded"):
            # Only an administrator is told (docs/matomo.md section 16).
            message = "You can't access this resource as it requires 'admin' access."
            return FakeResponse(401, {"result": "error", "message": message})
        if not self.may_read or data["idSite"] not in self.idsites:
            message = "You can't access this resource as it requires 'view' access"
            return FakeResponse(401, {"result": "error", "message": message})
        if data["method"] == "SitesManager.getSiteFromId":
            return FakeResponse(
                200, {**self.site, **self.sites.get(data["idSite"], {})}
            )
        if data["method"] == "SitesManager.getSiteUrlsFromId":
            site = {**self.site, **self.sites.get(data["idSite"], {})}
            return FakeResponse(200, [site["main_url"], *self.more_urls])
        if data["method"].startswith("Live.getLast") and data["date"] == "today":
            return self._show_log()
        orders = [
            parameters
            for (idsite, _key), parameters in self.orders.items()
            if idsite == data["idSite"] and _is_within(parameters, data)
        ]
        if data["method"] == "Goals.get" and data["period"] == "range":
            orders = [each for each in orders if _is_wanted(each, data["segment"])]
            return FakeResponse(200, _sum_up(orders))
        if data["method"] == "Goals.get":
            return FakeResponse(200, report_days(orders, data["date"]))
        return FakeResponse(
            200,
            [
                _visit(parameters, self.has_pages)
                for parameters in orders
                if _is_wanted(parameters, data["segment"])
            ]
            + [
                _event_visit(event)
                for event in self.events
                if f"eventName=={event['e_n']}" in data["segment"].split(",")
            ],
        )

    def _show_log(self):
        if self.has_visits_log:
            return FakeResponse(200, [])
        message = "Visits log is deactivated in website settings."
        return FakeResponse(200, {"result": "error", "message": message})

    # === SETTING UP === #

    def _set_up(self, data):
        """Answer what sets Matomo up (docs/matomo.md section 16), None to all else."""
        method = data["method"].partition(".")[2]
        if method == "createAppSpecificTokenAuth":
            return self._make_token(data)
        login = self.logins.get(self.made_tokens.get(data["token_auth"]))
        if not login:
            return None
        if method == "addSite" and login.is_superuser:
            idsite = str(max(map(int, self.idsites)) + 1)
            self.idsites.add(idsite)
            self.sites[idsite] = {
                "name": data["siteName"],
                "main_url": data.get("urls[0]", ""),
                "currency": data["currency"],
                "timezone": data["timezone"],
                "ecommerce": data["ecommerce"],
            }
            return FakeResponse(200, {"value": int(idsite)})
        answers = {
            "addUser": self._add_user,
            "updateUser": self._update_user,
            "setUserAccess": self._give_access,
            "updateSite": self._update_site,
        }
        if method in answers:
            if not login.is_superuser:
                return _refuse("it requires a 'superuser' access.", 401)
            return answers[method](data)
        return self._tell(method, login, data)

    def _make_token(self, data):
        login = self.logins.get(data["userLogin"])
        if not login or login.password != data["passwordConfirmation"]:
            return _refuse("The current password you entered is not correct.")
        if login.code and not data.get("authCode"):
            return _refuse("Please specify a two-factor authentication code.", 401)
        if login.code and login.code != data["authCode"]:
            return _refuse("Incorrect two-factor authentication code.", 401)
        token = sha1(f"token {len(self.made_tokens)}".encode()).hexdigest()[:32]
        self.made_tokens[token] = data["userLogin"]
        return FakeResponse(200, {"value": token})

    def _add_user(self, data):
        if data["userLogin"] in self.logins:
            return _refuse("Username: Username 'x' already exists.")
        self.logins[data["userLogin"]] = Login(data["password"], email=data["email"])
        return FakeResponse(200, {"result": "success", "message": "ok"})

    def _update_user(self, data):
        by = self.logins[self.made_tokens[data["token_auth"]]]
        if data.get("passwordConfirmation") != by.password:
            return _refuse("Please enter your password to confirm this change.")
        self.logins[data["userLogin"]].password = data["password"]
        return FakeResponse(200, {"result": "success", "message": "ok"})

    def _give_access(self, data):
        self.logins[data["userLogin"]].access.add(data["idSites"])
        return FakeResponse(200, {"result": "success", "message": "ok"})

    def _update_site(self, data):
        self.sites.setdefault(data["idSite"], {})["ecommerce"] = data["ecommerce"]
        return FakeResponse(200, {"result": "success", "message": "ok"})

    def _tell(self, method, login, data):
        """Answer what a login asks of itself and of its sites."""
        mine = self.idsites if login.is_superuser else login.access & self.idsites
        numbers = sorted(map(int, mine))
        admin = numbers if login.is_superuser else []
        rows = [
            {**self.site, **self.sites.get(str(number), {}), "idsite": number}
            for number in numbers
        ]
        answers = {
            "hasSuperUserAccess": {"value": login.is_superuser},
            "isPluginActivated": {"value": True},
            "getSitesWithAtLeastViewAccess": _cut(rows, data),
            "getSitesIdWithAdminAccess": admin,
            "getSitesIdWithWriteAccess": [] if login.is_superuser else numbers,
            "getSitesIdWithAtLeastViewAccess": numbers,
        }
        if method in answers:
            return FakeResponse(200, answers[method])
        if method == "getUser":
            user = self.logins[data["userLogin"]]
            return FakeResponse(
                200,
                {"email": user.email, "superuser_access": int(user.is_superuser)},
            )
        # What the site's own token may read.
        data["token_auth"] = self.token
        return None

    def _erase(self, data):
        """Answer what Matomo's GDPR tools ask (docs/matomo.md section 16)."""
        if data["token_auth"] != self.admin_token:
            message = "You can't access this resource as it requires 'admin' access."
            return FakeResponse(401, {"result": "error", "message": message})
        if data["method"] == "Live.isVisitorProfileEnabled":
            return FakeResponse(200, {"value": self.has_profiles})
        visits = {
            str(number): (where, each)
            for number, (where, each) in enumerate(
                [*self.orders.items(), *((None, event) for event in self.events)]
            )
        }
        if data["method"] == "PrivacyManager.findDataSubjects":
            found = [
                {"idSite": int(data["idSite"]), "idVisit": int(number)}
                for number, (_where, each) in visits.items()
                if each["idsite"] == data["idSite"]
                and _is_wanted({"ec_id": "", **each}, data["segment"])
            ]
            return FakeResponse(200, found)
        for name, value in data.items():
            if name.endswith("[idvisit]"):
                where, each = visits[value]
                if where:
                    del self.orders[where]
                else:
                    self.events.remove(each)
        return FakeResponse(200, {"log_visit": 1})


def _is_view(parameters):
    return parameters["rec"] == "1" and not {"idgoal", "e_c"} & parameters.keys()


def _is_of_views(url, data):
    """Return whether a request is a bulk of page views."""
    return "/matomo.php" in url and all(map(_is_view, json.loads(data)["requests"]))


def _is_within(parameters, data):
    """Return whether an order is of the days of a question, in a site in UTC.

    The visits log shows the first second of the next day as well.
    """
    first, last = data["date"].split(",")
    midnight = f"{date.fromisoformat(last) + timedelta(days=1)} 00:00:00"
    is_next = data["method"].startswith("Live.") and parameters["cdt"] == midnight
    return is_next or first <= parameters["cdt"][:10] <= last


def report_days(orders, dates):
    """Return the answer of Goals.get; a day without orders is an empty list."""
    first, last = map(date.fromisoformat, dates.split(","))
    days = [
        (first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)
    ]
    return {
        day: _sum_up(same)
        if (same := [order for order in orders if order["cdt"].startswith(day)])
        else []
        for day in days
    }


def _sum_up(orders):
    def add_up(name):
        return sum(float(order.get(name, 0)) for order in orders)

    return {
        "nb_conversions": len(orders),
        "revenue": add_up("revenue"),
        "revenue_tax": add_up("ec_tx"),
        "revenue_shipping": add_up("ec_sh"),
        "revenue_discount": add_up("ec_dt"),
        "items": sum(
            quantity
            for order in orders
            for *_item, quantity in json.loads(order.get("ec_items", "[]"))
        ),
    }


def _is_wanted(parameters, segment):
    """Return whether one of the segment's conditions selects a visit."""
    values = {
        "orderId": parameters["ec_id"],
        "visitorId": get_visitor_id(parameters),
        "visitEcommerceStatus": "ordered",
    }
    for condition in segment.split(","):
        name, _operator, value = condition.partition("==")
        if values.get(name) in (value, unquote(unquote(unquote(value)))):
            return True
    return False


def _timestamp(parameters):
    time = datetime.strptime(parameters["cdt"], "%Y-%m-%d %H:%M:%S")
    return int(time.replace(tzinfo=timezone.utc).timestamp())


def _visit(parameters, has_pages):
    page = {"type": "action", "timestamp": _timestamp(parameters) - 60}
    return {
        "visitorId": get_visitor_id(parameters),
        "actionDetails": [
            *([page] if has_pages else []),
            {
                "type": "ecommerceOrder",
                "orderId": html.escape(parameters["ec_id"]),
                "revenue": float(parameters["revenue"]),
                "revenueSubTotal": float(parameters["ec_st"]),
                "revenueTax": float(parameters["ec_tx"]),
                "revenueShipping": float(parameters["ec_sh"]),
                "revenueDiscount": float(parameters["ec_dt"]),
                "timestamp": _timestamp(parameters),
                "itemDetails": [
                    {
                        "itemSKU": sku,
                        "itemName": html.escape(name),
                        "categories": categories,
                        "price": price,
                        "quantity": quantity,
                    }
                    for sku, name, categories, price, quantity in json.loads(
                        parameters["ec_items"]
                    )
                ],
            },
        ],
    }


def _event_visit(event):
    return {
        "visitorId": event["cid"],
        "actionDetails": [
            {
                "type": "event",
                "eventCategory": event["e_c"],
                "eventAction": event["e_a"],
                "eventName": event["e_n"],
                "eventValue": float(event["e_v"]),
                "timestamp": _timestamp(event),
            }
        ],
    }
