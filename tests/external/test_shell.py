import json
import subprocess
import sys

from odoo.tests import BaseCase, get_db_name, tagged
from odoo.tools import config

# A server that is no Matomo, and an order that is to be sent to it. The numbers are
# the requests that have arrived there by then.
SHELL_SCRIPT = """
import json, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

arrived = []

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        arrived.append(self.path)
        self.send_response(503)
        self.end_headers()

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
counts = {}
company = env.company
before = company.matomo_site_id
site = env["matomo.site"].create({
    "name": "Shell",
    "url": f"http://127.0.0.1:{server.server_port}/",
    "idsite": 1,
    "token_auth": "0" * 32,
    "date_start": "2026-01-01",
})
company.matomo_site_id = site
product = env["product.product"].create({"name": "Shell", "type": "service"})
partner = env["res.partner"].create({"name": "Shell"})
order = env["sale.order"].create({
    "partner_id": partner.id,
    "order_line": [(0, 0, {"product_id": product.id, "price_unit": 10})],
})
order.action_confirm()
counts["confirmed"] = len(arrived)
env.cr.commit()
try:
    counts["committed"] = len(arrived)
    counts["state"] = order.matomo_state
    env.ref("matomo_order_tracking.ir_cron_send").method_direct_trigger()
    counts["sender"] = len(arrived)
finally:
    # The database is as it was.
    env.cr.rollback()
    company.matomo_site_id = before
    order._action_cancel()
    for record in (order, site, product, partner):
        record.unlink()
    env.cr.commit()
print(json.dumps(counts))
"""


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestShell(BaseCase):
    """An order confirmed in Odoo's shell is sent by the scheduled action alone."""

    def test_shell(self):
        done = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "odoo", "shell", "-c", config["config"]),
                *("-d", get_db_name(), "--no-http", "--log-level=error"),
            ],
            input=SHELL_SCRIPT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertFalse(done.returncode, done.stderr)
        counts = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(
            counts,
            {"confirmed": 0, "committed": 0, "state": "pending", "sender": 1},
        )
