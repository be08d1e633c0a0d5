"""A real Chromium without a window, driven the way a person would use it."""

import os
import shutil
from contextlib import contextmanager

import machine
from playwright.sync_api import Error, sync_playwright

# Shorter waits could end before Odoo has built its scripts and styles.
PATIENCE = 120_000  # milliseconds


@contextmanager
def chromium():
    """Yield Playwright's browser: Debian's Chromium with a new profile."""
    machine.apt_install(["chromium"])
    # Otherwise a page without network has a service worker with network.
    os.environ["PW_EXPERIMENTAL_SERVICE_WORKER_NETWORK_EVENTS"] = "1"
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--disable-gpu", "--lang=en-US"],
            env={**os.environ, "HOME": str(machine.folder("home"))},
        )


@contextmanager
def new_page(browser, url, **device):
    """Yield a new page with cookies of its own, like another person's browser.

    :param url: where its relative addresses start
    :param device: what Playwright emulates of a device
    :raise machine.Trouble: if something does not appear in it
    """
    desk = {"viewport": {"width": 1400, "height": 1000}}
    page = browser.new_page(base_url=url, **{**desk, **device})
    page.set_default_timeout(PATIENCE)
    try:
        yield page
    except Error as error:
        raise machine.Trouble(
            f"{error} At {page.url}, see {picture(page, 'trouble')}."
        ) from None
    finally:
        page.close()


def picture(page, name):
    """Save what the page shows as a PNG file; return its path."""
    path = machine.folder("demo") / f"{name}.png"
    page.screenshot(path=path)
    return path
