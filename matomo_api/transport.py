"""How a request travels: one deadline for all of it, and guarded addresses.

The timeouts of ``requests`` are those of a single wait: a server that sends a
byte now and then holds a request for ever. Here the sockets themselves know when
the whole exchange has to be over and how much it may bring, and the IP address
is looked at when it is connected to.
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
    """What the request that this thread is making may still spend."""

    deadline = 0.0
    bytes_left = 0
    allow_private = True


_exchange = _Exchange()


# Bound here, so that a clock frozen by a test does not stop this one.
def _time_left(clock=time.monotonic) -> float:
    """Seconds until the exchange has to be over.

    :raise TimeoutError: when it should be
    """
    left = _exchange.deadline - clock()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _Limited:
    """A socket that waits no longer, and takes no more, than the exchange may."""

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
        # Headers and the sizes of chunks count too: nothing else limits these.
        _exchange.bytes_left -= size
        if _exchange.bytes_left < 0:
            raise OSError("the answer is too long")


class _Socket(_Limited, socket.socket):
    pass


class _TLSSocket(_Limited, ssl.SSLSocket):
    pass


class _Response(HTTPResponse):
    """An answer of whose headers nothing is kept that cannot be read.

    urllib3 logs such a rest as it is, and a server may have written the token there.
    """

    # http.client's method returns nothing.
    def begin(self):  # pylint: disable=missing-return
        super().begin()
        self.msg.defects.clear()
        self.msg.set_payload(None)


class _Guarded:
    """A connection that looks at the IP address it connects to."""

    response_class = _Response

    def _new_conn(self):
        is_secure = isinstance(self, HTTPSConnection)
        try:
            # The way to a proxy is the administrator's; it is not where we go.
            guard = None if self.proxy else is_secure
            return _connect(self._dns_host, self.port, guard)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error


class _HTTPConnection(_Guarded, HTTPConnection):
    pass


class _HTTPSConnection(_Guarded, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


def _connect(host: str, port: int, is_secure: bool | None) -> socket.socket:
    """A socket connected to the first address of the host that answers.

    :param is_secure: whether TLS follows; None: any address will do
    :raise AddressRefused: when no address of the host is allowed
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
    trouble = OSError("the name has no address")
    for tried, (family, address) in enumerate(addresses):
        sock = _Socket(family, socket.SOCK_STREAM)
        try:
            # A first address that is silent leaves time for the others.
            sock.settimeout(_time_left() / (len(addresses) - tried))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # For the TLS handshake, which ends in this time as a whole.
            sock.settimeout(_time_left())
            return sock
        except OSError as error:
            sock.close()
            trouble = error
    raise trouble


def _resolve(host: str, port: int) -> list[tuple]:
    """The addresses of a host, as ``socket.getaddrinfo`` returns them.

    A resolver cannot be told to hurry: a thread waits for it, and ends when the
    resolver gives up.
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
    """Carries requests of ``requests`` over the connections above."""

    def __init__(self, allow_private: bool):
        self._allow_private = allow_private
        self._context = create_urllib3_context()
        self._context.sslsocket_class = _TLSSocket
        super().__init__(pool_connections=1, pool_maxsize=1)

    # urllib3's adapter returns nothing here.
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
        """:param timeout: seconds until the whole answer must have been read"""
        _exchange.deadline = clock() + timeout
        _exchange.bytes_left = MAX_ANSWER_BYTES
        _exchange.allow_private = self._allow_private
        return super().send(request, *args, timeout=timeout, **kwargs)


class _Session(requests.Session):
    def get_redirect_target(self, resp):
        # Even a redirect that is not followed would be read and looked into.
        return None


def open_session(allow_private: bool = True) -> requests.Session:
    """An HTTP session for one thread at a time.

    Nothing of the environment is used but the proxies that the caller hands
    over: no ``.netrc`` adds credentials and no variable another certificate
    authority. Cookies are not kept, because Matomo may set one that would make
    all sales those of one visitor.
    """
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    transport = _Transport(allow_private)
    session.mount("https://", transport)
    session.mount("http://", transport)
    return session


def get_proxies(url: str) -> dict[str, str]:
    """The proxies of the environment for this address, as ``requests`` wants them.

    A network whose servers reach the world through a proxy says so in its
    environment, and Odoo's other requests follow. TLS keeps the token from the
    proxy, so what is not encrypted never goes there.
    """
    if urlsplit(url).scheme == "https":
        return requests.utils.get_environ_proxies(url, no_proxy=None)
    return {}
