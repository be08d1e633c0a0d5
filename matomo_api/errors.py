"""What can go wrong on the way to Matomo, told apart by what to do about it.

Messages are for people: they say what happened and never hold the token.
"""


class MatomoError(Exception):
    """Something went wrong; ``status`` is HTTP's, 0 if there was no answer.

    ``text`` is what Matomo answered, masked and cut; ``may_be_recorded`` is whether
    Matomo may have recorded what was sent, although it did not say so.
    """

    may_be_recorded = True

    def __init__(self, message: str, *, status: int = 0, text: str = ""):
        super().__init__(message)
        self.status = status
        self.text = text


class Unreachable(MatomoError):
    """No answer arrived: what was sent, if it was, may or may not be recorded."""


class ServerTrouble(MatomoError):
    """Matomo, or what stands before it, cannot take requests now.

    ``retry_after`` is in seconds, 0 if the server named no time.
    """

    def __init__(self, message: str, *, retry_after: int = 0, **kwargs):
        super().__init__(message, **kwargs)
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
