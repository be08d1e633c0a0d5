"""The client against a server that answers wrongly in every way."""

import gzip
import json
import logging
import socket
import time
import traceback
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import parse_qs

import matomo_order_tracking.matomo_api.client as client_module
import matomo_order_tracking.matomo_api.transport
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.client import (
    MAX_RETRY_AFTER,
    Client,
    _retry_after,
    parse_answer,
)
from matomo_order_tracking.matomo_api.errors import (
    MatomoError,
    Misconfigured,
    ReportRefused,
    ServerTrouble,
    Unreachable,
)

TOKEN = "0123456789abcdef0123456789abcdef"
ORDER = {"idsite": "1", "rec": "1", "ec_id": "SO-1"}
SUCCESS = {"status": "success", "tracked": 1, "invalid": 0}
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def client(server):
    client = Client(server.url, TOKEN)
    yield client
    client.close()


def send(client, timeout=5, count=1):
    return client.send_bulk([ORDER] * count, timeout)


# === BULKS === #


def test_bulk(server, client):
    server.say(body={"status": "success", "tracked": 2, "invalid": 1})
    answer = send(client, count=3)
    assert (answer.tracked, answer.invalid, answer.status) == (2, 1, 200)
    assert answer.duration_ms >= 0
    ((path, headers, body),) = server.requests
    # The plugin QueuedTracking looks for this in the address.
    assert path == "/matomo.php?queuedtracking=0"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"requests": [ORDER] * 3, "token_auth": TOKEN}


def test_a_body_is_as_short_as_it_can_be(server, client):
    server.say(body=SUCCESS)
    client.send_bulk([{"action_name": "Stühle – 椅子 \ud800"}], 5)
    ((_path, _headers, body),) = server.requests
    name = "Stühle – 椅子 ?"
    text = f'{{"requests":[{{"action_name":"{name}"}}],"token_auth":"{TOKEN}"}}'
    assert body == text or body == text.encode()


# What PHP, plugins and hosts were seen to mix into answers.
DIRT = [
    ("\ufeff", ""),
    ("\n\n", ""),
    (
        "<br />\n<b>Deprecated</b>:  strlen(): Passing null in <b>/a.php</b> on line "
        "<b>7</b><br />\n",
        "",
    ),
    ("PHP Warning:  Undefined array key 1 in /a/b.php on line 12\n", ""),
    ("Notice: Undefined index: x in /a.php on line 3\n", "\n"),
    ("", "<!-- Cached by WP -->"),
    ("", "\n<script>var a = {};</script>"),
    ("Array ( [0] => x )", ""),
]


@pytest.mark.parametrize(("before", "after"), DIRT)
def test_an_answer_that_tells_everything_is_understood(server, client, before, after):
    body = json.dumps(SUCCESS)
    server.say(200, f"{before}{body}{after}".encode())
    answer = send(client)
    assert (answer.tracked, answer.invalid) == (1, 0)
    assert answer.dirt == " ".join((before + after).strip("\ufeff").split())
    report = json.dumps([{"idVisit": 1, "actionDetails": []}])
    server.say(200, f"{before}{report}{after}".encode())
    assert client.call_api("X.get") == json.loads(report)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # PHP's messages hide no empty report.
        ("Notice: x in /a.php on line 3\n[]", []),
        ("\ufeff[]", []),
        # In any page there may be an empty list.
        ("<html><script>var visits = [];</script></html>", None),
        ("<html>[]", None),
        ("{}<html>", None),
        ('<html>{"value": {"a": 1}}', {"value": {"a": 1}}),
        ("{" * 5_000, None),
    ],
)
def test_what_may_mean_that_matomo_has_nothing_must_be_clean(body, expected):
    value, _dirt = parse_answer(body.encode(), lambda content: "value" in content)
    assert value == expected


def test_bulk_of_a_superuser(server, client):
    server.say(body={**SUCCESS, "invalid_indices": []})
    assert send(client).tracked == 1


def test_connections_are_kept_alive(server, client):
    server.say(body=SUCCESS)
    for _ in range(3):
        send(client)
    assert server.connections == 1


def test_a_connection_the_server_has_closed_is_replaced(server, client):
    body = json.dumps(SUCCESS).encode()
    server.stream(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    send(client)
    time.sleep(0.02)
    assert send(client).tracked == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"status": "error", "tracked": 25, "invalid": 0}),
        (500, b""),
        (502, b"<html>Bad Gateway</html>"),
        (503, b"<html>Maintenance</html>"),
        (400, b"This resource is part of Matomo."),
        (403, b"Forbidden"),
        (404, b"Not Found"),
        (204, b""),
        (200, b""),
        (200, b"<html>Welcome</html>"),
        (200, b'{"status":"success","tracked":1,"inv'),
        (200, b"[" * 100_000),
        (200, b"1" * 10_000),
        (200, b"\xff\xfe\x00"),
        (200, []),
        (200, None),
        (200, "success"),
        (200, {"status": "error", "tracked": 0, "invalid": 0}),
        (200, {"status": "success"}),
        (200, {"status": "success", "tracked": "1", "invalid": "0"}),
        (200, {"status": "success", "tracked": True, "invalid": False}),
        (200, {"status": "success", "tracked": 7, "invalid": 0}),
        # record_statistics=0, or a lock wait timeout.
        (200, {"status": "success", "tracked": 0, "invalid": 0}),
    ],
)
def test_answers_that_say_nothing_was_recorded(server, client, status, body):
    server.say(status, body)
    with pytest.raises(ServerTrouble) as caught:
        send(client)
    assert caught.value.status == status
    assert caught.value.retry_after == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server, client, status):
    server.say(status, Location=server.url + "elsewhere")
    with pytest.raises(ServerTrouble, match="redirect"):
        send(client)
    assert len(server.requests) == 1


def test_cookies_are_not_kept(server, client):
    server.say(body=SUCCESS, Set_Cookie="_pk_uid=0123456789abcdef; path=/")
    send(client)
    send(client)
    assert not any("Cookie" in headers for _path, headers, _body in server.requests)


# === RETRY-AFTER === #


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        ("99999999999999999999", MAX_RETRY_AFTER),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("Mon, 23 Nov 2026 23:59:59 -0000", 0),
        ("٣", 0),
    ],
)
def test_retry_after(server, client, value, seconds):
    assert _retry_after({"Retry-After": value}) == seconds


def test_retry_after_reaches_the_caller(server, client):
    server.say(429, b"slow down", Retry_After=30)
    with pytest.raises(ServerTrouble) as caught:
        send(client)
    assert (caught.value.retry_after, caught.value.text) == (30, "slow down")
    later = datetime.now(timezone.utc) + timedelta(minutes=2)
    server.say(503, Retry_After=format_datetime(later, usegmt=True))
    with pytest.raises(ServerTrouble) as caught:
        send(client)
    assert 110 <= caught.value.retry_after <= 120


@given(st.text(max_size=60))
def test_retry_after_takes_any_text(value):
    assert 0 <= _retry_after({"Retry-After": value}) <= MAX_RETRY_AFTER


# === DEADLINE AND LIMITS === #


def test_closed_before_the_answer(server, client):
    server.stream(b"")
    with pytest.raises(Unreachable, match="connection to Matomo failed") as caught:
        send(client)
    assert caught.value.may_be_recorded
    with pytest.raises(Unreachable) as caught:
        client.probe(1)
    assert not caught.value.may_be_recorded


@pytest.mark.parametrize(
    ("status", "may_be_recorded"),
    [
        *((200, True), (204, True), (302, False), (403, False), (413, False)),
        *((429, False), (500, False), (502, True), (503, False), (504, True)),
    ],
)
def test_whether_an_answer_leaves_a_doubt(server, client, status, may_be_recorded):
    server.say(status, "no answer of a tracker")
    with pytest.raises(ServerTrouble) as caught:
        send(client)
    assert caught.value.may_be_recorded is may_be_recorded


def test_closed_within_the_answer(server, client):
    server.stream(HEAD + b'Content-Length: 100\r\n\r\n{"status"')
    with pytest.raises((Unreachable, ServerTrouble)):
        send(client)


def test_not_http(server, client):
    server.stream(b"220 smtp.example.com ready\r\n")
    with pytest.raises(Unreachable):
        send(client)


@pytest.mark.parametrize(
    "parts",
    [
        [b"", b""],
        [HEAD + b"X: ", b"x"],
        [HEAD, b"X: y\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n"],
        [HEAD + b"Content-Length: 100000\r\n\r\n", b"x"],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"],
    ],
    ids=["silence", "header", "headers", "continue", "body", "chunks"],
)
def test_the_deadline_is_that_of_the_whole_answer(server, client, parts):
    # A byte each 10 ms: no single wait is ever long.
    server.stream(*parts, pause=0.01, times=400)
    start = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not answer within 0\.25 seconds"):
        send(client, timeout=0.25)
    assert 0.2 < time.monotonic() - start < 1.5


def test_the_deadline_holds_while_sending():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}/", TOKEN)
        start = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer"):
            client.send_bulk([{"ua": "x" * 10_000_000}], 0.3)
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD + b"\r\n", b"x" * 65_536],
        [HEAD + b"Content-Length: 99999999\r\n\r\n", b"x" * 65_536],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1026],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 2000],
        [
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n"
            b"Content-Length: 99999999\r\n\r\n",
            b"x" * 65_536,
        ],
    ],
    ids=["endless", "long", "chunks", "continue", "redirect"],
)
def test_answers_are_read_up_to_a_limit(server, client, parts, monkeypatch):
    monkeypatch.setattr(
        matomo_order_tracking.matomo_api.transport, "MAX_ANSWER_BYTES", 500_000
    )
    server.stream(*parts, times=2000)
    with pytest.raises(Unreachable, match="too long"):
        send(client)


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    st.sampled_from([b"", HEAD, HEAD + b"Transfer-Encoding: chunked\r\n\r\n"]),
    st.binary(max_size=60),
)
def test_any_bytes_end_as_one_of_our_errors(server, client, head, tail):
    server.stream(head + tail)
    with pytest.raises(MatomoError):
        send(client, timeout=1)


@pytest.mark.parametrize("encoding", ["none", "None", "identity", "", "UTF-8", "gzip"])
def test_whatever_a_server_says_of_the_encoding(server, client, encoding):
    """QueuedTracking sends "none", some servers compress without being asked."""
    body = json.dumps(SUCCESS).encode()
    if encoding == "gzip":
        body = gzip.compress(body)
    server.say(200, body, Content_Encoding=encoding)
    answer = send(client)
    assert answer.tracked == 1
    assert answer.dirt == ""
    assert server.requests[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip", "br"])
def test_compressed_answers_do_not_fill_the_memory(
    server, client, encoding, monkeypatch
):
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 100_000)
    bomb = gzip.compress(b"0" * 1_000_000)
    server.say(200, bomb, Content_Encoding=encoding)
    with pytest.raises((Unreachable, ServerTrouble)):
        send(client)


# === ADDRESSES === #


@pytest.fixture
def names(monkeypatch):
    """Return ``{name: (IPs, seconds)}``: IP addresses, and how long a look-up takes."""
    known = {}
    original = socket.getaddrinfo

    def getaddrinfo(host, port, flags=0, **kwargs):
        if host in known and not flags:
            ips, seconds = known[host]
            time.sleep(seconds)
            return [
                entry
                for ip in ips
                for entry in original(ip, port, flags=flags, **kwargs)
            ]
        return original(host, port, flags=flags, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.mark.parametrize(
    "ip",
    [
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "0.0.0.0",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
    ],
)
def test_a_name_may_not_lead_to_a_cloud_service(names, ip):
    names["matomo.example.com"] = [ip], 0
    with pytest.raises(Misconfigured, match="may not be used"):
        send(Client("https://matomo.example.com/", TOKEN))


def test_a_name_is_looked_up_once_and_looked_at_each_time(server, monkeypatch):
    """DNS rebinding: a name gets another IP address after it was checked."""
    server.say(body=SUCCESS, Connection="close")
    answers = ["127.0.0.1", "169.254.169.254"]
    original = socket.getaddrinfo

    def getaddrinfo(host, port, flags=0, **kwargs):
        if host == "localhost" and not flags:
            host = answers.pop(0)
        return original(host, port, flags=flags, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client = Client(server.url.replace("127.0.0.1", "localhost"), TOKEN)
    assert send(client).tracked == 1
    assert answers == ["169.254.169.254"]
    with pytest.raises(Misconfigured, match="may not be used"):
        send(client)
    assert len(server.requests) == 1
    assert not answers


def test_localhost_may_not_lead_elsewhere(names):
    names["localhost"] = ["10.0.0.1"], 0
    with pytest.raises(Misconfigured, match="https"):
        send(Client("http://localhost/", TOKEN))


def test_names_in_private_networks_can_be_forbidden(names):
    names["matomo.example.com"] = ["127.0.0.1", "10.0.0.1", "fd12::1"], 0
    client = Client("https://matomo.example.com/", TOKEN, allow_private=False)
    with pytest.raises(Misconfigured, match="private network") as caught:
        send(client)
    assert caught.value.figures["reason"] == "private"
    assert caught.value.figures["address"] == "fd12::1"


def test_an_allowed_address_behind_the_name_is_taken(server, names):
    names["localhost"] = ["169.254.169.254", "127.0.0.1"], 0
    server.say(body=SUCCESS)
    client = Client(server.url.replace("127.0.0.1", "localhost"), TOKEN)
    assert send(client).tracked == 1


def test_the_deadline_holds_while_a_name_is_looked_up(names):
    names["localhost"] = ["127.0.0.1"], 3
    start = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer"):
        send(Client("http://localhost:1/", TOKEN), timeout=0.2)
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize(
    "url",
    [
        "http://matomo.example.com/",
        "https://169.254.169.254/",
        "ftp://x/",
        "https://a\n/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://0251.0376.0251.0376/",
        "https://[::ffff:169.254.169.254]/",
        "https://metadata.google.internal/",
    ],
)
def test_refused_addresses(url):
    with pytest.raises(Misconfigured, match="may not be used"):
        send(Client(url, TOKEN))


# === ENVIRONMENT === #


def test_netrc_adds_nothing(server, client, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login odoo password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.say(body=SUCCESS)
    send(client)
    assert "Authorization" not in server.requests[0][1]


def test_what_is_not_encrypted_goes_to_no_proxy(server, client, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    server.say(body=SUCCESS)
    assert send(client).tracked == 1


def test_https_goes_through_the_proxy_of_the_environment(server, monkeypatch):
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Unreachable, match="through the proxy"):
        send(Client("https://matomo.example.com/", TOKEN))
    # It was asked to CONNECT, which it does not know; nothing was posted to it.
    assert server.connections == 1
    assert server.requests == []


# === TLS === #


@pytest.fixture(scope="module")
def certificate(make_certificate):
    """The path of a certificate for "localhost", its own authority, and its key."""
    return make_certificate()


@pytest.fixture
def secure_server(server, certificate):
    server.secure(certificate)
    server.say(body=SUCCESS)
    return server


def secure_url(server, host="localhost"):
    return server.url.replace("http://127.0.0.1", f"https://{host}")


def test_a_certificate_authority_of_ones_own(secure_server, certificate):
    client = Client(secure_url(secure_server), TOKEN, ca_bundle=certificate)
    assert [send(client).tracked for _ in range(2)] == [1, 1]
    assert secure_server.connections == 1
    client.close()


def test_the_environment_adds_no_certificate_authority(
    secure_server, monkeypatch, certificate
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    with pytest.raises(Unreachable, match="is not known here"):
        send(Client(secure_url(secure_server), TOKEN))
    assert secure_server.requests == []


def test_the_deadline_holds_within_tls(secure_server, certificate):
    secure_server.stream(HEAD + b"X: ", b"x", pause=0.01, times=400)
    client = Client(secure_url(secure_server), TOKEN, ca_bundle=certificate)
    start = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer"):
        send(client, timeout=0.3)
    assert time.monotonic() - start < 1.5


def test_the_deadline_holds_in_the_tls_handshake():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer"):
            url = f"https://localhost:{listener.getsockname()[1]}/"
            send(Client(url, TOKEN), timeout=0.3)
    assert time.monotonic() - start < 1.5


# === PROBE AND REPORTS === #


def test_probe(server, client):
    server.say(body=SUCCESS)
    client.probe(7)
    ((request,),) = (
        json.loads(body)["requests"] for _path, _headers, body in server.requests
    )
    assert request == {"idsite": "7", "rec": "0", "cip": "0.0.0.0"}


@pytest.mark.parametrize("is_superuser", [False, True])
def test_probe_tells_a_superuser(server, client, is_superuser):
    """Matomo says to superusers alone which requests it has refused."""
    indices = {"invalid_indices": []} if is_superuser else {}
    server.say(body={"status": "success", "tracked": 1, "invalid": 0, **indices})
    assert client.probe(7) is is_superuser


def test_probe_of_a_wrong_token(server, client):
    server.say(body={"status": "success", "tracked": 0, "invalid": 1})
    with pytest.raises(Misconfigured, match="site id 7"):
        client.probe(7)


@pytest.mark.parametrize("status", [200, 204, 400, 404, 500, 503])
def test_probe_of_something_else(server, client, status):
    server.say(status, b"" if status == 204 else b"<html>")
    with pytest.raises(ServerTrouble):
        client.probe(7)


def test_report(server, client):
    server.say(body=[1, 2])
    assert client.call_api("X.get", idSite="1", segment="orderId==a&b") == [1, 2]
    ((path, _headers, body),) = server.requests
    assert path == "/index.php"
    assert parse_qs(body) == {
        "module": ["API"],
        "method": ["X.get"],
        "format": ["json"],
        "language": ["en"],
        "token_auth": [TOKEN],
        "idSite": ["1"],
        "segment": ["orderId==a&b"],
    }


@pytest.mark.parametrize(
    ("status", "message", "is_denied", "is_log_off"),
    [
        (200, "requires 'view' access for the website id = 9", True, False),
        (401, "You must be logged in", True, False),
        (403, "Forbidden", True, False),
        (200, "SQLSTATE[HY000]: General error: 2006 gone away", False, False),
        (400, "The method 'X' does not exist", False, False),
        (500, "Maximum execution time exceeded", False, False),
        (200, "Visits log is deactivated globally.", False, True),
        (200, "Visits log is deactivated in website settings.", False, True),
    ],
)
def test_a_report_that_is_refused(
    server, client, status, message, is_denied, is_log_off
):
    server.say(status, {"result": "error", "message": f"{message} {TOKEN}"})
    with pytest.raises(ReportRefused, match=r"\*\*\*") as caught:
        client.call_api("X.get")
    assert caught.value.status == status
    assert (caught.value.is_denied, caught.value.is_log_off) == (is_denied, is_log_off)


@pytest.mark.parametrize("status", [401, 403])
def test_a_report_for_an_unknown_token(server, client, status):
    server.say(status, b"<!DOCTYPE html><title>Matomo &rsaquo; Error</title>")
    with pytest.raises(ReportRefused, match=f"HTTP {status}") as caught:
        client.call_api("X.get")
    assert caught.value.is_denied


@pytest.mark.parametrize(
    "call", [lambda client: client.call_api("X.get"), lambda client: client.probe(1)]
)
def test_a_password_of_the_web_server_is_no_wrong_token(server, client, call):
    server.say(401, b"<h1>Authorization Required</h1>", WWW_Authenticate="Basic")
    with pytest.raises(ServerTrouble) as caught:
        call(client)
    assert caught.value.kind == "fenced"
    assert not caught.value.may_be_recorded


@pytest.mark.parametrize("status", [200, 302, 500, 503])
def test_a_report_that_is_none(server, client, status):
    server.say(status, b"<html>")
    with pytest.raises(ServerTrouble):
        client.call_api("X.get")


# === THE TOKEN === #


def test_the_token_is_in_no_error(server, caplog):
    """No error contains the token, also if a traceback shows all variables."""
    caplog.set_level(logging.DEBUG)
    client = Client(server.url, TOKEN)
    echo = f"token_auth={TOKEN} is wrong".encode()
    answers = [
        lambda: server.say(200, echo),
        lambda: server.say(500, echo * 1000),
        lambda: server.say(401, echo),
        lambda: server.say(200, {"result": "error", "message": echo.decode()}),
        lambda: server.say(302, echo, Location=f"https://evil.example/?{TOKEN}"),
        lambda: server.stream(echo),
        lambda: server.stream(HEAD + b"Content-Length: 10\r\n\r\n", b""),
        lambda: server.stream(b""),
    ]
    for answer in answers:
        for ask in (send, lambda c: c.call_api("X.get"), lambda c: c.probe(1)):
            answer()
            with pytest.raises(MatomoError) as caught:
                ask(client)
            assert_silent(caught.value)
    with pytest.raises(MatomoError) as caught:
        send(Client("https://169.254.169.254/", TOKEN))
    assert_silent(caught.value)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(client) + str(client)


def assert_silent(error):
    logged = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The frame of the test itself knows what it made up.
    logged.stack[:] = [frame for frame in logged.stack if frame.filename != __file__]
    assert logged.stack
    assert TOKEN not in "".join(logged.format())
    assert TOKEN not in repr(error.args) + error.text + repr(vars(error))
    assert error.__context__ is None and error.__cause__ is None


@pytest.mark.parametrize(
    "spelling",
    [
        "a+b/c=d&e é",
        "a%2Bb%2Fc%3Dd%26e%20%C3%A9",
        "a%2bb%2fc%3dd%26e+%c3%a9",
        "a+b/c=d&e \\u00e9",
        "a+b\\/c=d&e \\u00e9",
        "a+b/c=d&amp;e é",
    ],
)
def test_the_token_is_masked_however_it_is_written(server, spelling):
    client = Client(server.url, "a+b/c=d&e é")
    server.say(500, f"<{spelling}>".encode())
    with pytest.raises(ServerTrouble) as caught:
        send(client)
    assert caught.value.text == "<***>"


@pytest.mark.parametrize(
    "spelling",
    [
        "".join(f"&amp;#{ord(char)};" for char in TOKEN),
        "".join(f"&&#97;mp;#x{ord(char):x};" for char in TOKEN),
        "&amp;amp;#48;" + TOKEN[1:],
    ],
)
def test_the_token_is_masked_after_texts_are_decoded(server, client, spelling):
    """Matomo's texts are escaped twice: decoded, they spelled the token."""
    server.say(body={"name": f"<{spelling}>", "list": [{"a": [spelling]}]})
    answer = client.call_api("SitesManager.getSiteFromId")
    assert answer == {"name": "<***>", "list": [{"a": ["***"]}]}
    server.say(body={"result": "error", "message": f"no {spelling}"})
    with pytest.raises(ReportRefused) as caught:
        client.call_api("SitesManager.getSiteFromId")
    assert caught.value.text == "no ***"


FORGED = "gone\r\n2026-01-01 INFO forged\x1b[2J\x00\x85\u2028\u202e\ud800"


def test_what_a_server_says_begins_no_new_line_of_the_log(server, client):
    """Whoever rules Matomo wrote lines of their own into Odoo's log."""
    server.say(body={"name": FORGED})
    texts = [client.call_api("SitesManager.getSiteFromId")["name"]]
    for answer in (
        lambda: server.say(body={"result": "error", "message": FORGED}),
        lambda: server.say(500, FORGED.encode("utf-8", "replace")),
        lambda: server.stream(b"HTTP\x1b[2J\x85 forged\x0b\r\n\r\n"),
    ):
        answer()
        with pytest.raises(MatomoError) as caught:
            client.call_api("SitesManager.getSiteFromId")
        error = caught.value
        texts += [
            str(error),
            error.text,
            error.detail,
            *map(str, error.figures.values()),
        ]
    server.say(body=FORGED.encode("utf-8", "replace") + json.dumps(SUCCESS).encode())
    answer = send(client)
    texts += [answer.text, answer.dirt]
    for text in texts:
        assert len(text.splitlines()) <= 1, text
        assert not set("\r\n\x00\x1b\x85\u2028\u202e\ud800") & set(text), text


def test_a_number_of_many_digits_in_a_message_is_no_crash(server, client):
    server.say(body={"result": "error", "message": f"&#{'9' * 4900};"})
    with pytest.raises(ReportRefused):
        client.call_api("SitesManager.getSiteFromId")


def in_json(char, how):
    """Return a character as a JSON string may hold it."""
    units = char.encode("utf-16-be")
    escapes = "".join(
        f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)
    )
    plain = json.dumps(char, ensure_ascii=False)[1:-1]
    ways = [plain, escapes, escapes.upper().replace("U", "u"), json.dumps(char)[1:-1]]
    return "\\/" if char == "/" and how == len(ways) else (ways * 2)[how]


TOKENS = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1), min_size=1)


@given(st.data(), TOKENS)
def test_any_spelling_in_json_is_masked(data, token):
    spelling = "".join(in_json(char, data.draw(st.integers(0, 4))) for char in token)
    assert json.loads(f'"{spelling}"') == token
    # Alone: a short token may be in what stands around it, too.
    assert Client("", token)._mask_bytes(spelling.encode()) == b"***"


# Which backslashes before an escaped NUL are the token's is unclear: all go.
@given(st.data(), TOKENS.filter(lambda token: "\\" not in token))
def test_nuls_hide_no_token(data, token):
    nuls = st.sampled_from(["", "\0", "\0\0", "\\u0000"])
    spelling = "".join(
        in_json(char, data.draw(st.integers(0, 4))) + data.draw(nuls) for char in token
    )
    answer = f"{data.draw(nuls)}{spelling}".encode()
    assert Client("", token)._mask_bytes(answer) == b"***"


def test_json_within_json_is_masked():
    answer = json.dumps({"a": json.dumps({"b": "a/\u00e9\U0001f600"})}).encode()
    masked = Client("", "a/\u00e9\U0001f600")._mask_bytes(answer)
    assert json.loads(json.loads(masked)["a"]) == {"b": "***"}


@pytest.mark.parametrize("part", [b"\\", b"\\u0000", b"&#0", b"<", TOKEN[:-1].encode()])
def test_masking_takes_no_longer_than_the_answer(part):
    client = Client("", "\\" + TOKEN)
    body = part * (1_000_000 // len(part))
    start = time.process_time()
    client._mask_bytes(body)
    client._mask_bytes(b"&#" + b"0" * 1_000_000)
    # The square of the length would take minutes.
    assert time.process_time() - start < 5


def test_headers_that_cannot_be_read_are_not_logged(server, client, caplog):
    body = json.dumps(SUCCESS).encode()
    for echo in (TOKEN, f"{TOKEN} {TOKEN}", f"\u00e9{TOKEN}"):
        head = HEAD + f"X: y\r\n{echo}\r\nContent-Length: {len(body)}\r\n".encode()
        server.stream(head + b"\r\n" + body)
        with suppress(MatomoError):
            send(client)
    assert len(server.requests) == 3
    assert TOKEN not in caplog.text


def test_the_token_travels_in_bodies_only(server, client):
    server.say(body=SUCCESS)
    send(client)
    client.call_api("X.get")
    client.probe(1)
    for path, headers, body in server.requests:
        assert TOKEN in body
        assert TOKEN not in path + str(headers)


def test_a_cut_answer_holds_no_part_of_the_token(server, client):
    for start in range(470, 505, 5):
        server.say(500, b"x" * start + TOKEN.encode())
        with pytest.raises(ServerTrouble) as caught:
            send(client)
        assert TOKEN[:6] not in caught.value.text
        assert len(caught.value.text) <= 500
