"""The client behind the stand-in for the field: what it understands of each kind."""

import pytest
from matomo_order_tracking.dev.chaos import field, stand_in
from matomo_order_tracking.matomo_api.client import Client
from matomo_order_tracking.matomo_api.errors import (
    MatomoError,
    ReportRefused,
    ServerTrouble,
    Unreachable,
)

ORDER = {"idsite": "1", "rec": "1", "ec_id": "SO-1"}
POISON = {**ORDER, "ec_items": '[["J","Union Select Denim Jacket",[],60.0,1]]'}
VISITS = [{"actionDetails": [{"type": "action"}] * 3}]
HUNDRED = [ORDER] * 100
# {kind: (rule, orders that are sent, error or what stands around the answer)}
TRACKING = {
    "nothing": (lambda request, pass_on: pass_on(request), [ORDER], ""),
    "a limit that is kept": (field.refuse_larger(500), [ORDER], ""),
    "too large": (field.refuse_larger(500), HUNDRED, 413),
    "too large for a gateway": (field.refuse_larger(500, 504, True), HUNDRED, 504),
    "a phrase": (field.refuse_phrase("union select"), [POISON], 403),
    "no such phrase": (field.refuse_phrase("union select"), [ORDER], ""),
    "too many": (field.answer_nothing_over(50), HUNDRED, Unreachable),
    "a pause": (field.refuse(429, retry_after=7, times=1), [ORDER], 429),
    "PHP's messages": (field.show_php_messages(), [ORDER], "Undefined array key"),
    "byte order mark": (field.add_byte_order_mark(), [ORDER], ""),
    "compressed": (field.compress(), [ORDER], ""),
    "a queue": (field.queue(), [ORDER], ""),
    "reports only": (field.break_reports(), [ORDER], ""),
}
# {kind: (rule, error or what the report says)}
REPORTS = {
    "nothing": (field.refuse(503), VISITS),
    "database gone away": (field.break_reports(), ReportRefused),
    "once": (field.break_reports(times=0), VISITS),
    "another report": (field.break_reports(method="Goals.get"), VISITS),
    "no access": (field.break_reports(field.NO_ACCESS, 401), ReportRefused),
    "a password": (field.break_reports(status=403, content_type="html"), ReportRefused),
    "visits log off": (field.switch_visits_log_off(), ReportRefused),
    "first actions": (
        field.cut_visits(1),
        [{"actionDetails": [{"type": "action"}], "truncatedActionsCount": 2}],
    ),
    "byte order mark": (field.add_byte_order_mark(), VISITS),
    "compressed": (field.compress(), VISITS),
}


@pytest.fixture
def proxy(server):
    proxy = stand_in.StandIn(server.url, share=0, secret="secret")
    proxy.start()
    yield proxy
    proxy.stop()
    assert not proxy.leaks


@pytest.fixture
def client(proxy):
    client = Client(proxy.url, "secret")
    yield client
    client.close()


@pytest.mark.parametrize("kind", TRACKING)
def test_tracking(server, proxy, client, kind):
    rule, orders, expected = TRACKING[kind]
    count = len(orders)
    server.say(body={"status": "success", "tracked": count, "invalid": 0})
    proxy.rules = [rule]
    if isinstance(expected, str):
        answer = client.send_bulk(orders, timeout=1)
        assert answer.tracked == count
        assert expected in answer.dirt
        assert expected or not answer.dirt
        return
    with pytest.raises(MatomoError) as caught:
        client.send_bulk(orders, timeout=1)
    assert caught.value.status == expected or isinstance(caught.value, Unreachable)
    assert len(server.requests) == (expected == 504)


@pytest.mark.parametrize("kind", REPORTS)
def test_reports(server, proxy, client, kind):
    rule, expected = REPORTS[kind]
    server.say(body=VISITS)
    proxy.rules = [rule]
    if isinstance(expected, list):
        assert client.call_api(field.VISITS_LOG) == expected
        return
    with pytest.raises(expected):
        client.call_api(field.VISITS_LOG)
    assert not server.requests


def test_a_queue_answers_who_does_not_ask_it_not_to(server, proxy):
    """This is what the plugin QueuedTracking answers to everybody else."""
    server.say(body={"status": "success", "tracked": 1, "invalid": 0})
    request = field.Request("POST", "/matomo.php", {}, b"{}")
    answer = field.queue()(request, lambda request: field.Answer(200))
    assert answer.body.startswith(b"GIF89a")
    assert answer.headers["Content-Encoding"] == "none"


def test_a_pause_is_told_and_ends(server, proxy, client):
    server.say(body={"status": "success", "tracked": 1, "invalid": 0})
    proxy.rules = [field.refuse(503, retry_after=7, times=1)]
    with pytest.raises(ServerTrouble) as caught:
        client.send_bulk([ORDER], timeout=1)
    assert caught.value.retry_after == 7
    assert client.send_bulk([ORDER], timeout=1).tracked == 1
    assert proxy.seen == {"matomo.php": 2}
    assert proxy.ruled == 1


def test_a_seed_plays_every_fault():
    """In each round every fault has its turn, those of reports in theirs alone."""
    for is_report in (False, True):
        proxy = stand_in.StandIn("http://127.0.0.1:1/", seed=1, share=1)
        proxy.start()
        kinds = dict(stand_in.FAULTS)
        if is_report:
            kinds |= stand_in.REPORT_FAULTS
        for _request in range(sum(kinds.values())):
            proxy.choose(is_report)
        assert proxy.faults == kinds
        proxy.stop()
    played = {*stand_in.FAULTS, *stand_in.REPORT_FAULTS}
    assert played > {*stand_in.PAGES, *stand_in.RULES, *stand_in.MAY_HIDE_SUCCESS}
