"""The shop of the chaos program: its set-up, a salesperson and two tills."""

import random
import time
import uuid
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal

from . import odoo_client

PASSWORD = "chaos-and-order"
SELLER = "chaos-seller"
CASHIER = "chaos-cashier"
CUSTOMER = "Nora Shopper"
# Odd prices, so that taxes are rounded.
PRODUCTS = {"Chair": "99.95", "Lamp": "10.49", "Rug": "47.33", "Vase": "5.99"}
MADE_HERE = ("default_code", "in", [name.upper() for name in PRODUCTS])
TAX = Decimal("0.15")
CENT = Decimal("0.01")
# Tills were offline for this long at most.
OFFLINE = timedelta(days=3)
# How many sales one transaction has at most.
TOGETHER = 4
# A sale that is refused is tried again this often (a till never gives up).
PATIENCE = 200


def set_up(admin, site):
    """Make products, people and tills, and send their sales to a new Matomo site.

    :param site: values of the ``matomo.site``
    :return: the ids of the site and of the tills
    """
    tills = furnish(admin)
    site_id = admin.create("matomo.site", **site)
    own = {"matomo_site_id": site_id}
    admin.call("pos.config", "write", tills, own)
    admin.call("website", "write", [1], own)
    admin.call("res.company", "write", [1], own)
    return site_id, tills


def furnish(admin):
    """Make products, people and tills; return the ids of the tills."""
    admin.call("res.users", "write", [admin.uid], {"tz": "UTC"})
    for name, price in PRODUCTS.items():
        admin.create(
            "product.product",
            name=name,
            default_code=name.upper(),
            list_price=float(price),
            type="consu" if name == "Chair" else "service",
            available_in_pos=True,
        )
    admin.create("res.partner", name=CUSTOMER)
    _make_user(admin, SELLER, "sales_team.group_sale_salesman_all_leads")
    _make_user(admin, CASHIER, "point_of_sale.group_pos_user")
    [journal] = admin.find("account.journal", ("type", "=", "bank"), limit=1)
    card = admin.create("pos.payment.method", name="Card", journal_id=journal)
    tills = [
        admin.create(
            "pos.config",
            name=name,
            payment_method_ids=[(6, 0, [card])],
        )
        for name in ("Chaos till", "Offline till")
    ]
    # The tills here round each line's tax, so Odoo must, too.
    rounding = {"tax_calculation_rounding_method": "round_per_line"}
    admin.call("res.company", "write", [1], rounding)
    return tills


def _make_user(admin, login, group):
    admin.create(
        "res.users",
        name=login,
        login=login,
        password=PASSWORD,
        group_ids=[(6, 0, [admin.ref("base.group_user"), admin.ref(group)])],
    )


class Salesperson:
    """Confirms sales orders, half of them of the web shop; not always successfully."""

    def __init__(self, client, seed):
        self.client = client
        self.chance = random.Random(f"{seed} salesperson")
        self.products = client.find("product.product", MADE_HERE)
        [self.customer] = client.find("res.partner", ("name", "=", CUSTOMER))
        self.refusals = 0
        # The ids of the orders that Odoo said are confirmed.
        self.promised = []

    def sell(self, limit):
        """Make a few quotations and confirm them; return how many Odoo confirmed."""
        count = min(limit, self.chance.randint(1, TOGETHER))
        try:
            orders = self.client.call(
                "sale.order", "create", [self._order() for _number in range(count)]
            )
            self.client.call("sale.order", "action_confirm", orders)
        except odoo_client.Refused:
            # They may be confirmed all the same: the answer was lost.
            self.refusals += 1
            time.sleep(0.5)
            return 0
        self.promised += orders
        return count

    def _order(self):
        lines = [
            (0, 0, {"product_id": product, "product_uom_qty": quantity})
            for product, quantity in _choose(self.chance, self.products)
        ]
        values = {"partner_id": self.customer, "order_line": lines}
        if self.chance.random() < 0.5:
            values["website_id"] = 1
        return values


class Till:
    """Sells without asking anybody, and syncs when it can."""

    def __init__(self, client, config, seed):
        self.client = client
        self.config = config
        self.chance = random.Random(f"{seed} till {config}")
        self.refusals = 0
        self.count = 0
        # The receipt numbers of the sales that Odoo said it has.
        self.promised = []
        client.call("pos.config", "open_ui", [config])
        [state] = client.call(
            "pos.config", "read", [config], ["current_session_id", "pricelist_id"]
        )
        self.session = state["current_session_id"][0]
        self.pricelist = (state["pricelist_id"] or [False])[0]
        client.call("pos.session", "set_opening_control", [self.session], 0, "")
        self.products = client.call(
            "product.product",
            "search_read",
            [MADE_HERE],
            ["list_price", "taxes_id"],
        )
        [self.card] = client.find("pos.payment.method", limit=1)

    def sell(self):
        """Return a paid sale, as the till keeps it until it is synced."""
        self.count += 1
        offline = OFFLINE * self.chance.random()
        when = datetime.now(timezone.utc) - offline
        lines = [
            self._line(product, quantity)
            for product, quantity in _choose(self.chance, self.products)
        ]
        total = sum(line["price_subtotal_incl"] for line in lines)
        untaxed = sum(line["price_subtotal"] for line in lines)
        moment = f"{when:%Y-%m-%d %H:%M:%S}"
        payment = {
            "amount": float(total),
            "name": moment,
            "payment_method_id": self.card,
            "uuid": str(uuid.uuid4()),
        }
        return {
            "uuid": str(uuid.uuid4()),
            "session_id": self.session,
            "company_id": 1,
            "pricelist_id": self.pricelist,
            "partner_id": False,
            "fiscal_position_id": False,
            "user_id": self.client.uid,
            "date_order": moment,
            "pos_reference": f"{self.config:05}-{self.session:03}-{self.count:04}",
            "tracking_number": "001",
            "sequence_number": self.count,
            "state": "paid",
            "to_invoice": False,
            "last_order_preparation_change": "{}",
            "amount_total": float(total),
            "amount_tax": float(total - untaxed),
            "amount_paid": float(total),
            "amount_return": 0.0,
            "lines": [(0, 0, _plain(line)) for line in lines],
            "payment_ids": [(0, 0, payment)],
        }

    def _line(self, product, quantity):
        price = Decimal(str(product["list_price"]))
        amount = (price * quantity).quantize(CENT, ROUND_HALF_UP)
        tax = (amount * TAX).quantize(CENT, ROUND_HALF_UP)
        return {
            "product_id": product["id"],
            "qty": quantity,
            "price_unit": price,
            "price_subtotal": amount,
            "price_subtotal_incl": amount + tax,
            "tax_ids": [(6, 0, product["taxes_id"])],
            "pack_lot_ids": [],
            "uuid": str(uuid.uuid4()),
        }

    def sell_some(self, limit):
        """A few sales that are synced together."""
        count = min(limit, self.chance.randint(1, TOGETHER))
        return [self.sell() for _number in range(count)]

    def sync(self, sales):
        """Send sales until Odoo says that it has them."""
        for _attempt in range(PATIENCE):
            try:
                self.client.call("pos.order", "sync_from_ui", sales)
                self.promised += [sale["pos_reference"] for sale in sales]
                return
            except odoo_client.Refused:
                self.refusals += 1
                time.sleep(0.5)
        raise odoo_client.Refused("The till could not sync a sale at all.")

    def close(self):
        """Close the session, as the till's closing dialog does.

        :raise Refused: when Odoo does not close it
        """
        self.client.call(
            "pos.session", "update_closing_control_state_session", [self.session], ""
        )
        done = self.client.call(
            "pos.session", "close_session_from_ui", [self.session], []
        )
        if not done.get("successful"):
            raise odoo_client.Refused(f"The session was not closed: {done}")


def _choose(chance, products):
    """Return one to three products, each with a quantity."""
    chosen = chance.sample(products, chance.randint(1, 3))
    return [(product, chance.randint(1, 4)) for product in chosen]


def _plain(values):
    """Values that JSON can hold."""
    return {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in values.items()
    }
