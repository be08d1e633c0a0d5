"""A stand-in for the field: a proxy before Matomo that does what others do there.

It plays in two ways. *Faults* meet single requests by chance: what happens to the n-th
request of its kind follows from the seed and n alone. *Rules* (``field.py``) are
switched on and stay: they meet all requests that no fault has met.
"""

import http.client
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from . import field
from .field import HTML, SILENCE, Answer, Request

# How long a client is kept waiting at most (seconds): longer than any timeout of the
# tracker's here, while reports may take longer.
PATIENCE = 12
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
    "403": 1,
    "413": 1,
    "504": 1,
    "PHP messages": 1,
    "byte order mark": 1,
    "gzip": 1,
}
# What else can happen to a call of the reporting API; there are fewer of them.
REPORT_FAULTS = {
    "report: database gone away": 3,
    "report: no access": 3,
    "report: visits log off": 3,
    "report: first actions only": 3,
}
# Faults that are a rule for one request.
RULES = {
    "PHP messages": field.show_php_messages(),
    "byte order mark": field.add_byte_order_mark(),
    "gzip": field.compress(),
    "report: database gone away": field.break_reports(),
    "report: no access": field.break_reports(
        field.NO_ACCESS, 401, method=field.VISITS_LOG
    ),
    "report: visits log off": field.switch_visits_log_off(),
    "report: first actions only": field.cut_visits(1),
}
PAGES = {
    "429 with Retry-After": Answer(429, b"Slow down", {"Retry-After": "1"}),
    "500": Answer(500),
    "502": Answer(502, HTML),
    "503 with HTML": Answer(503, HTML),
    "200 with HTML": Answer(200, HTML),
    "redirect": Answer(302, b"", {"Location": ELSEWHERE}),
    "204": Answer(204),
    "403": Answer(403, HTML),
    "413": Answer(413, HTML),
    "504": Answer(504, HTML),
}
# Pages that may stand for a request that has reached Matomo all the same.
HIDDEN_SUCCESS = 1 / 3
MAY_HIDE_SUCCESS = {"500", "502", "503 with HTML", "200 with HTML", "204", "504"}


class StandIn:
    """A proxy on a loopback port of its own, in threads of this process.

    :param target: address of the real server
    :param seed: decides what happens to which request
    :param share: how many of the requests meet a fault, from 0 to 1
    :param secret: must never be seen in an address or a header
    :ivar rules: what is switched on, see ``field.py``; the first is asked first
    :ivar seen: how many requests came, by the file that was asked for
    :ivar ruled: how many answers the rules gave or changed
    """

    def __init__(self, target, seed=0, share=0.4, secret=""):
        parts = urlsplit(target)
        self.target = (parts.hostname, parts.port)
        self.share = share
        self.secret = secret
        self.rules = []
        self.seen = Counter()
        self.faults = Counter()
        self.ruled = 0
        self.followed = 0
        self.leaks = 0
        self.longest_wait = 0.0
        self._chances = {
            is_report: random.Random(f"{seed} {is_report}")
            for is_report in (False, True)
        }
        self._rounds = {False: [], True: []}
        self._is_faulty = True
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.proxy = self

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}/"

    def start(self):
        serve = partial(self._server.serve_forever, poll_interval=0.05)
        threading.Thread(target=serve, daemon=True).start()
        return self.url

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def calm(self):
        """Make no more faults."""
        self._is_faulty = False

    def choose(self, is_report):
        """Return the fault that this request meets, or None, and the toss of a coin."""
        with self._lock:
            chance, faults = self._chances[is_report], self._rounds[is_report]
            if not self._is_faulty or chance.random() >= self.share:
                return None, False
            if not faults:
                kinds = {**FAULTS, **REPORT_FAULTS} if is_report else FAULTS
                faults += [kind for kind, n in kinds.items() for _ in range(n)]
                chance.shuffle(faults)
            fault = faults.pop()
            self.faults[fault] += 1
            return fault, chance.random() < HIDDEN_SUCCESS

    def count(self, file):
        """Count a request."""
        with self._lock:
            self.seen[file] += 1

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
        is_report = urlsplit(self.path).path.endswith("/index.php")
        fault, coin = proxy.choose(is_report)
        if fault == "connection refused":
            self._reset()
            return
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            self.command, self.path, dict(self.headers), self.rfile.read(length)
        )
        if fault is None:
            self._answer(self._obey(request))
        elif fault in RULES:
            self._answer(RULES[fault](request, self._forward))
        elif fault == "closed before forwarding":
            self._close()
        elif fault == "answer lost":
            self._forward(request)
            self._close()
        elif fault == "delayed past the timeout":
            # It reaches Matomo late, when the client has given up.
            self._wait_for_client()
            self._forward(request)
            self._close()
        elif fault == "answer trickled":
            self._trickle(self._forward(request))
        elif fault == "200 with truncated JSON":
            answer = self._forward(request)
            self._answer(replace(answer, body=answer.body[: len(answer.body) // 2]))
        else:
            if coin and fault in MAY_HIDE_SUCCESS:
                self._forward(request)
            self._answer(PAGES[fault])

    def _obey(self, request):
        """Return the answer that the rules give, or Matomo."""
        proxy = self.server.proxy
        forwarded = []

        def ask(rules):
            def pass_on(request):
                if rules:
                    return rules[0](request, ask(rules[1:]))
                forwarded.append(self._forward(request))
                return forwarded[-1]

            return pass_on

        answer = ask(list(proxy.rules))(request)
        if answer not in forwarded:
            proxy.note(ruled=1)
        return answer

    def _inspect(self, proxy):
        """Note it if the token is visible or if a redirect was followed."""
        proxy.count(urlsplit(self.path).path.rpartition("/")[2])
        seen = [self.path, *self.headers.values()]
        if proxy.secret and any(proxy.secret in text for text in seen):
            proxy.note(leaks=1)
        if self.path.startswith(ELSEWHERE):
            proxy.note(followed=1)

    # ---- Towards Matomo --------------------------------------------------------------

    def _forward(self, request):
        """Return Matomo's answer to a request."""
        connection = http.client.HTTPConnection(*self.server.proxy.target, timeout=60)
        try:
            connection.request(
                request.command, request.path, request.body, _keep(request.headers)
            )
            answer = connection.getresponse()
            return Answer(
                answer.status, answer.read(), _keep(dict(answer.getheaders()))
            )
        except (OSError, http.client.HTTPException):
            return Answer(502, HTML)
        finally:
            connection.close()

    # ---- Towards the client ----------------------------------------------------------

    def _answer(self, answer):
        if answer is SILENCE:
            self._wait_for_client()
            self._close()
            return
        self.send_response_only(answer.status)
        for name, value in {"Content-Type": "text/html", **answer.headers}.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.status != 204:
            self.wfile.write(answer.body)

    def _trickle(self, answer):
        """Send the answer in small pieces, more slowly than anybody should wait."""
        body = answer.body
        begun = time.monotonic()
        self.send_response_only(answer.status)
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
            if "/matomo.php" in self.path:
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


def _keep(headers):
    """Return the headers that a proxy hands on."""
    return {
        name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP
    }
