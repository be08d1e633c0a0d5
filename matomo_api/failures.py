"""From an exception of an HTTP request to one of our errors.

A library's words say nothing to the people who read our errors, and nobody translates
them. They go into the error's ``detail``, which is for logs.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from .errors import MatomoError, Misconfigured, Unreachable
from .transport import AnswerTooLong, get_proxies

MAX_DETAIL_LENGTH = 500
# OpenSSL's codes of what is wrong with a certificate (x509_vfy.h).
_OUT_OF_DATE = (9, 10)
_OF_ANOTHER = (62, 64)
# OpenSSL's libraries that read a file of certificates.
_FILE_LIBRARIES = ("X509", "PEM", "ASN1")
_TIMEOUTS = (
    requests.exceptions.Timeout,
    urllib3.exceptions.ReadTimeoutError,
    TimeoutError,
)
# requests itself refuses an address of Matomo that cannot be parsed.
_PROXY_ERRORS = (
    urllib3.exceptions.LocationParseError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.ProxySchemeUnknown,
    requests.exceptions.InvalidProxyURL,
)
# There was no connection yet on which anything could be sent.
_UNSENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    *_PROXY_ERRORS,
    ssl.SSLCertVerificationError,
)


def explain(
    error: Exception, url: str, seconds: float, mask: Callable[[str], str]
) -> MatomoError:
    """Return our error for an exception that ended an HTTP request to Matomo.

    :param url: the address that was asked
    :param seconds: until the whole answer had to be there
    :param mask: removes the token from a text
    :return: ``Misconfigured`` if only a person can correct it, else ``Unreachable``;
        both know whether something may be recorded
    """
    causes = list(_chain(error))
    kind = _find_kind(causes)
    detail = mask(_describe(causes[-1]))[:MAX_DETAIL_LENGTH]
    if kind == "address":
        return Misconfigured(kind, detail=detail, reason="malformed", address=mask(url))
    if kind == "certificate_authorities":
        return Misconfigured(kind, detail=detail)
    parts = urlsplit(url)
    explained = Unreachable(
        kind,
        detail=detail,
        seconds=seconds,
        host=mask(parts.hostname or ""),
        port=parts.port or (443 if parts.scheme == "https" else 80),
        proxy=mask(_get_proxy_name(url)),
    )
    explained.may_be_recorded = not _has(causes, _UNSENT)
    return explained


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, what it wraps, what that wraps, and so on."""
    while error:
        yield error
        wrapped = [arg for arg in error.args if isinstance(arg, BaseException)]
        error = (
            getattr(error, "reason", None)
            if isinstance(getattr(error, "reason", None), BaseException)
            else wrapped[-1]
            if wrapped
            else error.__cause__
        )


def _has(causes: list[BaseException], classes) -> bool:
    return any(isinstance(cause, classes) for cause in causes)


def _find_kind(causes: list[BaseException]) -> str:
    """Return the kind of ``errors.KINDS`` that a chain of exceptions stands for."""
    if _has(causes, _TIMEOUTS):
        return "timeout"
    if _has(causes, AnswerTooLong):
        return "too_long"
    if _has(causes, _PROXY_ERRORS):
        return "proxy"
    if _has(causes, socket.gaierror):
        return "name_unknown"
    if _has(causes, ConnectionRefusedError):
        return "connection_refused"
    if _has(causes, (ssl.SSLError, requests.exceptions.SSLError)):
        return _find_kind_of_tls(causes)
    # What follows is raised before there is a connection.
    if isinstance(causes[0], ValueError):
        return "address"
    known = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError)
    return "unreachable" if _has(causes, known) else "certificate_authorities"


def _find_kind_of_tls(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _OUT_OF_DATE:
                return "certificate_expired"
            if cause.verify_code in _OF_ANOTHER:
                return "certificate_of_another"
            return "certificate_untrusted"
        if isinstance(cause, PermissionError) or (
            isinstance(cause, ssl.SSLError) and cause.library in _FILE_LIBRARIES
        ):
            return "certificate_authorities"
    return "tls"


def _describe(error: BaseException) -> str:
    if isinstance(error, urllib3.exceptions.LocationParseError):
        # It names the address of the proxy, with its password.
        return type(error).__name__
    return getattr(error, "strerror", "") or str(error) or type(error).__name__


def _get_proxy_name(url: str) -> str:
    """Return host and port of the proxy to an address, without its password."""
    proxy = requests.utils.select_proxy(url, get_proxies(url)) or ""
    return proxy.rpartition("@")[2].rpartition("//")[2].partition("/")[0]
