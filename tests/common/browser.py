"""A real Chromium for the tests, used as a shopper uses it."""

import json
import time
from contextlib import ExitStack, closing, contextmanager

import websocket

from odoo.tests.common import ChromeBrowser, HttpCase

from .shop import BROWSER

# The first visible element of a selector, if given with that text in it.
FIND = """
(selector, text) => [...document.querySelectorAll(selector)].find((element) => {
    const box = element.getBoundingClientRect();
    return box.width && box.height && (!text || element.innerText.includes(text));
})
"""
# Whether the page's scripts have started.
READY = "document.body.getAttribute('is-ready') === 'true'"


class Page:
    """The only tab of a browser."""

    def __init__(self, browser, base_url):
        self._browser = browser
        self._base_url = base_url
        self.is_matomo_blocked = False
        browser._handlers["Fetch.requestPaused"] = self._pass_on
        self.set_user_agent(BROWSER)

    def _pass_on(self, **params):
        """Block a request to Matomo if an ad blocker is on. Let all others pass."""
        if (
            self.is_matomo_blocked
            and "matomo" in params["request"]["url"].rpartition("/")[2]
        ):
            self._browser._websocket_send(
                "Fetch.failRequest",
                params={
                    "requestId": params["requestId"],
                    "errorReason": "BlockedByClient",
                },
            )
        else:
            self._browser._handle_request_paused(**params)

    def goto(self, path, referrer=None, is_ready=READY):
        """Open a page of the shop and wait for its scripts."""
        params = {"url": self._base_url + path}
        if referrer:
            params["referrer"] = referrer
        self.evaluate("window.isLeft = true")
        self._browser._websocket_request("Page.navigate", params=params, timeout=60)
        self.arrive(is_ready=is_ready)

    def arrive(self, path="", is_ready=READY):
        """Wait until the next page is loaded."""
        self.wait(
            f"!window.isLeft && location.pathname.includes({json.dumps(path)})"
            f" && document.readyState === 'complete' && {is_ready}"
        )

    def set_cookie(self, name, value):
        self._browser._websocket_request(
            "Network.setCookie",
            params={"name": name, "value": value, "url": self._base_url},
        )

    def set_user_agent(self, user_agent, **options):
        """Say something else than ``BROWSER``; options are the browser's own."""
        self._browser._websocket_request(
            "Network.setUserAgentOverride",
            params={"userAgent": user_agent, **options},
        )

    def evaluate(self, expression):
        answer = self._browser._websocket_request(
            "Runtime.evaluate",
            params={
                "expression": expression,
                "awaitPromise": True,
                "returnByValue": True,
            },
            timeout=60,
        )
        return (answer or {}).get("result", {}).get("value")

    def wait(self, expression, timeout=60):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.05)
        self._browser.take_screenshot()
        where = self.evaluate("location.href")
        raise AssertionError(f"{expression} was not true within {timeout} s at {where}")

    def click(self, selector, text="", leaves=False):
        """Click an element once it is there."""
        arguments = f"{json.dumps(selector)}, {json.dumps(text)}"
        self.wait(f"!!({FIND})({arguments})")
        if leaves:
            self.evaluate("window.isLeft = true")
        self.evaluate(f"({FIND})({arguments}).click()")
        if leaves:
            self.arrive()

    def fill(self, **values):
        """Fill in the fields of a form by their names."""
        for name, value in values.items():
            self.evaluate(
                f"""(() => {{
                    const field = document.querySelector("[name='{name}']");
                    field.value = {json.dumps(value)};
                    field.dispatchEvent(new Event("input", {{bubbles: true}}));
                    field.dispatchEvent(new Event("change", {{bubbles: true}}));
                }})()"""
            )

    @contextmanager
    def offline(self):
        """Take the network from this tab and its workers until the block ends."""
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    closing(
                        websocket.create_connection(
                            target["webSocketDebuggerUrl"], suppress_origin=True
                        )
                    )
                )
                for target in self._browser._json_command("list")
                if target["type"].endswith("worker")
            ]
            self._take_network(True, workers)
            yield
            self._take_network(False, workers)

    def _take_network(self, offline, workers):
        conditions = {
            "offline": offline,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": -1,
        }
        for method, params in (
            ("Network.enable", {}),
            ("Network.emulateNetworkConditions", conditions),
        ):
            for worker in workers:
                worker.send(json.dumps({"id": 1, "method": method, "params": params}))
            self._browser._websocket_request(method, params=params)

    def cookies(self):
        """Return the cookies that scripts may read."""
        pairs = (
            each.split("=", 1) for each in self.evaluate("document.cookie").split("; ")
        )
        return {pair[0]: pair[-1] for pair in pairs}


class BrowserCase(HttpCase):
    """Tests with a Chromium; the test's own transaction waits meanwhile."""

    @contextmanager
    def browse(self):
        """Open a private window on the shop."""
        self.cr.flush()
        self.cr.clear()
        browser = ChromeBrowser(self)
        try:
            with ExitStack() as self._requests:
                self._requests.enter_context(self.allow_requests(browser=browser))
                self._browser = browser
                yield Page(browser, self.base_url())
                self._leave_page()
        finally:
            browser.stop()
        self.env.invalidate_all()

    def _leave_page(self):
        self._browser.navigate_to("about:blank", wait_stop=True)
        self._wait_remaining_requests()

    @contextmanager
    def between_pages(self):
        """Show an empty page until the block ends: the browser sends nothing."""
        self._leave_page()
        self._requests.close()
        self.env.invalidate_all()
        yield
        self.cr.flush()
        self.cr.clear()
        self._requests.enter_context(self.allow_requests(browser=self._browser))
