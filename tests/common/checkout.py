"""A shop that can be paid in: delivery, payment providers, an address."""

import json

from odoo import Command

from .shopper import ShopperCommon

# What a shopper writes into the address form.
ADDRESS = {
    "name": "Nora Shopper",
    "email": "nora@example.com",
    "phone": "+32 2 555 01 01",
    "street": "Rue de la Loi 16",
    "zip": "1000",
    "city": "Brussels",
}


class CheckoutCommon(ShopperCommon):
    """Checkout as far as Odoo goes without a network."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.belgium = cls.env.ref("base.be")
        cls.website.sudo().company_id.country_id = cls.belgium
        # A PDF with the e-mail would need wkhtmltopdf.
        templates = cls.env["mail.template"].sudo()
        templates.search([("report_template_ids", "!=", False)]).write(
            {"report_template_ids": [Command.clear()]}
        )
        # Only what is made here: no other module's delivery asks the internet.
        cls.env["delivery.carrier"].sudo().search([]).is_published = False
        cls.post = cls.make_carrier("Post", 10.0)
        cls.demo = cls.make_provider("payment.payment_provider_demo")
        cls.wire = cls.make_provider("payment.payment_provider_transfer")

    @classmethod
    def make_carrier(cls, name, price, **values):
        product = cls.make_product(name, name.upper(), price, type="service")
        return (
            cls.env["delivery.carrier"]
            .sudo()
            .create(
                {
                    "name": name,
                    "is_published": True,
                    "company_id": cls.company.id,
                    "product_id": product.id,
                    "fixed_price": price,
                    **values,
                }
            )
        )

    @classmethod
    def make_provider(cls, xmlid):
        """A provider like the one of that name, for the website's company."""
        provider = cls.env.ref(xmlid).sudo()
        methods = provider.with_context(active_test=False).payment_method_ids
        copy = provider.copy(
            {
                "company_id": cls.company.id,
                "payment_method_ids": [Command.set(methods.ids)],
            }
        )
        copy.write(
            {
                "state": "test" if provider.code == "demo" else "enabled",
                "is_published": True,
            }
        )
        methods.active = True
        return copy

    @classmethod
    def make_coupon(cls, code, percent):
        """A code that takes off that percentage."""
        return (
            cls.env["loyalty.program"]
            .sudo()
            .create(
                {
                    "name": code,
                    "company_id": cls.company.id,
                    "program_type": "promo_code",
                    "trigger": "with_code",
                    "applies_on": "current",
                    "rule_ids": [Command.create({"mode": "with_code", "code": code})],
                    "reward_ids": [
                        Command.create(
                            {
                                "reward_type": "discount",
                                "discount": percent,
                                "discount_applicability": "order",
                            }
                        )
                    ],
                }
            )
        )

    def fill_cart(self):
        """A cart with address and delivery, and nobody met since it was filled."""
        cart = self.add(self.chair)
        cart.partner_id = self.env["res.partner"].create(
            {**ADDRESS, "country_id": self.belgium.id}
        )
        cart.sudo()._set_delivery_method(self.post)
        cart._portal_ensure_token()
        self.end_transaction()
        return cart

    def pay(self, order, provider, route="/shop/payment/transaction", **parameters):
        """What the payment form does when "Pay" is clicked; the transaction."""
        method = provider.payment_method_ids[:1]
        values = self.call(
            f"{route}/{order.id}",
            access_token=order.access_token,
            provider_id=provider.id,
            payment_method_id=method.id,
            token_id=None,
            flow="direct",
            tokenization_requested=False,
            landing_route="/shop/payment/validate",
            **parameters,
        )
        transactions = self.env["payment.transaction"].sudo()
        return transactions.search([("reference", "=", values["reference"])])

    def simulate(self, transaction, state):
        self.call(
            "/payment/demo/simulate_payment",
            reference=transaction.reference,
            payment_details="4242",
            simulated_state=state,
        )

    def come_back(self):
        """The shopper's browser returns from paying."""
        self.call("/payment/status/poll")
        self.open("/shop/payment/validate")

    def check_out(self, page, provider, **address):
        """From the cart to the confirmation, in a browser: address, delivery, payment.

        :param address: what is written otherwise than in ``ADDRESS``
        """
        main_button = "a[name='website_sale_main_button']:not(.disabled)"
        page.goto("/shop/cart")
        page.click(main_button, leaves=True)
        page.arrive("/shop/address")
        page.fill(**{**ADDRESS, **address}, country_id=str(self.belgium.id))
        page.click(main_button, leaves=True)
        page.arrive("/shop/checkout")
        page.click("[name='o_delivery_method'] input[type='radio']")
        page.wait(f"!!document.querySelector({json.dumps(main_button)})")
        page.click(main_button, leaves=True)
        page.arrive("/shop/payment")
        page.click(f"input[name='o_payment_radio'][data-provider-id='{provider.id}']")
        if provider == self.demo:
            page.wait("!!document.querySelector('[name=customer_input]')")
            page.fill(customer_input="4242424242424242")
        page.click("button[name='o_payment_submit_button']:not([disabled])")
        page.arrive("/shop/confirmation")
