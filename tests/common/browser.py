"""A real Chromium, which Playwright drives the way a shopper uses it."""

import inspect
import logging
import os
import sys
from contextlib import ExitStack, closing, contextmanager, nullcontext
from types import SimpleNamespace

from playwright._impl import _connection, _network, _sync_base
from playwright.sync_api import Error, sync_playwright

from odoo.tests.common import (
    TEST_CURSOR_COOKIE_NAME,
    HttpCase,
    _find_executable,
    save_test_file,
)
from odoo.tools import mute_logger

from .shop import BROWSER

# The browser finds no other machine: a test talks to this one alone.
RESOLVER = "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
# Scripts of tours, styles of paper, smileys: Odoo would make them for each test anew.
UNUSED = """
*/web.__assets_tests_call__.*
*/web.assets_emoji.*
*/web.assets_tests.*
*/web.assets_web_print.*
""".split()
# A script of video calls that some packages of Odoo leave out. It misses it, and so do
# the pages.
MISSING = "selfie_segmentation.js"
BUNDLES = "odoo.addons.base.models.assetsbundle"
# What scripts say on the console. It is not below the logger of the addon, which tests
# mute: they would miss the errors of its scripts.
CONSOLE = "odoo.tests.browser"
LEVELS = {"error": logging.ERROR, "warning": logging.WARNING}


def get_stack():
    """Return what ``inspect.stack()`` returns, without the lines of the source."""
    frame, stack = sys._getframe(1), []
    while frame:
        name = frame.f_code.co_name
        place = frame.f_code.co_filename, frame.f_lineno, name
        stack.append(inspect.FrameInfo(frame, *place, None, None))
        frame = frame.f_back
    return stack


# Playwright looks at the stack at each call, twice, to name the call in its errors.
# Python searches the source of each frame in all of Odoo's modules, for 50 ms or more.
for module in (_connection, _network, _sync_base):
    module.inspect = SimpleNamespace(stack=get_stack, FrameInfo=inspect.FrameInfo)


class BrowserCase(HttpCase):
    """Tests with a Chromium; the test's own transaction waits meanwhile."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Otherwise a page without network has a service worker with network.
        os.environ["PW_EXPERIMENTAL_SERVICE_WORKER_NETWORK_EVENTS"] = "1"
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        cls._chromium = playwright.chromium.launch(
            executable_path=_find_executable(),
            args=["--disable-gpu", f"--host-resolver-rules={RESOLVER}"],
        )
        # Those that no test has now, by their options.
        cls._contexts = {}

    def enter_registry_test_mode(self):
        """Do nothing: an ``HttpCase`` has entered the test mode already."""
        return nullcontext()

    def take_picture(self, page, name):
        """Take a picture that a person looks at, if there is a folder for pictures."""
        if folder := os.environ.get("MATOMO_PICTURES"):
            # Nothing moves any more.
            page.wait_for_timeout(500)
            page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    @classmethod
    def make_office(cls):
        """Make scripts and styles of Odoo's back end, once for all tests of a class.

        On a busy machine that takes longer than the browser's other requests wait for
        the cursor of the test.
        """
        with mute_logger(BUNDLES):
            bundle = cls.env["ir.qweb"].sudo()._get_asset_bundle("web.assets_web")
            bundle.js()
            bundle.css()

    def make_context(self, **options):
        """Return Playwright's context: a browser that keeps its cookies.

        It knows nothing but the files of the shop if a test before has used it: they
        take most of the time of a first page.

        :param options: of Playwright's ``new_context``, e.g. another ``user_agent``
        """
        options = {"base_url": self.base_url(), "user_agent": BROWSER, **options}
        unused = self._contexts.setdefault(repr(sorted(options.items())), [])
        context = unused.pop() if unused else self._chromium.new_context(**options)
        self.addCleanup(unused.append, context)
        self.addCleanup(self._forget, context)
        return context

    def _forget(self, context):
        """Delete what a browser has stored, except files."""
        for page in context.pages:
            page.close()
        context.clear_cookies()
        devtools = context.new_cdp_session(page := context.new_page())
        origin = {"origin": self.base_url(), "storageTypes": "all"}
        devtools.send("Storage.clearDataForOrigin", origin)
        page.close()

    @contextmanager
    def browse(self, context=None, **options):
        """Yield Playwright's page: a private window on the shop.

        :param context: what ``make_context`` has returned, to open the page there
        :param options: see ``make_context``
        """
        self.cr.flush()
        self.cr.clear()
        page = (context or self.make_context(**options)).new_page()
        page.set_default_timeout(60_000)
        page.on("console", self._log)
        page.on("pageerror", self._log_error)
        self._block(page)
        self._page = page
        with closing(page), mute_logger(BUNDLES), ExitStack() as self._requests:
            self._allow_requests()
            try:
                yield page
            except Error:
                picture = page.screenshot()
                save_test_file(type(self).__name__, picture, "sc_", logger=self._logger)
                raise
            self._leave_page()
        self.env.invalidate_all()

    @contextmanager
    def browse_as(self, login, **options):
        """Yield the page of somebody who has logged in, as after the login form.

        :param login: of a user
        :param options: see ``make_context``
        """
        user = self.env["res.users"].sudo().search([("login", "=", login)])
        # OdooBot would open a window over the form of a telephone.
        user.odoobot_state = "disabled"
        # Tests of a till have its session under the name that this one gets.
        till_session, self.session = getattr(self, "session", None), None
        session = self.authenticate(login, None)
        self.session = till_session
        with self.browse(**options) as page:
            self.add_cookie("session_id", session.sid)
            yield page

    def _block(self, page):
        """Let a page load nothing that is unused.

        Unlike a route of Playwright this leaves the browser its cache.
        """
        devtools = page.context.new_cdp_session(page)
        devtools.send("Network.enable")
        devtools.send("Network.setBlockedURLs", {"urls": UNUSED})

    def _log(self, message):
        """Log what a script says on the console; what Chromium says has no args."""
        if message.args and MISSING not in message.text:
            level = LEVELS.get(message.type, logging.INFO)
            logging.getLogger(CONSOLE).log(level, "%s", message.text)

    def _log_error(self, error):
        logging.getLogger(CONSOLE).error("%s", error)

    def add_cookie(self, name, value):
        cookie = {"name": name, "value": value, "url": self.base_url()}
        self._page.context.add_cookies([cookie])

    def _allow_requests(self):
        self._requests.enter_context(self.allow_requests())
        self.add_cookie(TEST_CURSOR_COOKIE_NAME, self.http_request_key)

    def _leave_page(self):
        self._page.goto("about:blank")
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
        self._allow_requests()
