"""Every kind of error has a text for logs and a sentence for people."""

import pytest
from matomo_order_tracking.matomo_api.address import REFUSALS
from matomo_order_tracking.matomo_api.errors import (
    KINDS,
    MatomoError,
    ServerTrouble,
    Unreadable,
)
from matomo_order_tracking.tools.sentences import (
    ADDRESS_SENTENCES,
    SENTENCES,
    describe_error,
)

FIGURES = {
    "seconds": 7.5,
    "detail": "the detail",
    "idsite": 4711,
    "site": "the site",
    "reason": "private",
    "address": "10.0.0.1",
}


class Env:
    """An environment of Odoo that returns each text as it is."""

    def _(self, source, *args):
        return source % args if args else source


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_said(kind):
    error = MatomoError(kind, status=503, **FIGURES)
    sentence = describe_error(Env(), error)
    figures = ["7.5", "4711", "the site", "503"]
    if kind != "address":
        figures.append("the detail")
    for figure in figures:
        assert (figure in str(error)) == (figure in sentence)
    assert "{" not in str(error) and "%" not in sentence


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refused_address_is_said(reason):
    error = MatomoError("address", detail="?", reason=reason, address="10.0.0.1")
    sentence = describe_error(Env(), error)
    assert "%" not in sentence and "?" not in sentence
    assert ("10.0.0.1" in sentence) == (reason in ("malformed", "forbidden", "private"))


def test_no_sentence_is_left_over():
    assert SENTENCES.keys() == KINDS.keys()
    assert ADDRESS_SENTENCES.keys() == REFUSALS.keys()


def test_a_detail_of_a_server_is_no_template():
    error = MatomoError("unreachable", detail="{status} %s {0}")
    assert str(error) == "Matomo cannot be reached: {status} %s {0}"
    assert describe_error(Env(), error) == "Matomo cannot be reached: {status} %s {0}"


def test_what_cannot_be_read_says_why():
    error = Unreadable(ServerTrouble("status", status=503, text="busy", retry_after=60))
    assert (error.kind, error.status, error.text) == ("status", 503, "busy")
    assert error.retry_after == 60
    assert str(error) == "Matomo's server answered with HTTP status 503."
