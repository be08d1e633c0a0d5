"""What people read of an error on the way to Matomo, in their language."""

# {kind of matomo_api.errors: the sentence}. Each names what to do, where a person can
# do something.
SENTENCES = {
    "timeout": lambda env, figures: env._(
        "Matomo did not answer within %s seconds.", f"{figures['seconds']:g}"
    ),
    "unreachable": lambda env, figures: env._(
        "Matomo cannot be reached: %s", figures["detail"]
    ),
    "tls": lambda env, figures: env._(
        "The connection to Matomo's server could not be secured: %s", figures["detail"]
    ),
    "compressed": lambda env, figures: env._(
        "The answer is compressed, although this was not asked for."
    ),
    "redirect": lambda env, figures: env._(
        "The address answers with a redirect, which is not followed because the token "
        "must not travel to another host. Enter the address it leads to."
    ),
    "not_matomo": lambda env, figures: env._(
        "The answer does not look like Matomo's. Is the address right?"
    ),
    "status": lambda env, figures: env._(
        "Matomo's server answered with HTTP status %s.", figures["status"]
    ),
    "recorded_nothing": lambda env, figures: env._(
        "Matomo answered, but recorded nothing: it is set to record nothing at the "
        "moment (record_statistics), or its database was locked."
    ),
    "not_a_report": lambda env, figures: env._(
        "Matomo's answer is not the report that was asked for."
    ),
    "address": lambda env, figures: describe_refused_address(
        env, figures["reason"], figures["address"]
    ),
    "settings": lambda env, figures: env._(
        "Matomo cannot be asked with these settings: %s", figures["detail"]
    ),
    "token_refused": lambda env, figures: env._(
        "Matomo refuses the token for site id %s: the token is wrong, or the site does "
        "not exist, or its user has no write access to it.",
        figures["idsite"],
    ),
    "token_unknown": lambda env, figures: env._("Matomo does not know the token."),
    "report_refused": lambda env, figures: env._(
        "Matomo answered with an error when it was read: “%s”", figures["detail"]
    ),
    "no_token": lambda env, figures: env._(
        "No token is set for the Matomo site “%s”.", figures["site"]
    ),
    "copy": lambda env, figures: env._(
        "This database is a copy: it sends nothing to Matomo until a manager confirms "
        "the site here."
    ),
    "unforeseen": lambda env, figures: env._(
        "Something went wrong that nobody foresaw. Odoo's log says what: send it to "
        "whoever looks after this addon."
    ),
}

# {kind of AddressRefused: the sentence}.
ADDRESS_SENTENCES = {
    "malformed": lambda env, address: env._(
        "“%s” is not a web address. Enter the address of your Matomo, for example "
        "https://matomo.example.com/",
        address,
    ),
    "credentials": lambda env, address: env._(
        "Enter the address of your Matomo without user name, password, question mark "
        "or #."
    ),
    "insecure": lambda env, address: env._(
        "The address of Matomo must begin with https://, because orders and the token "
        "would travel unprotected. Only a Matomo on this very machine may be reached "
        "by http://."
    ),
    "forbidden": lambda env, address: env._(
        "No Matomo can be at “%s”: the address belongs to the network's or the cloud's "
        "own services. Enter the address of your Matomo.",
        address,
    ),
    "private": lambda env, address: env._(
        "“%s” is in a private network, which this Odoo's configuration file forbids "
        "(matomo_forbid_private_addresses).",
        address,
    ),
}


def describe_refused_address(env, kind, address):
    """Return why the token must not travel to an address, in the language of ``env``.

    :param kind: of ``AddressRefused``
    :param address: as a person knows it
    """
    return ADDRESS_SENTENCES[kind](env, address)


def describe_error(env, error):
    """Return the sentence of a ``MatomoError`` in the language of ``env``."""
    return SENTENCES[error.kind](env, error.figures)
