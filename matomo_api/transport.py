"""How a request travels: one deadline for all of it, and guarded addresses.

A timeout of ``requests`` applies to a single wait: a server that sends one byte now and
then could hold a request for ever. Here the sockets themselves know when the whole
exchange must be over and how many bytes it may bring. The IP address is checked when a
connection is made, because a name can lead to another address each time.
"""

import queue
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from .address import AddressRefused, check_ip

MAX_ANSWER_BYTES = 20_000_000


class _Exchange(threading.local):
    """The limits of the request that this thread is making.

    :ivar deadline: on the monotonic clock, in seconds
    :ivar certificate_end: until when the certificate is good that the server has shown
        (seconds since 1970), None if no connection was made with TLS
    """

    deadline = 0.0
    bytes_left = 0
    allow_private = True
    certificate_end: float | None = None


_exchange = _Exchange()


# The clock is bound here, so that a test that freezes the time does not stop it.
def _time_left(clock=time.monotonic) -> float:
    """Return the seconds until the exchange must be over.

    :raise TimeoutError: if it should be over
    """
    left = _exchange.deadline - clock()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class AnswerTooLong(OSError):
    """The answer has more bytes than an exchange may bring."""


class _Limited:
    """A socket that keeps to the deadline and the size of the exchange."""

    def recv(self, *args):
        self.settimeout(_time_left())
        data = super().recv(*args)
        self._count(len(data))
        return data

    def recv_into(self, *args):
        self.settimeout(_time_left())
        size = super().recv_into(*args)
        self._count(size)
        return size

    def send(self, *args):
        self.settimeout(_time_left())
        return super().send(*args)

    def sendall(self, *args):
        self.settimeout(_time_left())
        return super().sendall(*args)

    def _count(self, size):
        # Headers and the sizes of chunks count, too: nothing else limits them.
        _exchange.bytes_left -= size
        if _exchange.bytes_left < 0:
            raise AnswerTooLong("the answer is too long")


class _Socket(_Limited, socket.socket):
    pass


class _TLSSocket(_Limited, ssl.SSLSocket):
    pass


class _Response(HTTPResponse):
    """An answer that forgets the headers that cannot be parsed.

    urllib3 logs them unchanged, and a server may have written the token there.
    """

    # The method of http.client returns nothing, either.
    def begin(self):  # pylint: disable=missing-return
        super().begin()
        self.msg.defects.clear()
        self.msg.set_payload(None)


class _Guarded:
    """A connection that checks the IP address to which it connects."""

    response_class = _Response

    def _new_conn(self):
        is_secure = isinstance(self, HTTPSConnection)
        try:
            # The administrator chose the proxy; only the address of Matomo is checked.
            guard = None if self.proxy else is_secure
            return _connect(self._dns_host, self.port, guard)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error


class _HTTPConnection(_Guarded, HTTPConnection):
    pass


class _HTTPSConnection(_Guarded, HTTPSConnection):
    # The method of urllib3 returns nothing, either.
    def connect(self):  # pylint: disable=missing-return
        super().connect()
        end = self.sock.getpeercert().get("notAfter")
        _exchange.certificate_end = ssl.cert_time_to_seconds(end) if end else None


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


def _connect(host: str, port: int, is_secure: bool | None) -> socket.socket:
    """Return a socket connected to the first address of the host that answers.

    :param is_secure: whether TLS follows; None: any address is allowed
    :raise AddressRefused: if no address of the host is allowed
    :raise OSError: if no address answers
    """
    addresses, refused = [], None
    for family, _type, _proto, _name, address in _resolve(host, port):
        try:
            if is_secure is not None:
                check_ip(
                    address[0],
                    is_secure=is_secure,
                    allow_private=_exchange.allow_private,
                )
            addresses.append((family, address))
        except AddressRefused as error:
            refused = error
    if refused and not addresses:
        raise refused
    trouble: OSError = socket.gaierror("the name has no address")
    for tried, (family, address) in enumerate(addresses):
        sock = _Socket(family, socket.SOCK_STREAM)
        try:
            # If the first address is silent, time must be left for the others.
            sock.settimeout(_time_left() / (len(addresses) - tried))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The whole TLS handshake must end in the time that is left.
            sock.settimeout(_time_left())
            return sock
        except OSError as error:
            sock.close()
            trouble = error
    raise trouble


def _resolve(host: str, port: int) -> list[tuple]:
    """Return the addresses of a host, as ``socket.getaddrinfo`` does.

    A resolver takes no timeout: a thread waits for it, and ends when the resolver
    gives up.

    :raise TimeoutError: if the resolver takes longer than the exchange may
    :raise OSError: if the resolver fails
    """
    kind = {"type": socket.SOCK_STREAM}
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **kind)
    answer: queue.SimpleQueue = queue.SimpleQueue()

    def look_up():
        try:
            answer.put(socket.getaddrinfo(host, port, **kind))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        found = answer.get(timeout=_time_left())
    except queue.Empty:
        raise TimeoutError("timed out") from None
    if isinstance(found, Exception):
        raise found
    return found


class _Transport(HTTPAdapter):
    """The adapter that sends the requests of a session over the connections above."""

    def __init__(self, allow_private: bool):
        self._allow_private = allow_private
        self._context = create_urllib3_context()
        self._context.sslsocket_class = _TLSSocket
        super().__init__(pool_connections=1, pool_maxsize=1)

    # The method of the adapter returns nothing, either.
    def init_poolmanager(self, *args, **kwargs):  # pylint: disable=missing-return
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy, **kwargs):
        if proxy.lower().startswith("socks"):
            raise requests.exceptions.InvalidProxyURL("SOCKS proxies are not supported")
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request, *args, timeout, clock=time.monotonic, **kwargs):
        """Send a request.

        :param timeout: seconds until the whole answer must have been read
        """
        _exchange.deadline = clock() + timeout
        _exchange.bytes_left = MAX_ANSWER_BYTES
        _exchange.allow_private = self._allow_private
        _exchange.certificate_end = None
        return super().send(request, *args, timeout=timeout, **kwargs)


class _Session(requests.Session):
    def get_redirect_target(self, resp):
        # requests would read a redirect's body and prepare to follow it, in any case.
        return None


def open_session(allow_private: bool = True) -> requests.Session:
    """Return an HTTP session for one thread at a time.

    The session uses nothing of the environment, except the proxies that the caller
    hands over: no ``.netrc`` adds credentials, and no variable adds a certificate
    authority. It keeps no cookies: with a cookie of Matomo all orders would belong to
    one visitor.

    :param allow_private: whether Matomo may be on this machine or in a private network
    """
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    transport = _Transport(allow_private)
    session.mount("https://", transport)
    session.mount("http://", transport)
    return session


def get_certificate_end() -> float | None:
    """Return until when the certificate is good that the last request has seen.

    :return: seconds since 1970; None without TLS, or if the connection was kept alive
    """
    return _exchange.certificate_end


def get_proxies(url: str) -> dict[str, str]:
    """Return the environment's proxies for this address, as ``requests`` expects them.

    Odoo's other requests use these proxies, too. TLS hides the token from a proxy, so
    that a request without TLS uses none.
    """
    if urlsplit(url).scheme == "https":
        return requests.utils.get_environ_proxies(url, no_proxy=None)
    return {}
