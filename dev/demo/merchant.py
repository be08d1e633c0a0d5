"""What the merchant does: a shop, a till, and the way to a Matomo site of their own."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from machine import Trouble, say

from .clients import Matomo, Odoo

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
    """Create a Matomo site for this run, which our user may write to; return its id."""
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


def connect(client, till, access, idsite):
    """Fill in the settings of website and till, and test the connection of both."""
    entered = access["url"], idsite, access["token"]
    [website] = client.read("website", ["id"], [])[:1]
    press_test(client, "Website", "website", website["id"], *entered)
    save_settings(
        client,
        matomo_url=access["url"],
        matomo_idsite=idsite,
        matomo_token_auth=access["token"],
    )
    save_settings(client, website_cookies_bar=True, matomo_tag=True)
    [site] = client.read("matomo.site", ["name"], [("idsite", "=", idsite)])
    # The till was already selling, without network, two days ago.
    start = (datetime.now(UTC) - timedelta(days=7)).date()
    client.write("matomo.site", site["id"], date_start=f"{start}", send_user_id=True)
    save_settings(client, matomo_company_site_id=site["id"])
    press_test(client, "Till", "pos.config", till, *entered)
    save_settings(
        client,
        pos_config_id=till,
        matomo_pos_url=access["url"],
        matomo_pos_idsite=idsite,
        matomo_pos_token_auth=access["token"],
    )


def save_settings(client, **values):
    """Save a settings form on which these fields were changed; return its id."""
    settings = client.create("res.config.settings", **values)
    client.call("res.config.settings", "execute", [settings])
    return settings


def press_test(client, form, *entered):
    """Test what is entered in a settings form, before it is saved."""
    answer = client.call(
        "res.config.settings", "action_test_matomo_connection", *entered
    )
    say(f"    {form}: {answer['title']}. {answer['message']}")
    if answer["type"] != "success":
        raise Trouble("The connection test of the settings did not succeed.")
