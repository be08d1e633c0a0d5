import json
from pathlib import Path
from tempfile import NamedTemporaryFile

from odoo.tests import tagged

from ..common import CopyCase

# A salesperson, a shopper and a cashier, in an Odoo that does not find the addon.
# Everything is free: then a shop needs no payment provider, and a till no cash.
SCRIPT = """
import json
from uuid import uuid4
from werkzeug.test import Client
from odoo.fields import Datetime
from odoo.http import root

SCREENS = [
    ("sale.order", "form"), ("sale.order", "list"), ("sale.order", "search"),
    ("pos.order", "form"), ("res.partner", "form"), ("res.config.settings", "form"),
]
product = env["product.product"].create({
    "name": "Orphan", "type": "service", "list_price": 0, "is_published": True,
    "available_in_pos": True, "taxes_id": False,
})
website = env["website"].search([], limit=1)
env["website"].search([]).domain = False
# A delivery of another module asks the internet where the shopper is.
env["delivery.carrier"].search([]).is_published = False
# A PDF with the e-mail would need wkhtmltopdf.
env["mail.template"].search([("report_template_ids", "!=", False)]).write(
    {"report_template_ids": [(5,)]}
)
partner = env["res.partner"].create({
    "name": "Orphan", "email": "orphan@example.com", "phone": "+32 2 555 01 01",
    "street": "Rue de la Loi 16", "zip": "1000", "city": "Brussels",
    "country_id": env.ref("base.be").id,
})
order = env["sale.order"].create({
    "partner_id": partner.id, "order_line": [(0, 0, {"product_id": product.id})],
})
order.action_confirm()
env.cr.commit()

client = Client(root)
paths = "/", "/shop", product.website_url, "/web/login"
pages = [client.get(path, follow_redirects=True).status_code for path in paths]

def call(route, **parameters):
    return client.post(route, json={"method": "call", "params": parameters}).json

added = call(
    "/shop/cart/add", product_template_id=product.product_tmpl_id.id,
    product_id=product.id, quantity=2,
)
env.cr.commit()
cart = env["sale.order"].search([("website_id", "!=", False)], limit=1, order="id DESC")
cart.partner_id = partner
env.cr.commit()
changed = call("/shop/cart/update", line_id=cart.order_line.id, quantity=3)
paths = "/shop/cart", "/shop/checkout", "/shop/payment", "/shop/payment/validate"
checkout = [client.get(path, follow_redirects=True).status_code for path in paths]
env.cr.commit()
env.invalidate_all()

config = env["pos.config"].create({"name": "Orphan"})
session = env["pos.session"].create({"config_id": config.id})
session.set_opening_control(0, None)
loaded = session.load_data([])
uuid = str(uuid4())
env["pos.order"].sync_from_ui([{
    "uuid": uuid, "session_id": session.id, "company_id": session.company_id.id,
    "pricelist_id": config.pricelist_id.id, "partner_id": False,
    "fiscal_position_id": False, "user_id": env.uid,
    "date_order": Datetime.to_string(Datetime.now()), "state": "paid",
    "pos_reference": "00001-001-0001", "tracking_number": "001", "sequence_number": 1,
    "to_invoice": False, "last_order_preparation_change": "{}",
    "amount_total": 0, "amount_tax": 0, "amount_paid": 0, "amount_return": 0,
    "payment_ids": [], "lines": [(0, 0, {
        "product_id": product.id, "qty": 1, "price_unit": 0, "price_subtotal": 0,
        "price_subtotal_incl": 0, "tax_ids": [], "pack_lot_ids": [],
        "uuid": str(uuid4()),
    })],
}])
env.cr.commit()
sale = env["pos.order"].search([("uuid", "=", uuid)])
session.action_pos_session_closing_control()

def opens(model, kind):
    return "arch" in env[model].get_views([(False, kind)])["views"][kind]

print(json.dumps({
    "has_model": "matomo.request" in env,
    "errors": [each["error"] for each in (added, changed) if "error" in each],
    "pages": pages,
    "checkout": checkout,
    "quantity": cart.order_line.product_uom_qty,
    "states": [order.state, cart.state, sale.state, session.state],
    "is_till_loaded": "product.template" in loaded,
    "screens": [opens(*screen) for screen in SCREENS],
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
            {
                "has_model": False,
                "errors": [],
                "pages": [200] * 4,
                "checkout": [200] * 4,
                "quantity": 3,
                "states": ["sale", "sale", "done", "closed"],
                "is_till_loaded": True,
                "screens": [True] * 6,
            },
            "\n".join(line for line in text.split("\n") if " ERROR " in line)[-3000:],
        )
