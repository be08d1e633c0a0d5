"""After every kind of failure, a dump of the database has the token in one column."""

import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from odoo.tests import tagged

from ..common import CANARY, CopyCase, holds


def answer(status, *lines, body=b"", length=None):
    """Return the bytes of an HTTP answer."""
    length = len(body) if length is None else length
    head = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % length, *lines]
    return b"\r\n".join([*head, b"", body])


def page(echo):
    return b"<html><h1>Error</h1><pre>%s</pre></html>" % echo


# What a server says that was sent ``echo``, token included. ``None``: nothing.
FAULTS = {
    "unknown": lambda echo: answer("401 Unauthorized", body=page(echo)),
    "error": lambda echo: answer("500 Internal Server Error", body=page(echo)),
    "busy": lambda echo: answer("503 Busy", b"Retry-After: " + echo, body=echo),
    "welcome": lambda echo: answer("200 OK", body=page(echo)),
    "refused": lambda echo: answer(
        "200 OK", body=b'{"result":"error","message":"%s"}' % echo.replace(b'"', b"")
    ),
    "moved": lambda echo: answer("302 Found", b"Location: /x?" + echo),
    "elsewhere": lambda echo: answer(
        "307 Moved", b"Location: https://evil.example.com/?" + echo, body=echo
    ),
    "cookie": lambda echo: answer("500 Error", b"Set-Cookie: token=" + echo),
    "headers": lambda echo: answer("500 Error", b"X-Echo: " + echo, echo, b"Y: z"),
    "status": lambda echo: b"HTTP/1.1 " + echo + b"\r\n\r\n",
    "compressed": lambda echo: answer("200 OK", b"Content-Encoding: gzip", body=echo),
    "chunks": lambda echo: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + echo + b"\r\n"
    ),
    "cut": lambda echo: answer("200 OK", body=echo, length=100_000),
    "closed": lambda echo: b"",
    "silent": lambda echo: None,
}
# So many bytes hold the token, and little else.
TAIL = 80
# One order for each of them, sent, looked for and retracked; the connection tested.
SCRIPT = f"""
site = env["matomo.site"].create({{
    "name": "Shop", "url": "%(url)s", "idsite": 1, "token_auth": {CANARY!r},
}})
env.company.matomo_site_id = site
product = env["product.product"].create({{"name": "Chair", "list_price": 100}})
partner = env["res.partner"].create({{"name": "Nora"}})

def sell():
    order = env["sale.order"].create({{
        "partner_id": partner.id,
        "order_line": [(0, 0, {{"product_id": product.id}})],
    }})
    order.action_confirm()
    env.cr.commit()
    return order

def run(name):
    env.ref("matomo_order_tracking." + name).method_direct_trigger()
    # Another transaction has done it: only a new one sees that.
    env.cr.commit()
    env.invalidate_all()

def verify():
    env["matomo.request"].search([("state", "=", "sent")]).write(
        {{"next_check_date": "2026-01-01"}}
    )
    env.cr.commit()
    run("ir_cron_verify")

sent = sell()
run("ir_cron_send")
assert sent.matomo_state == "sent", sent.matomo_reason
# One of the faults is silence.
site.order_timeout = 3
for fault in %(faults)r:
    site.url = "%(url)s" + fault + "/"
    env.flush_all()
    # As if Matomo had told its settings: else no order is sent before it does.
    env.cr.execute(
        "UPDATE matomo_site SET is_currency_confirmed = TRUE, facts_date = now()"
    )
    env.invalidate_all()
    env.cr.commit()
    order = sell()
    run("ir_cron_send")
    order.matomo_request_ids._fail("server", site.state_message)
    site._reset_health()
    verify()
    sent.action_matomo_retrack()
    site.action_test_connection()
    env.cr.commit()
    run("ir_cron_send")
    assert site.state_message, fault
print(env["matomo.request"].search_count([("answer_text", "like", "***")]))
"""


class Handler(BaseHTTPRequestHandler):
    """Answers with the fault that the address names: ``/<fault>/matomo.php``."""

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, data))
        self.close_connection = True
        fault = FAULTS.get(self.path.split("/")[1])
        if not fault:
            said = b'{"status":"success","tracked":1,"invalid":0}'
            self.wfile.write(answer("200 OK", body=said))
        # The token is the last that is sent. Where an answer is cut is no matter.
        elif (said := fault(data[-TAIL:] + data)) is None:
            self.server.closing.wait(5)
        else:
            self.wfile.write(said)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Ignore clients that close the connection: the test makes them."""


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestTokenDump(CopyCase):
    def setUp(self):
        super().setUp()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.received = []
        self.server.closing = threading.Event()
        thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.closing.set)

    def test_after_all_failures(self):
        url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "odoo.log")
            script = SCRIPT % {"url": url, "faults": [*FAULTS]}
            masked = self.odoo("shell", script=script, log=str(log))
            logged = log.read_text()
        # What the servers said is kept, without the token.
        self.assertGreater(int(masked), 3)
        for fault in FAULTS:
            said = [data for path, data in self.server.received if f"/{fault}/" in path]
            self.assertTrue(any(holds(data.decode(), CANARY) for data in said), fault)
            self.assertIn(f"/{fault}/", logged)
        # The log is complete: whoever speaks at debug level is heard.
        self.assertIn("urllib3.connectionpool", logged)
        self.assertFalse([line for line in logged.splitlines() if holds(line, CANARY)])
        before, _, after = self.dump().partition(CANARY)
        table = before.rpartition("\nCOPY ")[2]
        self.assertTrue(table.startswith("public.matomo_site "), table[:100])
        self.assertFalse(holds(before, CANARY) or holds(after, CANARY))
