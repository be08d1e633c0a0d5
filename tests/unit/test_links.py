"""The addresses of Matomo's screens."""

from datetime import date

import pytest
from matomo_order_tracking.matomo_api.links import day_url, order_url

DAY = date(2026, 3, 3)
PLACE = "idSite=7&period=day&date=2026-03-03"
START = (
    f"https://m.example.com/index.php?module=CoreHome&action=index&{PLACE}#?{PLACE}&"
)


def test_of_a_visitor():
    url = order_url("https://m.example.com/", 7, DAY, "S1", "0123456789abcdef")
    assert url == (
        f"{START}category=General_Visitors&subcategory=Live_VisitorLog"
        "&popover=visitorProfile$3A0123456789abcdef"
    )


@pytest.mark.parametrize("visitor_id", ["", "XYZBLANKED", "'><script>"])
def test_of_nobody(visitor_id):
    url = order_url("https://m.example.com", 7, DAY, "S1&a=b", visitor_id)
    assert url == (
        f"{START}category=Goals_Ecommerce&subcategory=Ecommerce_EcommerceLog"
        "&segment=orderId%3D%3DS1%2526a%253Db"
    )


def test_of_a_day():
    assert day_url("https://m.example.com/", 7, DAY) == (
        f"{START}category=Goals_Ecommerce&subcategory=General_Overview"
    )
