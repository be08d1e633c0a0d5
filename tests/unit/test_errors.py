"""Every kind of error has a text for logs and a sentence for people."""

from dataclasses import fields

import pytest
from english import ENGLISH
from matomo_order_tracking.matomo_api.address import REFUSALS
from matomo_order_tracking.matomo_api.errors import (
    KINDS,
    MatomoError,
    ServerTrouble,
    Unreadable,
)
from matomo_order_tracking.matomo_api.reading import SiteDescription
from matomo_order_tracking.tools.sentences import (
    ADDRESS_SENTENCES,
    CHANGES,
    SENTENCES,
    describe_error,
)

FIGURES = {
    "login": "odoo-shop",
    "seconds": 7.5,
    "host": "matomo.example.com",
    "port": 8443,
    "proxy": "proxy.example.com:3128",
    "answer": "the answer",
    "idsite": 4711,
    "site": "Shop No. 9",
    "currency": "XTS",
    "timezone": "Nowhere/Land",
    "reason": "private",
    "address": "10.0.0.1",
    "name": "MATOMO_TOKEN_SHOP_3",
    "old": "MATOMO_TOKEN_3",
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_said(kind):
    error = MatomoError(kind, status=503, **FIGURES)
    sentence = describe_error(ENGLISH, error)
    for figure in (
        *("7.5", "4711", "Shop No. 9", "503", "the answer", "8443"),
        *("XTS", "Nowhere/Land"),
    ):
        assert (figure in str(error)) == (figure in sentence)
    for name in ("matomo.example.com", "proxy.example.com:3128"):
        assert (name in str(error)) == (name in sentence)
    assert "{" not in str(error) and "%" not in sentence


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_library_says_is_for_logs(kind):
    error = MatomoError(kind, detail="[SSL] no {luck} %s", **FIGURES)
    assert str(error).endswith("([SSL] no {luck} %s)")
    assert str(Unreadable(error)) == str(error)
    assert "luck" not in describe_error(ENGLISH, error) + repr(error.figures)


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refused_address_is_said(reason):
    error = MatomoError("address", detail="?", reason=reason, address="10.0.0.1")
    sentence = describe_error(ENGLISH, error)
    assert "%" not in sentence and "?" not in sentence
    assert ("10.0.0.1" in sentence) == (reason in ("malformed", "forbidden", "private"))


def test_no_sentence_is_left_over():
    assert SENTENCES.keys() == KINDS.keys()
    assert CHANGES.keys() <= {field.name for field in fields(SiteDescription)}
    assert ADDRESS_SENTENCES.keys() == REFUSALS.keys()


def test_an_answer_of_matomo_is_no_template():
    error = MatomoError("report_refused", answer="{status} %s {0}")
    assert "{status} %s {0}" in str(error)
    assert "“{status} %s {0}”" in describe_error(ENGLISH, error)


def test_what_cannot_be_read_says_why():
    error = Unreadable(ServerTrouble("status", status=503, text="busy", retry_after=60))
    assert (error.kind, error.status, error.text) == ("status", 503, "busy")
    assert error.retry_after == 60
    assert str(error) == "Matomo's server answered with HTTP status 503."
