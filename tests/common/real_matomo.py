"""A real Matomo with MariaDB, as ``make matomo`` starts it.

There is no fake here and no skip: a test that finds no Matomo fails.
"""

import json
import os
import subprocess
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote_plus

import pymysql
import requests

VARIABLE = "MATOMO_DEV_JSON"


class RealMatomo:
    """The Matomo named by the environment, with a new site of its own.

    :param currency: of the new site
    :param timezone: of the new site
    """

    def __init__(self, currency="USD", timezone="UTC"):
        path = os.environ.get(VARIABLE)
        assert path, f"{VARIABLE} must name the file that describes a running Matomo"
        self.info = json.loads(Path(path).read_text())
        self.url = self.info["url"]
        self.token = self.info["token"]
        self.idsite = self.call(
            "SitesManager.addSite",
            siteName="Test",
            **{"urls[]": "https://shop.example.com"},
            ecommerce="1",
            currency=currency,
            timezone=timezone,
        )["value"]
        self.call(
            "UsersManager.setUserAccess",
            userLogin=self.info["write_login"],
            access="write",
            **{"idSites[]": str(self.idsite)},
        )

    def receive_from(self, site, **values):
        """Let a ``matomo.site`` of Odoo send here, as if it had been tested before.

        :param values: more values of the site
        """
        self.be_entered(site)
        site.sudo().write({**self._get_known(), **values})

    def be_entered(self, site):
        """Enter address, site ID and token, as a person does who then sells at once."""
        site.sudo().write(self._get_way())

    def get_values(self):
        """Return the values of a new ``matomo.site`` that sends here, tested before."""
        return {**self._get_way(), **self._get_known()}

    def _get_way(self):
        return {"url": self.url, "idsite": self.idsite, "token_auth": self.token}

    def _get_known(self):
        return {"is_currency_confirmed": True, "facts_date": datetime.now()}

    def call(self, method, **parameters):
        """Call Matomo's Reporting API as superuser."""
        answer = requests.post(
            f"{self.url}index.php",
            data={
                "module": "API",
                "method": method,
                "format": "json",
                "token_auth": self.info["superuser_token"],
                **parameters,
            },
            timeout=60,
        )
        content = answer.json()
        error = isinstance(content, dict) and content.get("result") == "error"
        assert not error, f"{method}: {content}"
        return content

    @contextmanager
    def configured(self, setting, value):
        """Set ``Section.key`` in Matomo's configuration until the block ends.

        :param value: as JSON; a list was empty before
        """
        self._console("config:set", f"{setting}={value}")
        try:
            yield
        finally:
            if str(value).startswith("["):
                self._console("config:set", f"{setting}=[]")
            else:
                self._console("config:delete", setting)

    @contextmanager
    def anonymised(self, name="anonymizeOrderId"):
        """Switch a privacy setting of Matomo on until the block ends.

        :param name: ``anonymizeOrderId`` or ``randomizeConfigId``
        """
        settings = {
            "anonymizeIPEnable": "1",
            # Matomo 5.8 has renamed it (docs/matomo.md section 19) and requires it.
            "maskLength": "2",
            "ipAddressMaskLength": "2",
            "useAnonymizedIpForVisitEnrichment": "1",
            # Matomo 5.8 asks for it.
            "passwordConfirmation": self.info["superuser_password"],
        }
        method = "PrivacyManager.setAnonymizeIpSettings"
        self.call(method, **settings, **{name: "1"})
        try:
            yield
        finally:
            self.call(method, **settings, **{name: "0"})

    @contextmanager
    def secure_only(self):
        """Let all tokens only allow secure requests until the block ends."""
        statement = "UPDATE matomo_user_token_auth SET secure_only = %s"
        self.query(statement, 1)
        try:
            yield
        finally:
            self.query(statement, 0)

    @contextmanager
    def locked(self):
        """Let Matomo lock this machine out in the block (docs/matomo.md section 5)."""
        for _attempt in range(22):
            requests.post(
                f"{self.url}matomo.php",
                data={
                    "idsite": str(self.idsite),
                    "rec": "0",
                    "cip": "127.0.0.1",
                    "send_image": "0",
                    "token_auth": "0" * 32,
                },
                timeout=60,
            )
        try:
            yield
        finally:
            self.unlock()

    def unlock(self):
        """Delete Matomo's record of the wrong tokens that were tried."""
        self.query("TRUNCATE matomo_brute_force_log")

    def _console(self, *arguments):
        done = subprocess.run(
            [*self.info["console"], *arguments], capture_output=True, text=True
        )
        assert not done.returncode, done.stdout + done.stderr

    def query(self, statement, *arguments):
        """Return rows of Matomo's own database, as dicts."""
        database = self.info["database"]
        connection = pymysql.connect(
            host=database["host"],
            port=database["port"],
            user=database["user"],
            password=database["password"],
            database=database["name"],
            cursorclass=pymysql.cursors.DictCursor,
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchall()

    def orders(self):
        """Return the orders in Matomo's database for this site: ``{order ID: row}``."""
        rows = self.query(
            """
            SELECT idorder, CAST(revenue AS DOUBLE) AS revenue, revenue_subtotal,
                   revenue_tax, revenue_shipping, revenue_discount, items,
                   server_time, HEX(idvisitor) AS visitor
              FROM matomo_log_conversion
             WHERE idsite = %s AND idgoal = 0
            """,
            self.idsite,
        )
        return {row["idorder"]: row for row in rows}

    def items(self, ref):
        """Return the items of an order: ``{sku: (name, price, quantity)}``."""
        rows = self.query(
            """
            SELECT sku.name AS sku, name.name AS name, item.price, item.quantity
              FROM matomo_log_conversion_item AS item
              JOIN matomo_log_action AS sku ON sku.idaction = item.idaction_sku
         LEFT JOIN matomo_log_action AS name ON name.idaction = item.idaction_name
             WHERE item.idsite = %s AND item.idorder = %s AND item.deleted = 0
            """,
            self.idsite,
            ref,
        )
        return {
            row["sku"]: (
                row["name"],
                Decimal(str(round(row["price"], 2))),
                int(row["quantity"]),
            )
            for row in rows
        }

    def report(self, first, last):
        """Return the e-commerce report from day to day, in the site's time zone."""
        return self.call(
            "Goals.get",
            idSite=str(self.idsite),
            idGoal="ecommerceOrder",
            period="range",
            date=f"{first},{last}",
            format_metrics="0",
        )

    def sold(self, first, last):
        """Return the report of products of days: ``{sku: (quantity, revenue)}``."""
        rows = self.call(
            "Goals.getItemsSku",
            idSite=str(self.idsite),
            period="range",
            date=f"{first},{last}",
            format_metrics="0",
            filter_limit="-1",
        )
        return {
            # Matomo decodes labels once too often: a "+" is a space there.
            unquote_plus(row["segment"].removeprefix("productSku==")): (
                int(row["quantity"]),
                Decimal(str(row["revenue"])),
            )
            for row in rows
        }

    def labels(self, method, day, dimension=None):
        """Return the orders of a day for each label of a report of visits."""
        parameters = {"idDimension": str(dimension)} if dimension else {}
        rows = self.call(
            method,
            idSite=str(self.idsite),
            period="day",
            date=str(day),
            **parameters,
        )
        return {
            row["label"]: row["goals"]["idgoal=ecommerceOrder"]["nb_conversions"]
            for row in rows
            if row.get("goals")
        }


def yesterday():
    """Return a moment of yesterday: Matomo's reports of it are fresh.

    See docs/matomo.md section 10.
    """
    return (datetime.now() - timedelta(days=1)).replace(
        hour=12, minute=0, second=0, microsecond=0
    )
