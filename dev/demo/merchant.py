"""What the merchant does: a shop, a till, and the way to a Matomo site of their own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from machine import Trouble, say

from .chromium import picture
from .clients import LOGIN, Matomo, Odoo

DIALOG = ".modal:has(.o_form_view)"
CASHIER = {"login": "cashier", "password": "cashier-at-the-till"}
# A customer who has an account in the web shop.
CUSTOMER = {"login": "nora", "password": "nora-at-the-shop"}

# Matomo's days are those of its site: here not those of UTC.
TIMEZONE = "Europe/Brussels"
TAX = 21.0
DELIVERY_PRICE = 7.5
PRODUCTS = {
    "table": {"name": "Oak table", "default_code": "TABLE-OAK", "list_price": 349.0},
    "cushion": {
        "name": "Linen cushion",
        "default_code": "CUSH-01",
        "list_price": 19.95,
    },
    "mug": {"name": "Stoneware mug", "default_code": "MUG-3", "list_price": 8.4},
}


@dataclass
class Shop:
    """What the merchant has set up."""

    odoo: Odoo
    idsite: int
    till: int
    products: dict


def new_matomo_site(access, shop_url, currency):
    """Create a Matomo site for this run; return its id."""
    manager = Matomo(access["url"], access["superuser_token"])
    site = manager.call(
        "SitesManager.addSite",
        siteName=f"Demo of {datetime.now():%d %B %Y, %H:%M:%S}",
        ecommerce=1,
        currency=currency,
        timezone=TIMEZONE,
        **{"urls[0]": shop_url},
    )
    manager.call(
        "UsersManager.setUserAccess",
        userLogin=access["write_login"],
        access="write",
        idSites=site["value"],
    )
    manager.call(
        "UsersManager.setUserAccess",
        userLogin=access["login"],
        access="view",
        idSites=site["value"],
    )
    return site["value"]


def furnish(client):
    """Make products, delivery, a till and its cashier, and a customer with a login."""
    group = client.create("account.tax.group", name="VAT 21%")
    tax = client.create(
        "account.tax", name="21%", amount=TAX, type_tax_use="sale", tax_group_id=group
    )
    category = client.create("product.public.category", name="Home")
    till_category = client.create("pos.category", name="Home")
    products = {
        key: client.create(
            "product.template",
            **values,
            taxes_id=[(6, 0, [tax])],
            is_published=True,
            public_categ_ids=[(6, 0, [category])],
            available_in_pos=True,
            pos_categ_ids=[(6, 0, [till_category])],
        )
        for key, values in PRODUCTS.items()
    }
    carrier = client.ref("delivery.free_delivery_carrier")
    client.write("delivery.carrier", carrier, fixed_price=DELIVERY_PRICE)
    [carrier] = client.read("delivery.carrier", ["product_id"], [("id", "=", carrier)])
    client.write("product.product", carrier["product_id"][0], taxes_id=[(6, 0, [tax])])
    # Picking up in store asks a geolocation service on the internet.
    for pickup in client.read(
        "delivery.carrier", ["id"], [("delivery_type", "=", "in_store")]
    ):
        client.write("delivery.carrier", pickup["id"], is_published=False)
    # An e-mail with a PDF would need wkhtmltopdf.
    for template in client.read(
        "mail.template", ["id"], [("report_template_ids", "!=", False)]
    ):
        client.write("mail.template", template["id"], report_template_ids=[(5,)])
    [provider] = client.read("payment.provider", ["state"], [("code", "=", "demo")])
    client.write("payment.provider", provider["id"], state="test", is_published=True)
    client.create(
        "res.users",
        name="Nora Neighbour",
        **CUSTOMER,
        group_ids=[(6, 0, [client.ref("base.group_portal")])],
        email="nora@example.com",
        phone="+32 2 555 01 02",
        street="Rue Neuve 1",
        zip="1000",
        city="Brussels",
        country_id=client.ref("base.be"),
    )
    client.create(
        "res.users",
        name="Carla Cashier",
        **CASHIER,
        group_ids=[
            (
                6,
                0,
                [
                    client.ref("base.group_user"),
                    client.ref("point_of_sale.group_pos_user"),
                ],
            )
        ],
    )
    return products, client.create("pos.config", name="Till at the door")


def connect(client, page, access, idsite):
    """Connect by the wizard, as a person does who has just installed the addon.

    :param page: of a browser, at the address of Odoo
    """
    page.goto("/web/login?redirect=/odoo")
    for name, value in LOGIN.items():
        page.fill(f"[name='{name}']", value)
    page.click("form.oe_login_form button[type='submit']")
    page.click(".o_navbar_apps_menu button")
    page.click(".o_app:has-text('Matomo')")
    for name, value in {
        "url": access["url"],
        "login": access["superuser_login"],
        "matomo_password": access["superuser_password"],
    }.items():
        page.fill(f"{DIALOG} [name='{name}'] input", value)
    picture(page, "connect-login")
    page.click(f"{DIALOG} button[name='action_log_in']")
    page.wait_for_selector(f"{DIALOG} button[name='action_connect']:visible")
    [site] = [
        line["id"]
        for line in client.read("matomo.connect.site", ["idsite"])
        if line["idsite"] == idsite
    ]
    [site] = client.read("matomo.connect.site", ["name"], [("id", "=", site)])
    page.fill(f"{DIALOG} [name='site_choice_id'] input", site["name"])
    page.click(f".o-autocomplete--dropdown-item:has-text('{site['name']}')")
    # Both sides are compared on one site.
    page.click(f"{DIALOG} [name='till_source'] label:has-text('The same site')")
    picture(page, "connect-choose")
    page.click(f"{DIALOG} button[name='action_connect']")
    page.wait_for_selector(f"{DIALOG} [name='proof_message']:visible")
    said = page.inner_text(f"{DIALOG} [name='proof_message']")
    say(f"    The wizard: {said}")
    picture(page, "connect-prove")
    [site] = client.read("matomo.site", ["state"], [("idsite", "=", idsite)])
    if site["state"] != "ok":
        raise Trouble("The wizard did not connect Odoo to Matomo.")
    save_settings(client, website_cookies_bar=True)
    # The till was already selling, without network, two days ago.
    start = (datetime.now(UTC) - timedelta(days=7)).date()
    client.write("matomo.site", site["id"], date_start=f"{start}", send_user_id=True)


def save_settings(client, **values):
    """Save a settings form on which these fields were changed; return its id."""
    settings = client.create("res.config.settings", **values)
    client.call("res.config.settings", "execute", [settings])
    return settings
