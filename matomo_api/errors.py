"""What can go wrong on the way to Matomo, told apart by what to do about it.

An error carries a kind and figures. Its text, in English, is for logs; what people
read is made from the kind by ``tools/sentences.py``. Neither holds the token, nor
what a server may have written to begin a new line of the log.
"""

from .texts import to_line

# With this status a server asks to be left alone.
TOO_MANY_REQUESTS = 429
# With this status Matomo answers a token that it does not know (docs/matomo.md
# section 10).
NOT_AUTHENTICATED = 401
# How Matomo says that a token lacks rights.
_DENIALS = ("requires 'view' access", "token_auth")
# {kind: the text for logs}. The placeholders are the error's figures.
KINDS = {
    # Nothing came back.
    "timeout": "Matomo did not answer within {seconds:g} seconds.",
    "name_unknown": "No server with the name {host} can be found.",
    "connection_refused": "{host} refuses connections on port {port}.",
    "proxy": "Matomo cannot be reached through the proxy {proxy}.",
    "certificate_expired": "The certificate of {host} has expired, or is not valid "
    "yet.",
    "certificate_of_another": "The server at {host} shows the certificate of another.",
    "certificate_untrusted": "The certificate of {host} is signed by an authority that "
    "is not known here.",
    "tls": "The connection to {host} could not be secured.",
    "unreachable": "The connection to Matomo failed.",
    "compressed": "The answer is compressed, although this was not asked for.",
    "too_long": "The answer is too long.",
    # Something else came back than what Matomo answers when it is fine.
    "redirect": "The address answers with a redirect, which is not followed because "
    "the token must not travel to another host. Enter the address it leads to.",
    "not_matomo": "The answer does not look like Matomo's. Is the address right?",
    "status": "Matomo's server answered with HTTP status {status}.",
    "recorded_nothing": "Matomo answered, but recorded nothing: it is set to record "
    "nothing at the moment (record_statistics), or its database was locked.",
    "not_a_report": "Matomo's answer is not the report that was asked for.",
    # A person has to correct something.
    "address": "The address of Matomo may not be used.",
    "certificate_authorities": "The file of certificate authorities cannot be read.",
    "token_refused": "Matomo refuses the token for site id {idsite}: the token is "
    "wrong, or the site does not exist, or its user has no write access to it.",
    "token_unknown": "Matomo does not know the token.",
    "no_write_access": "The token may read site id {idsite}, and not write to it.",
    "secure_only": "The token may administrate site id {idsite}, and not record for "
    "it: it is a superuser's, and only allows secure requests.",
    "site_hidden": "The token may not see site id {idsite}, or there is no such site.",
    "currency_inactive": "The currency of the site, {currency}, is not active in Odoo.",
    # Matomo's reporting API.
    "report_refused": "Matomo answered a report with an error: {answer}",
    "no_visits_log": "Matomo shows no single visits of the site: its visits log or its "
    "visitor profiles are switched off.",
    "token_of_other_address": "The token {name} is kept for another address.",
    "token_renamed": "The token {old} has to be kept as {name}.",
    "no_token": "No token is set for the Matomo site {site}.",
    "copy": "This database is a copy: it sends nothing to Matomo until a manager "
    "confirms the site here.",
    # Setting Matomo up.
    "login_wrong": "Matomo refuses this login or its password.",
    "code_needed": "Matomo asks for the code of two-factor authentication.",
    "code_wrong": "Matomo refuses the code of two-factor authentication.",
    "code_not_set_up": "Matomo requires two-factor authentication of every user.",
    "locked_out": "Matomo has locked this server or this login out.",
    "password_needed": "Matomo asks for the password to confirm a change.",
    "user_exists": "There is a user {login} in Matomo already.",
    "user_of_another": "The user {login} in Matomo is not one that was made here.",
    "administration_off": "Users and websites cannot be changed in this Matomo.",
    "no_right": "The login may not do this in Matomo.",
    "fenced": "Something before Matomo refuses this server, with HTTP status {status}.",
    "only_view": "The login or token may write to no site, and make none.",
    "setup_refused": "Matomo refuses this step, with HTTP status {status}.",
    "maintenance": "Matomo is in maintenance.",
    # A fault of ours; the log has it.
    "unforeseen": "Something went wrong that nobody foresaw.",
}


class MatomoError(Exception):
    """Something went wrong.

    :param kind: one of ``KINDS``
    :param status: HTTP's, 0 if there was no answer
    :param text: what Matomo answered, masked and cut
    :param detail: what a library says, masked and cut: for logs only
    :param figures: what the text of the kind names, and what people may read

    ``may_be_recorded`` is whether Matomo may have recorded what was sent, although it
    did not say so.
    """

    may_be_recorded = True
    # Seconds that the server wants to be left alone, 0 if it named none.
    retry_after = 0

    def __init__(
        self,
        kind: str,
        *,
        status: int = 0,
        text: str = "",
        detail: str = "",
        **figures,
    ):
        self.kind = kind
        self.status = status
        self.text = to_line(text)
        self.detail = detail = to_line(detail)
        self.figures = {
            name: to_line(value) if isinstance(value, str) else value
            for name, value in {"status": status, **figures}.items()
        }
        log_text = KINDS[kind].format(**self.figures)
        super().__init__(f"{log_text} ({detail})" if detail else log_text)

    @property
    def may_be_about_content(self) -> bool:
        """Whether another request may pass.

        The server got this one, and does not ask to be left alone.
        """
        return not self.retry_after and self.status != TOO_MANY_REQUESTS


class Unreachable(MatomoError):
    """No answer arrived: what was sent, if it was, may or may not be recorded."""

    @property
    def may_be_about_content(self) -> bool:
        return self.may_be_recorded and super().may_be_about_content


class ServerTrouble(MatomoError):
    """Matomo, or what stands before it, cannot take requests now."""

    def __init__(self, kind: str, *, retry_after: int = 0, **kwargs):
        super().__init__(kind, **kwargs)
        self.retry_after = retry_after
        # Matomo rolls a bulk back that ends in an error (docs/matomo.md section 3).
        # Others refuse what does not get to it; a gateway that lost it (502, 504) is
        # unsure.
        self.may_be_recorded = not (
            300 <= self.status < 500 or self.status in (500, 503)
        )


class Misconfigured(MatomoError):
    """The token, the site id or the token's rights are wrong: a person must act."""

    may_be_recorded = False


class ReportRefused(MatomoError):
    """The reporting API answers a call with an error, in Matomo's own words.

    It concerns this call alone: any exception of Matomo's may come so, whatever the
    status (docs/matomo.md section 15). Whether the token may read a site at all is
    what ``reading.may_read`` asks.
    """

    may_be_recorded = False

    @property
    def may_be_about_content(self) -> bool:
        is_told = self.is_log_off or self._names_rights
        return super().may_be_about_content and not is_told

    @property
    def is_page(self) -> bool:
        """Whether the answer is a page with a status, and not Matomo's JSON."""
        return self.figures.get("answer") == f"HTTP {self.status}"

    @property
    def is_denied(self) -> bool:
        """Whether Matomo, or a server before it, speaks of rights."""
        return self.status in (401, 403) or self._names_rights

    @property
    def _names_rights(self) -> bool:
        return any(words in self.text for words in _DENIALS)

    @property
    def is_log_off(self) -> bool:
        """Whether Matomo says that its visits log is switched off."""
        return "Visits log is deactivated" in self.text


class Unreadable(MatomoError):
    """Matomo cannot be read back now; it may take orders all the same.

    :param error: why not
    """

    def __init__(self, error: MatomoError):
        figures = {**error.figures, "status": error.status}
        super().__init__(error.kind, text=error.text, detail=error.detail, **figures)
        self.retry_after = error.retry_after


def get_failure_type(error: MatomoError) -> str:
    """Return whose trouble it is: ``config``, ``server`` or ``network``."""
    if isinstance(error, Misconfigured):
        return "config"
    return "server" if isinstance(error, ServerTrouble) else "network"
