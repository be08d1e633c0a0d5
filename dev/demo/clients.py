"""Odoo and Matomo over HTTP, as a person outside talks to them."""

import http.cookiejar
import json
import time
import urllib.parse
import urllib.request

from machine import Trouble

LOGIN = {"login": "admin", "password": "admin"}


class Odoo:
    """Odoo as its own web client talks to it: a session and JSON-RPC."""

    def __init__(self, url, database):
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self._post("/web/session/authenticate", db=database, **LOGIN)

    def _post(self, path, **parameters):
        call = {"jsonrpc": "2.0", "method": "call", "params": parameters}
        request = urllib.request.Request(
            self.url + path,
            json.dumps(call).encode(),
            {"Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=120) as answer:
            answer = json.load(answer)
        if "error" in answer:
            data = answer["error"]["data"]
            raise Trouble(f"Odoo refused {path}: {data['name']}: {data['message']}")
        return answer["result"]

    def call(self, model, method, *arguments, **options):
        return self._post(
            f"/web/dataset/call_kw/{model}/{method}",
            model=model,
            method=method,
            args=arguments,
            kwargs=options,
        )

    def create(self, model, **values):
        """Create a record; return its id."""
        return self.call(model, "create", [values])[0]

    def write(self, model, record, **values):
        self.call(model, "write", [record], values)

    def read(self, model, fields, domain=(), **options):
        """Return the records of a domain, as dicts."""
        return self.call(
            model, "search_read", domain=list(domain), fields=fields, **options
        )

    def ref(self, name):
        """Return the id of a record by its XML id."""
        module, name = name.split(".")
        domain = [("module", "=", module), ("name", "=", name)]
        [found] = self.read("ir.model.data", ["res_id"], domain)
        return found["res_id"]


class Matomo:
    """Matomo's Reporting API, as the holder of a token."""

    def __init__(self, url, token):
        self._url = url + "index.php"
        self._token = token

    def call(self, method, **parameters):
        form = {"module": "API", "method": method, "format": "json"}
        form |= parameters | {"token_auth": self._token}
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(self._url, body, timeout=120) as answer:
            answer = json.load(answer)
        if isinstance(answer, dict) and answer.get("result") == "error":
            raise Trouble(f"Matomo refused {method}: {answer['message']}")
        return answer


def poll(condition, patience, trouble=None):
    """Ask until the condition holds; return false or raise Trouble after the time."""
    deadline = time.monotonic() + patience
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(1)
    if not held and trouble:
        raise Trouble(trouble)
    return held
