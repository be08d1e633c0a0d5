"""The one place that asks Matomo something.

Rules of the house: the token travels in POST bodies only, redirects are not
followed (it must not reach another host), certificates are always verified,
every wait has an end, and answers are read up to a limit.
"""

import html
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from itertools import islice

import urllib3.exceptions

from .address import AddressRefused, check_address
from .errors import (
    NOT_AUTHENTICATED,
    MatomoError,
    Misconfigured,
    ReportRefused,
    ServerTrouble,
    Unreachable,
)
from .failures import explain
from .texts import decode_entities, to_line
from .tracking import NO_ADDRESS, api_url, tracker_url
from .transport import (
    MAX_ANSWER_BYTES,
    get_certificate_end,
    get_proxies,
    open_session,
)

USER_AGENT = "matomo-order-tracking/19.0 (Odoo)"
MAX_TEXT_LENGTH = 500
# How much is read of a message of Matomo, which is cut once its markup is removed.
MAX_MESSAGE_LENGTH = 5_000
# Reading reports makes Matomo compute them.
REPORT_TIMEOUT = 30
MASK = "***"
# Longer than this no server's Retry-After is believed (seconds).
MAX_RETRY_AFTER = 86_400
# In so many places of an answer the beginning of its JSON is looked for.
MAX_JSON_STARTS = 100
_JSON_START = re.compile(r"[\[{]")
_DECODER = json.JSONDecoder()
# What PHP writes into an answer if display_errors is on, and what others add without
# saying anything: a byte order mark, comments.
_PHP_OUTPUT = re.compile(
    r"""(?:<br\s*/?>\s*)?
        (?:<b>)?(?:PHP\s+)?(?:Warning|Notice|Deprecated|Strict\ Standards)(?:</b>)?:
        [^\n]*?\bon\ line\ (?:<b>)?\d+(?:</b>)?(?:<br\s*/?>)?
      | <!--.*?--> | \ufeff""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# The backslash of an escape in JSON, also in JSON within JSON. Without a limit a long
# row of them would take the square of its length.
_ESCAPE = rb"\\{1,8}"
_SHORT_ESCAPES = {
    **{'"': b'"', "/": b"/"},
    **{"\b": b"b", "\f": b"f", "\n": b"n", "\r": b"r", "\t": b"t"},
}
_NULS = re.compile(rb"\x00|" + _ESCAPE + rb"u0000")
# Tags, and control characters.
_MARKUP = re.compile(r"<[^>]*>|[<>\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class BulkAnswer:
    """What Matomo said of a bulk: how many it took and how many it refused.

    ``tracked`` counts what was silently dropped, too; after a lock wait timeout
    both together are less than what was sent (docs/matomo.md section 3).

    :ivar dirt: what stood around Matomo's own answer, "" if nothing did
    :ivar is_superuser: whether Matomo says which requests it refused, as it does for
        the token of a superuser alone
    """

    tracked: int
    invalid: int
    status: int
    text: str
    duration_ms: int
    dirt: str = ""
    is_superuser: bool = False


@dataclass(frozen=True)
class _Answer:
    """An HTTP answer that does not hold the token, whatever the server wrote."""

    status: int
    body: bytes
    retry_after: int
    duration_ms: int

    @property
    def text(self) -> str:
        return to_line(self.body[:10_000].decode("utf-8", "replace"))[:MAX_TEXT_LENGTH]


class Client:
    """A Matomo installation, reached with one token, by one thread at a time.

    Connections are kept alive until ``close``.

    :param url: address of Matomo, with or without ``matomo.php``
    :param token: the secret ``token_auth``
    :param ca_bundle: path of a certificate authority's file, if not the usual
    :param allow_private: whether Matomo may be on this machine or in a private
        network
    :param report_timeout: seconds until a report must be here
    :param secrets: more parameters that go into the body of each request and must be
        in no traceback, as passwords. The caller drops what Matomo answers to them
    :ivar certificate_end: until when the server's certificate is good (seconds since
        1970), None if that is not known
    :ivar clock_offset: by how many seconds the server's clock is ahead of ours, None if
        its answers have no date
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca_bundle: str = "",
        allow_private: bool = True,
        report_timeout: float = REPORT_TIMEOUT,
        secrets: Mapping[str, str] | None = None,
    ):
        self.url = url
        self._token = token
        self._secrets = dict(secrets or {})
        self._secret = _secret_pattern(token)
        self._verify: str | bool = ca_bundle or True
        self._allow_private = allow_private
        self._report_timeout = report_timeout
        self._session = open_session(allow_private)
        self.certificate_end: float | None = None
        self.clock_offset: float | None = None

    def __repr__(self):
        return f"Client({self.url!r})"

    def close(self) -> None:
        """Close the connections kept alive."""
        self._session.close()

    # === TRACKING === #

    def send_bulk(
        self, requests_parameters: Sequence[Mapping[str, str]], timeout: float
    ) -> BulkAnswer:
        """Send tracking requests in one POST (docs/matomo.md section 3).

        :param timeout: seconds until the whole answer must be here
        :raise Unreachable: no answer: it may or may not have been recorded
        :raise ServerTrouble: Matomo recorded nothing or cannot say what
        :raise Misconfigured: the address may not be used
        """
        answer = self._post(
            # The plugin QueuedTracking looks for this in the address, not in the
            # requests of a bulk (docs/matomo.md section 15). It would answer before
            # anything is recorded.
            tracker_url(self.url) + "?queuedtracking=0",
            {"requests": [dict(parameters) for parameters in requests_parameters]},
            timeout,
            as_json=True,
        )
        content, dirt = parse_answer(answer.body, _is_bulk_answer)
        if not (
            200 <= answer.status < 300
            and _is_bulk_answer(content)
            and content["status"] == "success"
            and 0 <= content["tracked"] + content["invalid"] <= len(requests_parameters)
        ):
            raise _trouble(answer)
        tracked, invalid = content["tracked"], content["invalid"]
        if not tracked and not invalid and requests_parameters:
            error = ServerTrouble(
                "recorded_nothing",
                retry_after=answer.retry_after,
                status=answer.status,
                text=answer.text,
            )
            error.may_be_recorded = False
            raise error
        return BulkAnswer(
            tracked,
            invalid,
            answer.status,
            answer.text,
            answer.duration_ms,
            dirt,
            "invalid_indices" in content,
        )

    def probe(self, idsite: int, timeout: float = 7) -> bool:
        """Ask whether the token may record for the site; stores nothing.

        ``rec=0`` records nothing, and without ``cip`` Matomo would not look at the
        token (docs/matomo.md section 4). It is a bulk of one, because a single request
        is refused in the same way when Matomo's database is down.

        :return: whether the token is a superuser's
        :raise Misconfigured: wrong token, wrong site or missing rights
        :raise Unreachable: no answer
        :raise ServerTrouble: an answer that is not Matomo's, or Matomo is ill
        """
        try:
            answer = self.send_bulk(
                [{"idsite": str(idsite), "rec": "0", "cip": NO_ADDRESS}], timeout
            )
        except MatomoError as error:
            error.may_be_recorded = False
            raise
        if answer.invalid:
            raise Misconfigured(
                "token_refused",
                idsite=idsite,
                status=answer.status,
                text=answer.text,
            )
        return answer.is_superuser

    # === REPORTING === #

    def call_api(self, method: str, timeout: float | None = None, **parameters):
        """Call a method of Matomo's Reporting API and return its JSON.

        Its texts are decoded: Matomo escapes them or not, by version. They hold
        neither the token nor what cannot be stored or logged.

        :param timeout: seconds until the whole answer must be here, if not the usual
        :raise ReportRefused: Matomo answers this call with an error
        :raise Unreachable: no answer
        :raise ServerTrouble: an answer that is not Matomo's
        """
        answer = self._post(
            api_url(self.url),
            # Without a language Matomo answers errors in that of the token's user.
            {
                "module": "API",
                "method": method,
                "format": "json",
                "language": "en",
                **parameters,
            },
            timeout or self._report_timeout,
        )
        content, _dirt = parse_answer(answer.body, _is_report)
        content = clean_values(content, self._mask)
        if isinstance(content, dict) and content.get("result") == "error":
            # With status 200, 400 or 401, by version and set-up.
            message = self._clean(str(content.get("message") or ""))
            raise ReportRefused(
                "report_refused", answer=message, status=answer.status, text=message
            )
        if answer.status in (401, 403):
            # An HTML page although JSON was asked for (docs/matomo.md section 10).
            raise ReportRefused(
                "report_refused",
                answer=f"HTTP {answer.status}",
                status=answer.status,
                text=answer.text,
            )
        if answer.status != 200 or content is None:
            raise _trouble(answer)
        return content

    # === HTTP === #

    def _post(self, url, content, timeout, as_json=False) -> _Answer:
        outcome = self._exchange(url, content, timeout, as_json)
        if isinstance(outcome, MatomoError):
            # Raised here, its traceback holds no frame that knows the token.
            raise outcome
        return outcome

    def _exchange(self, url, content, timeout, as_json) -> _Answer | MatomoError:
        """Post ``content`` and the token; an error is returned, not raised."""
        start = time.monotonic()
        try:
            check_address(self.url, self._allow_private)
            content = {**content, **self._secrets, "token_auth": self._token}
            with closing(
                self._session.post(
                    url,
                    data=_to_json(content) if as_json else content,
                    headers={
                        "User-Agent": USER_AGENT,
                        # Answers are short. A server may compress them all the same.
                        "Accept-Encoding": "identity",
                        **({"Content-Type": "application/json"} if as_json else {}),
                    },
                    timeout=timeout,
                    verify=self._verify,
                    proxies=get_proxies(url),
                    allow_redirects=False,
                    stream=True,
                )
            ) as response:
                self._note_server(response.headers)
                if _is_fenced(response):
                    return ServerTrouble("fenced", status=response.status_code)
                body = b""
                for chunk in response.iter_content(65_536):
                    body += chunk
                    # A short answer may unfold to one that fills the memory.
                    if len(body) > MAX_ANSWER_BYTES:
                        return Unreachable("compressed")
        except AddressRefused as error:
            return Misconfigured(
                "address",
                detail=self._mask(str(error)),
                reason=error.kind,
                address=self._mask(error.host or self.url),
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # Those of requests are an OSError, too.
            return explain(error, self.url, timeout, self._mask)
        return _Answer(
            response.status_code,
            self._mask_bytes(body),
            _retry_after(response.headers),
            int((time.monotonic() - start) * 1000),
        )

    # The clock is bound here, so that a test that freezes the time does not stop it.
    def _note_server(self, headers, clock=time.time):
        """Keep what an answer tells of the server: its certificate and its clock."""
        self.certificate_end = get_certificate_end() or self.certificate_end
        with suppress(TypeError, ValueError, OverflowError):
            sent = parsedate_to_datetime(headers.get("Date", ""))
            self.clock_offset = sent.timestamp() - clock()

    def _clean(self, text: str) -> str:
        """Return a sentence of Matomo as people may read it: without markup, cut."""
        text = _MARKUP.sub(" ", text[:MAX_MESSAGE_LENGTH])
        # Without its markup the text may spell the token anew.
        return self._mask(" ".join(text.split()))[:MAX_TEXT_LENGTH]

    def _mask(self, text: str) -> str:
        return self._mask_bytes(text.encode("utf-8", "replace")).decode()

    def _mask_bytes(self, body: bytes) -> bytes:
        # Neither JSON nor PostgreSQL wants them, and they would hide a token.
        body = _NULS.sub(b"", body)
        return self._secret.sub(MASK.encode(), body) if self._secret else body


def _secret_pattern(token: str) -> re.Pattern[bytes] | None:
    """Return what finds a token in what a server sends back, however it writes it.

    Each character may be written as it is, as in an address or a form, with an escape
    of JSON, or with a reference of HTML. None if there is no token.
    """
    pattern = b""
    for run in re.findall(r"\\+|[^\\]", token):
        # How many backslashes are meant is unclear: without a limit, and one by one, it
        # would take for ever to find that they are no token.
        most = len(run) * 8 if run[0] == "\\" else 1
        pattern += b"(?:%s){%d,%d}" % (
            b"|".join(_spellings(run[0])),
            len(run),
            most,
        )
    return re.compile(pattern, re.I) if pattern else None


def _spellings(char: str) -> Iterator[bytes]:
    """Yield regular expressions that find one character of a token."""
    data = char.encode("utf-8", "replace")
    units = char.encode("utf-16-be", "surrogatepass")
    if char == "\\":
        yield rb"\\(?:u005c)?"
    else:
        yield re.escape(data)
        # Above U+FFFF a character is two escapes.
        yield b"".join(
            _ESCAPE + b"u" + units[at : at + 2].hex().encode()
            for at in range(0, len(units), 2)
        )
    if short := _SHORT_ESCAPES.get(char):
        yield _ESCAPE + short
    if char == " ":
        yield rb"\+"
    yield b"".join(b"%%%02x" % byte for byte in data)
    yield b"&#0*%d;?" % ord(char)
    yield b"&#x0*%x;?" % ord(char)
    if (reference := html.escape(char)) != char:
        yield reference.encode()


def _to_json(content) -> bytes:
    """Return JSON as short as it can be, for servers that limit the size of a body."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _is_fenced(response) -> bool:
    """Return whether a web server asks for a password of its own.

    Matomo answers a token that it does not know with status 401, too, but never with
    this header: without it, a wall before Matomo passes for a wrong token.
    """
    return response.status_code == NOT_AUTHENTICATED and (
        "WWW-Authenticate" in response.headers
    )


def _trouble(answer: _Answer) -> ServerTrouble:
    if 300 <= answer.status < 400:
        kind = "redirect"
    elif 200 <= answer.status < 300:
        kind = "not_matomo"
    else:
        kind = "status"
    return ServerTrouble(
        kind,
        retry_after=answer.retry_after,
        status=answer.status,
        text=answer.text,
    )


def parse_answer(body: bytes, is_answer: Callable[[object], bool]):
    """Return the JSON of an answer, and what stood around it.

    PHP and plugins of Matomo's host mix their own output into an answer: messages,
    comments, a byte order mark. An answer that tells everything is understood.

    :param is_answer: whether a JSON value can be nothing else than the answer
    :return: the value, None if there is none; and the text around it, "" if the
        answer is clean
    """
    clean = _parse_json(body)
    if clean is not None:
        return clean, ""
    text = body.decode("utf-8", "replace")
    for match in islice(_JSON_START.finditer(text), MAX_JSON_STARTS):
        try:
            content, end = _DECODER.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        around = text[: match.start()] + text[end:]
        if is_answer(content) or not _PHP_OUTPUT.sub("", around).strip():
            return content, " ".join(to_line(around).split())[:MAX_TEXT_LENGTH]
    return None, ""


def clean_values(content, mask: Callable[[str], str]):
    """Return the JSON of an answer with all its texts decoded and cleaned, in place.

    :param mask: removes the token from a text, which was masked only as it came
    """
    top = [content]
    parts = [top]
    while parts:
        part = parts.pop()
        pairs = part.items() if isinstance(part, dict) else enumerate(part)
        for key, value in pairs:
            if isinstance(value, str):
                cleaned = to_line(decode_entities(value))
                part[key] = value if cleaned == value else mask(cleaned)
            elif isinstance(value, (dict, list)):
                parts.append(value)
    return top[0]


def _parse_json(body: bytes):
    """Return the JSON of an answer, None if the answer is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_bulk_answer(content) -> bool:
    """Return whether a JSON value is Matomo's answer to a bulk, and nothing else."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("status"), str)
        and type(content.get("tracked")) is int
        and type(content.get("invalid")) is int
    )


def _is_report(content) -> bool:
    """Return whether a JSON value is a report, and nothing else.

    An empty list may stand in any page, and would mean that Matomo has nothing.
    """
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and (
        first.get("result") == "error"
        or bool({"actionDetails", "nb_conversions", "main_url", "value"} & first.keys())
    )


def _retry_after(headers: Mapping[str, str]) -> int:
    """Return the seconds of a Retry-After header (number or date), 0 without one."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(int(value[:9]), MAX_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(value) - datetime.now(timezone.utc)
        return min(max(int(wait.total_seconds()), 0), MAX_RETRY_AFTER)
    except (TypeError, ValueError, OverflowError):
        return 0
