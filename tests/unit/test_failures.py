"""What ends a request is told apart, in words of ours, by what to do about it."""

import socket
import threading
from contextlib import closing

import pytest
from matomo_order_tracking.matomo_api.client import Client
from matomo_order_tracking.matomo_api.errors import (
    MatomoError,
    Misconfigured,
    Unreachable,
)

TOKEN = "0123456789abcdef0123456789abcdef"
SUCCESS = {"status": "success", "tracked": 1, "invalid": 0}


def fail(url, **options):
    """Return the error of a bulk that is sent to ``url``."""
    with closing(Client(url, TOKEN, **options)) as client:
        with pytest.raises(MatomoError) as caught:
            client.send_bulk([{"idsite": "1", "rec": "1"}], 5)
    assert caught.value.detail and caught.value.detail in str(caught.value)
    return caught.value


def get_free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def secure_server(server):
    """A server and the address where it answers by TLS, with a given certificate."""

    def serve(certificate, host="localhost"):
        server.secure(certificate)
        server.say(body=SUCCESS)
        return server.url.replace("http://127.0.0.1", f"https://{host}")

    return serve


# === NO CONNECTION === #


@pytest.mark.parametrize("host", ["matomo.invalid", "a.b.invalid"])
def test_a_name_that_nobody_knows(host):
    error = fail(f"https://{host}/")
    assert (type(error), error.kind) == (Unreachable, "name_unknown")
    assert error.figures["host"] == host
    assert not error.may_be_recorded


def test_a_name_without_an_address(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [])
    assert fail("https://matomo.example.com/").kind == "name_unknown"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_listens(scheme, host):
    port = get_free_port()
    error = fail(f"{scheme}://{host}:{port}/")
    assert (type(error), error.kind) == (Unreachable, "connection_refused")
    assert (error.figures["host"], error.figures["port"]) == (host, port)
    assert not error.may_be_recorded


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_the_usual_port_is_named(monkeypatch, scheme, port):
    def refuse(_socket, address):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert fail(f"{scheme}://127.0.0.1/").figures["port"] == port


def test_a_network_that_is_not_there(monkeypatch):
    def refuse(_socket, address):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    error = fail("https://127.0.0.1/")
    assert (error.kind, error.detail) == ("unreachable", "Network is unreachable")
    assert not error.may_be_recorded


def test_a_connection_that_is_lost(server):
    server.stream(b"")
    error = fail(server.url)
    assert (type(error), error.kind) == (Unreachable, "unreachable")
    assert error.may_be_recorded


@pytest.mark.parametrize("host", ["a..b", ".b", "a" * 64])
def test_an_address_that_leads_nowhere(host):
    url = f"https://{host}/"
    error = fail(url)
    assert (type(error), error.kind) == (Misconfigured, "address")
    assert error.figures["reason"] == "malformed"
    assert error.figures["address"] == url


# === THE PROXY === #


@pytest.fixture
def proxy(monkeypatch):
    def use(address):
        monkeypatch.setenv("https_proxy", address)
        monkeypatch.setenv("no_proxy", "")

    return use


@pytest.mark.parametrize("answer", ["403 Forbidden", "407 Authenticate"])
def test_a_proxy_that_refuses(server, proxy, answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()

        def refuse():
            connection, _address = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(f"HTTP/1.1 {answer}\r\n\r\n".encode())

        threading.Thread(target=refuse, daemon=True).start()
        proxy(f"http://user:pa%40ss@{host}:{port}")
        error = fail("https://matomo.example.com/")
    assert (type(error), error.kind) == (Unreachable, "proxy")
    assert error.figures["proxy"] == f"{host}:{port}"
    assert not error.may_be_recorded
    assert answer[:3] in error.detail


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://127.0.0.1:{port}", "127.0.0.1:{port}"),
        ("127.0.0.1:{port}/", "127.0.0.1:{port}"),
        ("http://user:p@s/s@127.0.0.1:{port}/", "127.0.0.1:{port}"),
        ("http://proxy.invalid:3128", "proxy.invalid:3128"),
        ("socks5://127.0.0.1:{port}", "127.0.0.1:{port}"),
        ("ftp://127.0.0.1:{port}", "127.0.0.1:{port}"),
        ("http://user:password@[x", "[x"),
        ("http://", ""),
    ],
)
def test_a_proxy_that_is_none(proxy, address, name):
    port = get_free_port()
    proxy(address.format(port=port))
    error = fail("https://matomo.example.com/")
    assert (type(error), error.kind) == (Unreachable, "proxy")
    assert error.figures["proxy"] == name.format(port=port)
    assert "user" not in str(error) + repr(vars(error))
    assert not error.may_be_recorded


# === TLS === #


@pytest.mark.parametrize(
    ("certificate", "kind"),
    [
        ({"first": -3, "last": -2}, "certificate_expired"),
        ({"first": 2, "last": 3}, "certificate_expired"),
        ({"host": "other.example.com"}, "certificate_of_another"),
    ],
)
def test_a_bad_certificate(secure_server, make_certificate, certificate, kind):
    path = make_certificate(**certificate)
    error = fail(secure_server(path), ca_bundle=path)
    assert (type(error), error.kind) == (Unreachable, kind)
    assert error.figures["host"] == "localhost"
    assert not error.may_be_recorded


def test_a_certificate_of_a_name_for_an_ip_address(secure_server, make_certificate):
    path = make_certificate()
    error = fail(secure_server(path, "127.0.0.1"), ca_bundle=path)
    assert error.kind == "certificate_of_another"


@pytest.mark.parametrize("has_bundle", [True, False])
def test_an_unknown_authority(secure_server, make_certificate, has_bundle):
    options = {"ca_bundle": make_certificate()} if has_bundle else {}
    error = fail(secure_server(make_certificate()), **options)
    assert (type(error), error.kind) == (Unreachable, "certificate_untrusted")
    assert error.figures["host"] == "localhost"
    assert not error.may_be_recorded


def test_a_server_without_tls(server):
    server.stream(b"220 smtp.example.com ready\r\n")
    error = fail(server.url.replace("http", "https"))
    assert (type(error), error.kind) == (Unreachable, "tls")
    assert error.figures["host"] == "127.0.0.1"
    assert "SSL" in error.detail


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"no certificate",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_bad_file_of_certificate_authorities(
    secure_server, make_certificate, tmp_path, content
):
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_bytes(content)
    error = fail(secure_server(make_certificate()), ca_bundle=str(path))
    assert (type(error), error.kind) == (Misconfigured, "certificate_authorities")


# === THE TOKEN === #


def test_what_is_said_of_a_failure_holds_no_token(proxy):
    """A token in the wrong place, and a library that repeats it."""
    proxy(f"http://{TOKEN}.invalid:1")
    error = fail(f"https://{TOKEN}.example.com/")
    assert error.figures["proxy"] == "***.invalid:1"
    assert TOKEN not in str(error) + repr(vars(error))
