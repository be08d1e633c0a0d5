"""A real Chromium without a window, driven the way a person would use it.

It speaks the DevTools protocol over a pipe, without a port and without other packages.
Every step waits for what it needs; no step sleeps for a fixed time.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import machine

SIZE = (1400, 1000)
FLAGS = f"""
    --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --mute-audio
    --no-first-run --no-default-browser-check --disable-background-networking
    --disable-component-update --disable-default-apps --disable-extensions
    --disable-sync --disable-quic --password-store=basic --lang=en-US
    --window-size={SIZE[0]},{SIZE[1]} --remote-debugging-pipe
""".split()

# What goes offline with a page: the page, and the workers that act for it.
NETWORKED = ("page", "service_worker", "shared_worker", "worker")

# What the steps below do inside the page.
HELPERS = """
// The first visible element of a selector, if given with that text in it.
function find(selector, text) {
    return [...document.querySelectorAll(selector)].find((element) => {
        const box = element.getBoundingClientRect();
        return box.width && box.height && (!text || element.innerText.includes(text));
    });
}

// Where to click it: its middle, once nothing covers it and it does not move.
async function point(selector, text) {
    const element = find(selector, text);
    if (!element || element.disabled) return null;
    element.scrollIntoView({block: "center", behavior: "instant"});
    const place = () => {
        const box = element.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    };
    const before = place();
    await new Promise((resolve) => setTimeout(resolve, 60));
    const [x, y] = place();
    if (x !== before[0] || y !== before[1]) return null;
    const top = document.elementFromPoint(x, y);
    return top && (element.contains(top) || top.contains(element)) ? [x, y] : null;
}

function choose(selector, label) {
    const select = find(selector);
    const option = [...(select?.options || [])].find((o) => o.text.trim() === label);
    if (!option) return false;
    select.value = option.value;
    select.dispatchEvent(new Event("input", {bubbles: true}));
    select.dispatchEvent(new Event("change", {bubbles: true}));
    return true;
}
"""


class BrowserTrouble(machine.Trouble):
    """Something did not appear in the browser."""


class Browser:
    """A Chromium with a new profile; closing it removes the profile."""

    def __init__(self):
        machine.apt_install(["chromium"])
        self._profile = tempfile.mkdtemp(prefix="chromium-", dir=machine.folder())
        self._process = self._start()
        self._buffer = b""
        self._calls = 0
        self._offline = set()

    def _start(self):
        """Chromium reads commands from its file 3 and answers in its file 4."""
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        argv = ["chromium", *FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        with machine.log_path("chromium").open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "-", *argv],
                pass_fds=(commands, answers),
                env={**os.environ, "HOME": str(machine.folder("home"))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(commands)
        os.close(answers)
        return process

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """End Chromium and all its processes, and remove its profile."""
        if self._process.poll() is None:
            try:
                self.call("Browser.close", timeout=10)
                self._process.wait(10)
            except (BrowserTrouble, subprocess.TimeoutExpired):
                pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        shutil.rmtree(self._profile, ignore_errors=True)

    def page(self):
        """Return a new page with cookies of its own, like another person's browser."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call(
            "Target.createTarget", url="about:blank", browserContextId=context
        )
        return Page(self, context, target["targetId"])

    def attach(self, target):
        """Return the session for commands to one target."""
        answer = self.call("Target.attachToTarget", targetId=target, flatten=True)
        return answer["sessionId"]

    def call(self, method, session=None, timeout=60, **parameters):
        """Send a command and return its result.

        :raise BrowserTrouble: when Chromium refuses it or does not answer
        """
        number = self._send(method, session, parameters)
        deadline = time.monotonic() + timeout
        while True:
            message = self._receive(deadline, method)
            if message.get("method") == "Page.javascriptDialogOpening":
                # "Leave this page?" and the like: yes.
                self._send(
                    "Page.handleJavaScriptDialog",
                    message["sessionId"],
                    {"accept": True},
                )
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserTrouble(f"{method}: {message['error']['message']}")
                return message["result"]

    def _send(self, method, session, parameters):
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        try:
            while data:
                data = data[os.write(self._commands, data) :]
        except BrokenPipeError:
            raise self._ended() from None
        return self._calls

    def _receive(self, deadline, method):
        """Return the next message of Chromium, of any kind."""
        while b"\0" not in self._buffer:
            patience = max(0, deadline - time.monotonic())
            if not select.select([self._answers], [], [], patience)[0]:
                raise BrowserTrouble(f"Chromium does not answer {method}.")
            data = os.read(self._answers, 1 << 20)
            if not data:
                raise self._ended()
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _ended(self):
        log = machine.log_path("chromium")
        return BrowserTrouble(f"Chromium ended unexpectedly: see {log}.")


class Page:
    """One tab."""

    def __init__(self, browser, context, target):
        self._browser = browser
        self._context = context
        self._session = browser.attach(target)
        self.call("Page.enable")

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def close(self):
        """Close the tab and forget its cookies."""
        self._browser.call(
            "Target.disposeBrowserContext", browserContextId=self._context
        )

    # ---- Looking -------------------------------------------------------------------

    def evaluate(self, expression):
        """Return the value of a JavaScript expression; a promise is awaited."""
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if failure := answer.get("exceptionDetails"):
            text = failure.get("exception", {}).get("description") or failure["text"]
            raise BrowserTrouble(f"In the page: {text.splitlines()[0]}")
        return answer["result"].get("value")

    def wait(self, expression, what, timeout=60):
        """Wait until an expression is true; return its value, which JSON can hold."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                value = self.evaluate(expression)
            except BrowserTrouble as trouble:
                # The page is just being replaced by the next one.
                if not any(word in str(trouble) for word in ("context", "navigated")):
                    raise
                value = None
            if value:
                return value
            time.sleep(0.05)
        picture = self.screenshot(machine.folder("demo") / "trouble.png")
        where = self.evaluate("location.href")
        raise BrowserTrouble(
            f"{what} did not appear within {timeout} s at {where}: see {picture}."
        )

    def wait_for(self, selector, text="", timeout=60):
        """Wait until an element is visible, with that text if one is given."""
        script = _script(f"return Boolean(find({_js(selector, text)}))")
        self.wait(script, _name(selector, text), timeout)

    def arrive(self, path, ready="true", timeout=60):
        """Wait until the page of that path is shown and `ready` is true there."""
        here = f"location.pathname.startsWith({_js(path)})"
        loaded = "document.readyState === 'complete'"
        self.wait(f"{here} && {loaded} && ({ready})", f"The page {path}", timeout)

    def screenshot(self, path):
        """Save the visible page as a PNG file; return its path."""
        answer = self.call("Page.captureScreenshot", format="png")
        Path(path).write_bytes(base64.b64decode(answer["data"]))
        return path

    # ---- Acting --------------------------------------------------------------------

    def goto(self, url):
        """Open an address."""
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserTrouble(f"{url} cannot be opened: {answer['errorText']}.")

    def click(self, selector, text="", timeout=60):
        """Click an element with the mouse, once it is there and nothing covers it."""
        script = _script(f"return point({_js(selector, text)})")
        self._press(*self.wait(script, _name(selector, text), timeout))

    def click_until(self, shown, *buttons):
        """Click the first of these buttons that is shown, until the last page appears.

        This is for a dialog that may appear before or after the page it interrupts.
        """
        script = _script(f"""
            if (find({_js(shown)})) return "shown";
            for (const button of {json.dumps(buttons)}) {{
                const place = await point(button);
                if (place) return place;
            }}
        """)
        while (place := self.wait(script, shown)) != "shown":
            self._press(*place)

    def _press(self, x, y):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            pressed = (
                {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            )
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def type(self, selector, text):
        """Replace the content of a field."""
        self.click(selector)
        self.evaluate("document.activeElement.select()")
        self.call("Input.insertText", text=str(text))

    def choose(self, selector, label):
        """Choose an option of a drop-down field by its label."""
        script = _script(f"return choose({_js(selector, label)})")
        self.wait(script, f"The option {label}")

    def offline(self, yes):
        """Take the network from the page and its workers, or give it back."""
        targets = self._browser.call("Target.getTargets")["targetInfos"]
        for target in targets:
            if target.get("browserContextId") != self._context:
                continue
            if target["type"] == "page":
                self._emulate_network(self._session, yes)
            elif target["type"] in NETWORKED:
                self._emulate_network(self._browser.attach(target["targetId"]), yes)

    def _emulate_network(self, session, offline):
        self._browser.call("Network.enable", session)
        self._browser.call(
            "Network.emulateNetworkConditions",
            session,
            offline=offline,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )


def _script(body):
    """Return an expression whose value is what this function body returns."""
    return f"(async () => {{{HELPERS}{body}}})()"


def _js(*values):
    """Return values as JavaScript arguments."""
    return ", ".join(json.dumps(value) for value in values)


def _name(selector, text):
    return f"{selector} “{text}”" if text else selector
