"""The one place that talks HTTP with Matomo.

Rules of the house: the token travels in POST bodies only, redirects are not
followed (it must not reach another host), certificates are always verified,
every wait has an end, and answers are read up to a limit.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import requests

from .errors import Misconfigured, ServerTrouble, Unreachable
from .tracking import tracker_url

USER_AGENT = "matomo-order-tracking/19.0 (Odoo)"
MAX_ANSWER_BYTES = 20_000_000
MAX_TEXT_LENGTH = 500
# Reading reports makes Matomo compute them.
REPORT_TIMEOUT = 30
MASK = "***"
# Longer than this no server's Retry-After is believed (seconds).
MAX_RETRY_AFTER = 86_400


@dataclass(frozen=True)
class BulkAnswer:
    """What Matomo said of a bulk: how many it took and how many it refused.

    ``tracked`` counts what was silently dropped, too; after a lock wait timeout
    both together are less than what was sent (MATOMO.md section 3).
    """

    tracked: int
    invalid: int
    status: int
    text: str
    duration_ms: int


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]
    duration_ms: int


class Client:
    """A Matomo installation, reached with one token.

    :param url: address of Matomo, with or without ``matomo.php``
    :param token: the secret ``token_auth``
    :param ca_bundle: path of a certificate authority's file, if not the usual
    :param session: an HTTP session to share connections with
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca_bundle: str = "",
        session: requests.Session | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.url = url
        self._token = token
        self._verify: str | bool = ca_bundle or True
        self._session = session or requests.Session()
        self._clock = clock

    def close(self) -> None:
        """Close the connections kept alive."""
        self._session.close()

    # === TRACKING === #

    def send_bulk(
        self, requests_parameters: Sequence[Mapping[str, str]], timeout: float
    ) -> BulkAnswer:
        """Send tracking requests in one POST (MATOMO.md section 3).

        :param timeout: seconds until the whole answer must be here
        :raise Unreachable: no answer: it may or may not have been recorded
        :raise ServerTrouble: Matomo recorded nothing or cannot say what
        """
        body = json.dumps(
            {
                "requests": [dict(parameters) for parameters in requests_parameters],
                "token_auth": self._token,
            }
        )
        answer = self._post(
            tracker_url(self.url), body, timeout, {"Content-Type": "application/json"}
        )
        text = self._text(answer)
        content = _json_object(answer.body)
        if answer.status != 200 or content.get("status") != "success":
            raise self._trouble(answer)
        tracked, invalid = content.get("tracked"), content.get("invalid")
        if type(tracked) is not int or type(invalid) is not int:
            raise self._trouble(answer)
        if not tracked and not invalid and requests_parameters:
            raise ServerTrouble(
                "Matomo answered, but is set to record nothing at the moment"
                " (record_statistics).",
                status=answer.status,
                text=text,
            )
        return BulkAnswer(tracked, invalid, answer.status, text, answer.duration_ms)

    def probe(self, idsite: int, timeout: float = 7) -> None:
        """Ask whether the token may record for the site; stores nothing.

        Without ``cip`` Matomo would not look at the token (MATOMO.md section 4).

        :raise Misconfigured: wrong token, wrong site or missing rights
        :raise Unreachable: no answer
        :raise ServerTrouble: an answer that is not Matomo's
        """
        answer = self._post(
            tracker_url(self.url),
            {
                "idsite": str(idsite),
                "rec": "0",
                "cip": "127.0.0.1",
                "send_image": "0",
                "token_auth": self._token,
            },
            timeout,
        )
        if answer.status == 400:
            raise Misconfigured(
                f"Matomo refuses the token for site id {idsite}: the token is wrong,"
                " or the site does not exist, or its user has no write access to it.",
                status=answer.status,
                text=self._text(answer),
            )
        if answer.status not in (200, 204):
            raise self._trouble(answer)

    # === REPORTING === #

    def call_api(self, method: str, timeout: float = REPORT_TIMEOUT, **parameters):
        """Call a method of Matomo's Reporting API and return its JSON.

        :raise Misconfigured: the token may not read this
        :raise Unreachable: no answer
        :raise ServerTrouble: an answer that is not Matomo's
        """
        url = tracker_url(self.url).rpartition("/")[0] + "/index.php"
        answer = self._post(
            url,
            {
                "module": "API",
                "method": method,
                "format": "json",
                "token_auth": self._token,
                **parameters,
            },
            timeout,
        )
        if answer.status == 401:
            # An HTML page although JSON was asked for (MATOMO.md section 10).
            raise Misconfigured(
                "Matomo does not know the token.",
                status=answer.status,
                text=self._text(answer),
            )
        try:
            content = json.loads(answer.body)
        except ValueError:
            raise self._trouble(answer) from None
        if answer.status != 200:
            raise self._trouble(answer)
        if isinstance(content, dict) and content.get("result") == "error":
            message = self._mask(str(content.get("message") or ""))[:MAX_TEXT_LENGTH]
            raise Misconfigured(
                f"Matomo does not let the token read: {message}",
                status=answer.status,
                text=message,
            )
        return content

    # === HTTP === #

    def _post(self, url, data, timeout, headers=None) -> _Answer:
        start = self._clock()
        try:
            with closing(
                self._session.post(
                    url,
                    data=data,
                    headers={"User-Agent": USER_AGENT, **(headers or {})},
                    timeout=timeout,
                    verify=self._verify,
                    allow_redirects=False,
                    stream=True,
                )
            ) as response:
                body = self._read(response, start + timeout)
        except requests.exceptions.SSLError as error:
            raise Unreachable(
                "The certificate of Matomo's server could not be verified: "
                + self._mask(str(error))[:MAX_TEXT_LENGTH]
            ) from None
        except requests.exceptions.Timeout:
            raise Unreachable(
                f"Matomo did not answer within {timeout:g} seconds."
            ) from None
        except (requests.exceptions.RequestException, ValueError) as error:
            # ValueError: urllib3 lets some through for hosts it cannot encode.
            raise Unreachable(
                "Matomo cannot be reached: " + self._mask(str(error))[:MAX_TEXT_LENGTH]
            ) from None
        return _Answer(
            response.status_code,
            body,
            response.headers,
            int((self._clock() - start) * 1000),
        )

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Read the body, but no longer than ``deadline`` and up to the limit."""
        body = b""
        for chunk in response.iter_content(65_536):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise requests.exceptions.RequestException("the answer is too long")
            if self._clock() > deadline:
                raise requests.exceptions.ReadTimeout
        return body

    def _trouble(self, answer: _Answer) -> ServerTrouble:
        if 300 <= answer.status < 400:
            message = (
                "The address answers with a redirect, which is not followed because"
                " the token must not travel to another host. Enter the address it"
                " leads to."
            )
        elif answer.status == 200:
            message = "The answer does not look like Matomo's. Is the address right?"
        else:
            message = f"Matomo's server answered with HTTP status {answer.status}."
        return ServerTrouble(
            message,
            retry_after=_retry_after(answer.headers),
            status=answer.status,
            text=self._text(answer),
        )

    def _text(self, answer: _Answer) -> str:
        text = answer.body[: MAX_TEXT_LENGTH * 4].decode("utf-8", "replace")
        return self._mask(text.replace("\x00", ""))[:MAX_TEXT_LENGTH]

    def _mask(self, text: str) -> str:
        return text.replace(self._token, MASK) if self._token else text


def _json_object(body: bytes) -> dict:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _retry_after(headers: Mapping[str, str]) -> int:
    """Seconds of a Retry-After header, a number or a date; 0 if there is none."""
    value = headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return min(int(value[:9]), MAX_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(value) - datetime.now(timezone.utc)
        return min(max(int(wait.total_seconds()), 0), MAX_RETRY_AFTER)
    except (TypeError, ValueError):
        return 0
