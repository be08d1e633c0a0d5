"""A proxy before Matomo that does to requests what networks and servers do to them.

What happens to the n-th request follows from the seed and n alone.
"""

import http.client
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# How long a client is kept waiting at most (seconds): longer than any timeout of the
# tracker's here, while reports may take longer.
PATIENCE = 12
HTML = b"<!DOCTYPE html><html><body><h1>Please stand by</h1></body></html>"
# A redirect leads there; nobody should follow it.
ELSEWHERE = "/elsewhere"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}

# What can happen to a request, and how often in comparison. Each round of faults has
# all of them, in an order of its own.
FAULTS = {
    "connection refused": 1,
    "closed before forwarding": 1,
    "answer lost": 2,
    "delayed past the timeout": 1,
    "answer trickled": 1,
    "429 with Retry-After": 1,
    "500": 1,
    "502": 1,
    "503 with HTML": 1,
    "200 with HTML": 1,
    "200 with truncated JSON": 2,
    "redirect": 1,
    "204": 1,
}
PAGES = {
    "429 with Retry-After": (429, b"Slow down", {"Retry-After": "1"}),
    "500": (500, b"", {}),
    "502": (502, HTML, {}),
    "503 with HTML": (503, HTML, {}),
    "200 with HTML": (200, HTML, {}),
    "redirect": (302, b"", {"Location": ELSEWHERE}),
    "204": (204, b"", {}),
}
# Pages that may stand for a request that has reached Matomo all the same.
HIDDEN_SUCCESS = 1 / 3
MAY_HIDE_SUCCESS = {"500", "502", "503 with HTML", "200 with HTML", "204"}


class FaultyProxy:
    """A proxy on a loopback port of its own, in threads of this process.

    :param target: address of the real server
    :param seed: decides what happens to which request
    :param share: how many of the requests meet a fault, from 0 to 1
    :param secret: must never be seen in an address or a header
    """

    def __init__(self, target, seed, share=0.4, secret=""):
        parts = urlsplit(target)
        self.target = (parts.hostname, parts.port)
        self.share = share
        self.secret = secret
        self.faults = Counter()
        self.forwarded = 0
        self.followed = 0
        self.leaks = 0
        self.longest_wait = 0.0
        self._chance = random.Random(f"{seed} proxy")
        self._round = []
        self._is_faulty = True
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.proxy = self

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}/"

    def start(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self.url

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def calm(self):
        """Make no more faults."""
        self._is_faulty = False

    def choose(self):
        """Return the fault that this request meets, or None, and the toss of a coin."""
        with self._lock:
            if not self._is_faulty or self._chance.random() >= self.share:
                return None, False
            if not self._round:
                self._round = [kind for kind, n in FAULTS.items() for _ in range(n)]
                self._chance.shuffle(self._round)
            fault = self._round.pop()
            self.faults[fault] += 1
            return fault, self._chance.random() < HIDDEN_SUCCESS

    def note(self, **values):
        """Count an event; of the waiting times keep the longest."""
        with self._lock:
            waited = values.pop("waited", 0.0)
            self.longest_wait = max(self.longest_wait, waited)
            for name, value in values.items():
                setattr(self, name, getattr(self, name) + value)


class _Handler(BaseHTTPRequestHandler):
    """One connection; it is kept alive as long as nothing goes wrong."""

    protocol_version = "HTTP/1.1"

    # What http.server calls for each method.
    def do_GET(self):  # noqa: N802
        self._handle()

    def do_POST(self):  # noqa: N802
        self._handle()

    def log_message(self, *_arguments):
        """Say nothing."""

    def handle(self):
        try:
            super().handle()
        except OSError:
            # The client has gone.
            self.close_connection = True

    def _handle(self):
        proxy = self.server.proxy
        self._inspect(proxy)
        fault, coin = proxy.choose()
        if fault == "connection refused":
            self._reset()
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if fault is None:
            self._pass_on(self._forward(body))
        elif fault == "closed before forwarding":
            self._close()
        elif fault == "answer lost":
            self._forward(body)
            self._close()
        elif fault == "delayed past the timeout":
            # It reaches Matomo late, when the client has given up.
            self._wait_for_client()
            self._forward(body)
            self._close()
        elif fault == "answer trickled":
            self._trickle(self._forward(body))
        elif fault == "200 with truncated JSON":
            _status, _headers, answer = self._forward(body)
            page = answer[: len(answer) // 2]
            self._answer(200, page, {"Content-Type": "application/json"})
        else:
            if coin and fault in MAY_HIDE_SUCCESS:
                self._forward(body)
            self._answer(*PAGES[fault])

    def _inspect(self, proxy):
        """Note it if the token is visible or if a redirect was followed."""
        seen = [self.path, *self.headers.values()]
        if proxy.secret and any(proxy.secret in text for text in seen):
            proxy.note(leaks=1)
        if self.path.startswith(ELSEWHERE):
            proxy.note(followed=1)

    # ---- Towards Matomo --------------------------------------------------------------

    def _forward(self, body):
        """Forward the request; return the answer's status, headers and body."""
        proxy = self.server.proxy
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in HOP_BY_HOP
        }
        connection = http.client.HTTPConnection(*proxy.target, timeout=60)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            proxy.note(forwarded=1)
            return answer.status, dict(answer.getheaders()), answer.read()
        except (OSError, http.client.HTTPException):
            return 502, {}, HTML
        finally:
            connection.close()

    # ---- Towards the client ----------------------------------------------------------

    def _pass_on(self, answer):
        status, headers, body = answer
        kept = {
            name: value
            for name, value in headers.items()
            if name.lower() not in HOP_BY_HOP
        }
        self._answer(status, body, kept)

    def _answer(self, status, body, headers):
        self.send_response_only(status)
        for name, value in {"Content-Type": "text/html", **headers}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def _trickle(self, answer):
        """Send the answer in small pieces, more slowly than anybody should wait."""
        status, _headers, body = answer
        begun = time.monotonic()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        pieces = 40
        size = -(-len(body) // pieces) or 1
        try:
            for start in range(0, len(body), size):
                self.wfile.write(body[start : start + size])
                self.wfile.flush()
                if self._wait_for_client(PATIENCE / pieces):
                    break
        finally:
            if self.path.endswith("/matomo.php"):
                self.server.proxy.note(waited=time.monotonic() - begun)
            self._close()

    def _wait_for_client(self, seconds=PATIENCE):
        """Wait a short time for the client to give up; return whether it has."""
        ready, _, _ = select.select([self.connection], [], [], seconds)
        return bool(ready) and not self.connection.recv(1, socket.MSG_PEEK)

    def _close(self):
        """Close the connection without an answer."""
        self.close_connection = True

    def _reset(self):
        """Reset the connection, as if nobody listened."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
