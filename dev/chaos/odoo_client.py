"""A user of Odoo: what a browser or a till sends, with its own session."""

import http.client
import http.cookiejar
import json
import urllib.error
import urllib.request

TIMEOUT = 600


class Refused(Exception):
    """Odoo answered with an error, or not at all."""


class Client:
    """A person logged into one database."""

    def __init__(self, url, database, login, password):
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        session = self._ask(
            "/web/session/authenticate",
            {"db": database, "login": login, "password": password},
        )
        self.uid = session["uid"]

    def call(self, model, method, *arguments, **options):
        """Call a public method, as the web client does, and return its result.

        :raise Refused: if the call failed; Odoo may have done it all the same
        """
        return self._ask(
            f"/web/dataset/call_kw/{model}/{method}",
            {"model": model, "method": method, "args": arguments, "kwargs": options},
        )

    def create(self, model, **values):
        """Create a record; return its id."""
        return self.call(model, "create", [values])[0]

    def find(self, model, *domain, limit=None):
        """Return the ids of the records of a domain."""
        return self.call(model, "search", list(domain), limit=limit)

    def ref(self, name):
        """Return the id of a record by its XML id."""
        module, _, name = name.partition(".")
        [data] = self.call(
            "ir.model.data",
            "search_read",
            [("module", "=", module), ("name", "=", name)],
            ["res_id"],
        )
        return data["res_id"]

    def _ask(self, path, parameters):
        body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": parameters})
        request = urllib.request.Request(
            self.url + path,
            body.encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as page:
                answer = json.load(page)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Refused(f"{path}: {error}") from None
        if "error" in answer:
            data = answer["error"].get("data") or {}
            raise Refused(f"{path}: {data.get('name')}: {data.get('message')}")
        # Odoo leaves it out when there is none.
        return answer.get("result")
