import json
from pathlib import Path
from tempfile import NamedTemporaryFile

from odoo.tests import tagged

from ..common import CopyCase

# A sale in the shop and one at a till, and pages of the shop, in an Odoo that does not
# find the addon.
SCRIPT = """
import json
from werkzeug.test import Client
from odoo.http import root

product = env["product.product"].create({
    "name": "Orphan", "type": "service", "list_price": 10, "is_published": True,
})
env["website"].search([]).domain = False
order = env["sale.order"].create({
    "partner_id": env["res.partner"].create({"name": "Orphan"}).id,
    "order_line": [(0, 0, {"product_id": product.id})],
})
order.action_confirm()
config = env["pos.config"].create({"name": "Orphan"})
session = env["pos.session"].create({"config_id": config.id})
sale = env["pos.order"].create({
    "session_id": session.id, "amount_total": 0, "amount_tax": 0,
    "amount_paid": 0, "amount_return": 0,
})
sale.state = "paid"
env.cr.commit()
client = Client(root)
paths = "/", "/shop", "/shop/cart", "/web/login"
print(json.dumps({
    "has_model": "matomo.request" in env,
    "states": [order.state, sale.state],
    "pages": [client.get(path, follow_redirects=True).status_code for path in paths],
}))
"""


@tagged("post_install", "-at_install", "-standard", "matomo_external")
class TestWithoutCode(CopyCase):
    """The addon's folder is missing: a moved server, a failed update."""

    def test_sales_and_pages_go_on(self):
        """Every confirmation and every page of the shop failed."""
        with NamedTemporaryFile() as log:
            answer = self.odoo(
                "shell", "--addons-path=", "--no-http", script=SCRIPT, log=log.name
            )
            text = Path(log.name).read_text()
        self.assertEqual(
            json.loads(answer),
            {"has_model": False, "states": ["sale", "paid"], "pages": [200] * 4},
            "\n".join(line for line in text.split("\n") if " ERROR " in line)[-3000:],
        )
