"""What people read of errors, alerts and Matomo's answers, in their language.

Each function takes the environment whose language the sentence has.
"""

from markupsafe import Markup

from ..matomo_api.errors import ServerTrouble
from .waiting import describe_waiting

# {which side of a day has more orders, more revenue: the sentence}; 1 is Matomo.
DAYS = {
    (0, 0): lambda env, f: env._("The same in Matomo"),
    (0, 1): lambda env, f: env._("Matomo has %s more", f["revenue"]),
    (0, -1): lambda env, f: env._("Matomo has %s less", f["revenue"]),
    (1, 0): lambda env, f: env._("Matomo has %s orders more", f["count"]),
    (-1, 0): lambda env, f: env._("Matomo has %s orders fewer", f["count"]),
    (1, 1): lambda env, f: env._(
        "Matomo has %(count)s orders and %(revenue)s more", **f
    ),
    (-1, -1): lambda env, f: env._(
        "Matomo has %(count)s orders and %(revenue)s less", **f
    ),
    (1, -1): lambda env, f: env._(
        "Matomo has %(count)s orders more, and %(revenue)s less", **f
    ),
    (-1, 1): lambda env, f: env._(
        "Matomo has %(count)s orders fewer, and %(revenue)s more", **f
    ),
}
# The same of a single order.
DAYS_OF_ONE = {
    (1, 0): lambda env, f: env._("Matomo has 1 order more"),
    (-1, 0): lambda env, f: env._("Matomo has 1 order fewer"),
    (1, 1): lambda env, f: env._("Matomo has 1 order and %s more", f["revenue"]),
    (-1, -1): lambda env, f: env._("Matomo has 1 order and %s less", f["revenue"]),
    (1, -1): lambda env, f: env._("Matomo has 1 order more, and %s less", f["revenue"]),
    (-1, 1): lambda env, f: env._(
        "Matomo has 1 order fewer, and %s more", f["revenue"]
    ),
}
# {kind of matomo_api.errors: the sentence}. Each names what to do, where a person can
# do something.
SENTENCES = {
    "timeout": lambda env, figures: env._(
        "Matomo did not answer within %s seconds.", f"{figures['seconds']:g}"
    ),
    "name_unknown": lambda env, figures: env._(
        "No server with the name “%s” can be found. Check the address of Matomo.",
        figures["host"],
    ),
    "connection_refused": lambda env, figures: env._(
        "The server “%(host)s” refuses connections on port %(port)s. Check the address "
        "of Matomo, and whether its web server is running.",
        host=figures["host"],
        port=figures["port"],
    ),
    "proxy": lambda env, figures: env._(
        "Matomo cannot be reached through the proxy “%s”. Let the proxy pass "
        "connections to Matomo, or correct the proxy in the environment of Odoo's "
        "server.",
        figures["proxy"],
    ),
    "certificate_expired": lambda env, figures: env._(
        "The certificate of “%s” has expired, or is not valid yet. Renew it, or "
        "correct the clock of Odoo's server.",
        figures["host"],
    ),
    "certificate_of_another": lambda env, figures: env._(
        "The server “%s” shows a certificate that was made for another name. Enter the "
        "address that the certificate names.",
        figures["host"],
    ),
    "certificate_untrusted": lambda env, figures: env._(
        "The certificate of “%s” is signed by an authority that Odoo's server does not "
        "know. If the authority is your own, name its file in Odoo's configuration "
        "file (matomo_ca_bundle).",
        figures["host"],
    ),
    "tls": lambda env, figures: env._(
        "The connection to “%s” could not be secured. Odoo's log says why.",
        figures["host"],
    ),
    "unreachable": lambda env, figures: env._(
        "The connection to Matomo failed. Odoo's log says why."
    ),
    "compressed": lambda env, figures: env._(
        "The answer is compressed, although this was not asked for."
    ),
    "too_long": lambda env, figures: env._("Matomo's answer is too long."),
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
    "certificate_authorities": lambda env, figures: env._(
        "The file of certificate authorities cannot be read. Correct matomo_ca_bundle "
        "in Odoo's configuration file."
    ),
    "token_refused": lambda env, figures: env._(
        "Matomo refuses the token for site id %s: the token is wrong, or the site does "
        "not exist, or its user has no write access to it.",
        figures["idsite"],
    ),
    "token_unknown": lambda env, figures: env._(
        "Matomo does not know the token: it is mistyped, was deleted or has expired. "
        "Create a new one in Matomo under Personal, Security, and enter it."
    ),
    "no_write_access": lambda env, figures: env._(
        "The token's user may see site %s in Matomo, but has no write access to it. "
        "Give it write access under Administration, Users.",
        figures["idsite"],
    ),
    "secure_only": lambda env, figures: env._(
        "Matomo takes no orders with this token, although it may administrate site %s: "
        "a superuser's token that only allows secure requests is refused by Matomo's "
        "tracking. Enter the token of a user with write access to the site.",
        figures["idsite"],
    ),
    "site_hidden": lambda env, figures: env._(
        "Matomo knows the token, but its user has no access to site %s, or there is no "
        "such site. Correct the site ID, or give the user write access to the site.",
        figures["idsite"],
    ),
    "currency_inactive": lambda env, figures: env._(
        "The currency of the site in Matomo, %s, is not active in Odoo. Activate it "
        "and enter its rates, or choose another currency in Matomo.",
        figures["currency"] or "?",
    ),
    "report_refused": lambda env, figures: env._(
        "Matomo answered with an error when it was read: “%s”", figures["answer"]
    ),
    "no_visits_log": lambda env, figures: env._(
        "Matomo finds no visitors as long as its visits log or its visitor profiles "
        "are switched off for this site. Switch them on under Administration, "
        "Websites, Settings, or have the visitors deleted in Matomo's database."
    ),
    "token_of_other_address": lambda env, figures: env._(
        "The token that Odoo's server keeps as %(name)s is not for the address of this "
        "site. Set %(name)s_URL to the address of Matomo, or correct the address here.",
        name=figures["name"],
    ),
    "token_renamed": lambda env, figures: env._(
        "Odoo's server keeps a token as %(old)s. This name no longer counts, because "
        "any other database of the server could use it. Call it %(name)s, and set "
        "%(name)s_URL to the address of Matomo.",
        old=figures["old"],
        name=figures["name"],
    ),
    "no_token": lambda env, figures: env._(
        "No token is set for the Matomo site “%s”.", figures["site"]
    ),
    "copy": lambda env, figures: env._(
        "This database is a copy: it sends nothing to Matomo until a manager confirms "
        "the site here."
    ),
    "login_wrong": lambda env, figures: env._(
        "Matomo refuses this login or its password. If you log in to Matomo by another "
        "service (LDAP, OpenID, SAML, WordPress), Matomo has no password of yours: "
        "enter a token instead."
    ),
    "code_needed": lambda env, figures: env._(
        "This login uses two-factor authentication: enter the code that your "
        "authenticator app shows now, too."
    ),
    "code_wrong": lambda env, figures: env._(
        "Matomo refuses the two-factor code. Enter the one that your authenticator app "
        "shows now; each code works once."
    ),
    "code_not_set_up": lambda env, figures: env._(
        "This Matomo requires two-factor authentication of every user, and this user "
        "has none. Log in to Matomo once and set it up there, or make a token in "
        "Matomo (Administration, Personal, Security) and enter it here."
    ),
    "locked_out": lambda env, figures: env._(
        "Matomo has locked Odoo's server or this login out, because of too many wrong "
        "passwords or tokens. Wait an hour, or have a superuser unblock it in Matomo "
        "under Administration, System, General settings, Brute Force Detection."
    ),
    "password_needed": lambda env, figures: env._(
        "Matomo asks for your password to confirm this change. Log in here once more."
    ),
    "user_exists": lambda env, figures: env._(
        "An earlier try has left the user “%s” in Matomo. Enter the password of the "
        "Matomo login once more: Odoo takes this user up instead of making a second "
        "one. Only a superuser of Matomo may do so; otherwise have the user deleted.",
        figures["login"],
    ),
    "user_of_another": lambda env, figures: env._(
        "There is a user “%s” in Matomo that Odoo has not made. Have it renamed or "
        "deleted in Matomo, or enter a token.",
        figures["login"],
    ),
    "administration_off": lambda env, figures: env._(
        "This Matomo is set not to let users or websites be changed. Ask whoever "
        "hosts it for a user with write access to the site, and enter its token."
    ),
    "no_right": lambda env, figures: env._(
        "Your login may not do this in Matomo. Ask a superuser of Matomo, or use the "
        "login of one."
    ),
    "fenced": lambda env, figures: env._(
        "Matomo's server keeps Odoo's server out (HTTP status %s). A firewall, a list "
        "of allowed IP addresses or a password of the web server stands before Matomo. "
        "Ask whoever runs that server to let Odoo's server through.",
        figures["status"],
    ),
    "only_view": lambda env, figures: env._(
        "This login or token may write to no site in Matomo: Odoo could send no order. "
        "Ask a superuser of Matomo for admin access to the site of your shop, or log "
        "in as a superuser."
    ),
    "setup_refused": lambda env, figures: env._(
        "Matomo refuses this step and does not say why in a way that Odoo knows (HTTP "
        "status %s). Make a user with write access in Matomo, and enter its token.",
        figures["status"],
    ),
    "maintenance": lambda env, figures: env._(
        "Matomo is in maintenance, perhaps for an update. Try again later."
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

# {name of a Change in matomo_api.facts: the sentence}.
CHANGES = {
    "currency": lambda env, before, now: env._(
        "The currency of the site in Matomo was %(before)s and is %(now)s now. Orders "
        "are sent in the new currency if Odoo has it. Matomo converts nothing: older "
        "orders keep their figures.",
        before=before,
        now=now,
    ),
    "timezone": lambda env, before, now: env._(
        "The time zone of the site in Matomo was %(before)s and is %(now)s now. Days "
        "are counted anew here; Matomo's finished reports keep the old days.",
        before=before,
        now=now,
    ),
    "is_ecommerce": lambda env, before, now: env._(
        "E-commerce was enabled for the site in Matomo."
    )
    if now
    else env._(
        "E-commerce was disabled for the site in Matomo: its reports show no orders. "
        "Enable it under Administration, Websites."
    ),
    "main_url": lambda env, before, now: env._(
        "The main address of the site in Matomo was %(before)s and is %(now)s now. "
        "Orders are booked on pages of the new address.",
        before=before,
        now=now,
    ),
    "exclude_unknown_urls": lambda env, before, now: env._(
        "The site in Matomo accepts only its own addresses now."
    )
    if now
    else env._("The site in Matomo accepts all addresses now."),
    "excluded_ips": lambda env, before, now: env._(
        "The IP addresses that the site in Matomo excludes have changed."
    ),
    "excluded_user_agents": lambda env, before, now: env._(
        "The browsers that the site in Matomo excludes have changed."
    ),
}


# {consent policy of a site: what it means, and what a lawyer will ask}.
POLICIES = {
    "cookie_bar": lambda env: env._(
        "The shopper's answer in the website's Cookies Bar decides: after a yes, the "
        "visitor ID, campaign, IP address and browser are kept with the order, and "
        "where the tag is blocked the server sets Matomo's visitor cookie. Your lawyer "
        "will ask whether the bar names Matomo and its cookies before anybody agrees, "
        "and whether a no is as easy as a yes."
    ),
    "matomo_cookie": lambda env: env._(
        "For a consent manager that lets Matomo's tag run only after a yes: Matomo's "
        "visitor cookie (_pk_id) in the browser is the yes, without it nothing is "
        "kept, and the server sets no cookie. Your lawyer will ask whether the consent "
        "manager really blocks the tag until then, and whether it deletes the cookie "
        "when a shopper withdraws."
    ),
    "elsewhere": lambda env: env._(
        "Everybody counts as having agreed, except those who refuse by Matomo's own "
        "opt-out or by their browser: choose this only if nobody reaches the shop "
        "without agreeing, as in a shop for customers under contract. Your lawyer will "
        "ask where and when each shopper agreed, and how they withdraw."
    ),
    "cookieless": lambda env: env._(
        "No cookie of Matomo is read or set: an order joins the visit of its browser "
        "by IP address, browser, languages and the browser's features, which are kept "
        "with the order. Your lawyer will ask on what ground you use these without "
        "consent (some countries exempt the measurement of an audience, others do "
        "not), how shoppers object, and how long it is all kept."
    ),
    "never": lambda env: env._(
        "Nothing of a shopper is kept, Matomo's tag does not run, and each order "
        "reaches Matomo as a visitor of its own without campaign. Your lawyer will ask "
        "little: an order's number, products and amounts are all that is sent."
    ),
}


def plural(number, one, many):
    """Return the text that fits a number.

    Odoo's translations have one text each: a sentence with a number is two of them.
    """
    return one if number == 1 else many


def describe_day(env, orders, revenue, amount):
    """Return by how much the two sides of a day differ.

    :param orders: how many more orders Matomo has, perhaps negative
    :param revenue: how much more revenue it has, perhaps negative
    :param amount: that revenue without its sign, as a text
    """
    sides = (orders > 0) - (orders < 0), (revenue > 0) - (revenue < 0)
    sentence = DAYS_OF_ONE[sides] if abs(orders) == 1 else DAYS[sides]
    return sentence(env, {"count": abs(orders), "revenue": amount})


def describe_rest(env, count):
    """Return what stands in place of the names of orders that are summed up."""
    return plural(
        count,
        env._("1 order that is not listed by itself"),
        env._("%s orders that are not listed one by one", f"{count:,}"),
    )


def describe_others_orders(env, count):
    """Return that a manager cannot handle some orders, of other companies."""
    return plural(
        count,
        env._(
            "1 order is of a company that you have no access to. A manager of that "
            "company has to handle it."
        ),
        env._(
            "%s orders are of companies that you have no access to. A manager of those "
            "companies has to handle them.",
            count,
        ),
    )


def describe_visits(env, counts, *, can_read, anonymises, masks):
    """Return how many web orders have joined their shopper's visit, and why not all.

    :param counts: ``{value of matomo.request.visit_kind: count}`` of the last ones
    :param can_read: whether the token may read Matomo
    :param anonymises: whether Matomo replaces order IDs by random ones
    :param masks: whether addresses are shortened, and visits are found by them
    :return: sentences, one a line; "" if there is nothing to tell
    """
    if not can_read:
        return env._(
            "Whether web orders join the visit of their shopper is not known: the "
            "token may not read Matomo."
        )
    total = sum(counts.values())
    if not total:
        return ""
    sentences = [
        env._(
            "Of the last %(count)s web orders of shoppers whose data may be used, "
            "%(joined)s joined the shopper's own visit in Matomo.",
            count=total,
            joined=counts.get("joined", 0),
        )
    ]
    if counts.get("replaced", 0) * 2 > total:
        sentences.append(
            env._(
                "Matomo gives each request a random visitor (its privacy setting "
                "“Randomize config_ID”): as long as that is on, no order can join a "
                "visit."
            )
        )
    elif masks and counts.get("joined", 0) * 2 < total:
        sentences.append(
            env._(
                "Without cookies Matomo finds a visit by the whole IP address, and "
                "this site shortens addresses before it sends them. Let Matomo shorten "
                "them instead (Administration, Privacy)."
            )
        )
    if anonymises:
        sentences.append(
            env._(
                "Matomo anonymizes order IDs: some orders cannot be found there, and "
                "are missing in these figures."
            )
        )
    return "\n".join(sentences)


def describe_policy(env, policy):
    """Return what a consent policy means, and what a lawyer will ask.

    :param policy: a value of ``matomo.site.consent_policy``, or an empty value
    """
    return POLICIES[policy](env) if policy else ""


def to_html(text):
    """Return lines of text as HTML in which nothing can be clicked.

    Some of it is what a server said: nobody is led to an address of its choice.
    """
    return Markup("<p>%s</p>") % Markup("<br/>").join(text.splitlines())


def describe_change(env, change):
    """Return the sentence of a ``Change`` in the language of ``env``."""
    return CHANGES[change.name](env, change.before, change.now)


# {stage of tools/proof.py: the sentence}.
PROOFS = {
    "no_order": lambda env, figures: env._(
        "There is no order yet that could prove the connection. Matomo accepts orders "
        "for this site: that was tested, and nothing was stored there. We tell you "
        "when the first order is in Matomo."
    ),
    "ready": lambda env, figures: (
        env._(
            "Send %(name)s, the newest order, and read it back? The tracking start "
            "moves to %(start)s: all orders since then are sent.",
            **figures,
        )
        if figures["start"]
        else env._("Send %s, the newest order, and read it back?", figures["name"])
    ),
    "sending": lambda env, figures: env._(
        "%s waits for Odoo's scheduled action that sends orders. That takes some "
        "seconds.",
        figures["name"],
    ),
    "not_running": lambda env, figures: env._(
        "%s still waits: Odoo's scheduled actions do not run, or are busy. An "
        "administrator looks under Settings, Technical, Scheduled Actions, at those "
        "whose names begin with Matomo. You can close this window: the order is sent "
        "when they run.",
        figures["name"],
    ),
    "deferred": lambda env, figures: env._(
        "Matomo has not taken %(name)s yet; Odoo tries again by itself. %(trouble)s",
        **figures,
    ),
    "reading": lambda env, figures: env._(
        "Matomo has accepted %s. Odoo now asks whether it is really there.",
        figures["name"],
    ),
    "verified": lambda env, figures: (
        env._("%s is in Matomo: it was read back.", figures["name"])
        if figures["seconds"] is None
        else plural(
            figures["seconds"],
            env._("%s is in Matomo, 1 second after it was sent.", figures["name"]),
            env._(
                "%(name)s is in Matomo, %(seconds)s seconds after it was sent.",
                **figures,
            ),
        )
    ),
    "different": lambda env, figures: env._(
        "%(name)s is in Matomo, and differs: %(reason)s", **figures
    ),
    "failed": lambda env, figures: env._(
        "%(name)s is not in Matomo: %(reason)s", **figures
    ),
}


def describe_proof(env, stage, figures):
    """Return how far the proof of a connection is.

    :param stage: see ``tools.proof.find_stage``
    """
    return PROOFS[stage](env, figures)


# {kind of matomo_api.errors: what a person looks at first}, the title of a failed test.
_UNREACHABLE = (
    *("timeout", "name_unknown", "connection_refused", "proxy", "unreachable"),
    *("certificate_expired", "certificate_of_another", "certificate_untrusted", "tls"),
)
_OTHER_ANSWERS = (
    *("redirect", "not_matomo", "status", "compressed", "too_long", "address"),
)
TROUBLES = {
    **dict.fromkeys(_UNREACHABLE, lambda env: env._("Matomo cannot be reached")),
    **dict.fromkeys(_OTHER_ANSWERS, lambda env: env._("Check the address of Matomo")),
    "token_unknown": lambda env: env._("Check the token"),
    "secure_only": lambda env: env._("Check the token"),
    "site_hidden": lambda env: env._("Check the site ID"),
    "no_write_access": lambda env: env._("Check the access of the token's user"),
}


def describe_trouble(env, error):
    """Return in a few words where to look after a test that has failed."""
    if error.kind == "status" and error.status >= 500:
        return env._("Matomo's server cannot answer now")
    describe = TROUBLES.get(error.kind)
    return describe(env) if describe else env._("The connection does not work yet")


def describe_refused_address(env, kind, address):
    """Return why the token must not travel to an address, in the language of ``env``.

    :param kind: of ``AddressRefused``
    :param address: as a person knows it
    """
    return ADDRESS_SENTENCES[kind](env, address)


def describe_error(env, error):
    """Return the sentence of a ``MatomoError`` in the language of ``env``."""
    return SENTENCES[error.kind](env, error.figures)


# === A SITE === #


def describe_way_out(env, waiting):
    """Return where to mend a connection, and that nothing is lost meanwhile.

    :param Waiting waiting: what waits to be sent
    """
    place = env._(
        "Correct the connection under Website or Point of Sale, Configuration, "
        "Settings, Matomo, and press Test Connection there."
    )
    if not waiting.total:
        return place
    lost = env._("%s. Nothing is lost.", describe_waiting(env, waiting))
    return f"{lost} {place}"


def describe_site(env, site):
    """Return what a ``SiteDescription`` of Matomo tells and Odoo follows."""
    return env._(
        "Currency: %(currency)s, time zone: %(timezone)s.",
        currency=site.currency or "?",
        timezone=site.timezone or "?",
    )


def describe_unreadable(env, error):
    """Return why a site's orders cannot be read back.

    :param MatomoError error: what happened when Matomo was read
    """
    return env._(
        "Orders are accepted; they cannot be read back: %s", describe_error(env, error)
    )


def describe_unread(env):
    """Return that orders are sent again to a site that could not be read before."""
    return env._(
        "Orders are accepted again; they cannot be read back yet. Odoo goes on trying. "
        "Test the connection to see what is wrong."
    )


def describe_read_refusal(env, idsite):
    """Return what to do if the token may not read a site."""
    return env._(
        "Orders are accepted; they cannot be read back: Matomo does not let the "
        "token read whether it has recorded them. Give the token's user view "
        "access to site %s in Matomo, then test the connection. Odoo asks again "
        "every day.",
        idsite,
    )


def describe_dirt(env, dirt):
    """Return what to do about other text in Matomo's answers.

    :param dirt: the other text; its beginning is shown
    """
    return env._(
        "Orders arrive, but Matomo's server mixes other text into Matomo's "
        "answers. Have PHP's setting display_errors switched off there. "
        "It begins with: “%s”",
        dirt[:200],
    )


def describe_anonymised(env):
    """Return what it means that Matomo replaces order IDs."""
    return env._(
        "Matomo anonymises order IDs (Administration, Privacy): it would count an "
        "order twice if it were sent twice. Every order is looked for there "
        "before it is sent a second time."
    )


# === A REQUEST === #
#
# A kind that another module adds reads what is said of an order.

# {kind of matomo.request: why Matomo has not taken it}.
REFUSALS = {
    "refund": lambda env: env._(
        "Matomo refused this refund, although it accepts the token and the "
        "site. Compare the refund's audit URL with what Matomo expects, then "
        "press Retrack on the order."
    ),
    "order": lambda env: env._(
        "Matomo refused this order, although it accepts the token and the "
        "site. Compare the audit URL with what Matomo expects, mend the "
        "order and press Retrack."
    ),
}

# {(kind of matomo.request, whether the server answered): the sentence}.
FAILURES = {
    ("refund", True): lambda env, figures: env._(
        "Matomo's server, or a firewall before it, answered this refund "
        "%(count)s times with HTTP status %(status)s, although it takes other "
        "requests. Its log says why. Have it corrected there, then press "
        "Retrack on the order.",
        **figures,
    ),
    ("refund", False): lambda env, figures: env._(
        "Matomo's server did not answer %(count)s times when this refund was "
        "sent, although it answers otherwise. Its log says why. Have it "
        "corrected there, then press Retrack on the order.",
        **figures,
    ),
    ("order", True): lambda env, figures: env._(
        "Matomo's server, or a firewall before it, answered this order "
        "%(count)s times with HTTP status %(status)s, although it takes other "
        "requests. A firewall may dislike a word in a product's name. The log "
        "of that server says why. Have it corrected there, then press Retrack.",
        **figures,
    ),
    ("order", False): lambda env, figures: env._(
        "Matomo's server did not answer %(count)s times when this order was "
        "sent, although it answers otherwise. Its log says why. Have it "
        "corrected there, then press Retrack.",
        **figures,
    ),
}

# {kind of matomo.request: why it waits, since nobody knows whether Matomo has it}.
LOST_ANSWERS = {
    "refund": lambda env: env._(
        "Matomo's answer to this refund was lost, and Matomo does not let "
        "the token read whether it is there. It waits, because a refund "
        "that is sent twice counts twice: let the token read the site in "
        "Matomo, then test the connection here."
    ),
    "order": lambda env: env._(
        "Matomo's answer to this order was lost. Matomo replaces order IDs "
        "and does not let the token read whether the order is there. It "
        "waits, because it would count twice if it were sent twice: let "
        "the token read the site in Matomo, then test the connection here."
    ),
}

# {name of a Difference in matomo_api.matching: the sentence}.
DIFFERENCES = {
    "item": lambda env, figures: env._(
        "Matomo has no item “%(sku)s”; %(sent)s were sent.", **figures
    ),
    "other item": lambda env, figures: env._(
        "Matomo has an item “%(sku)s” that was not sent.", **figures
    ),
    "quantity": lambda env, figures: env._(
        "Matomo has %(recorded)s instead of %(sent)s of the item “%(sku)s”.", **figures
    ),
    "price": lambda env, figures: env._(
        "Matomo has the item “%(sku)s” at a price of %(recorded)s instead of %(sent)s.",
        **figures,
    ),
    "subtotal": lambda env, figures: env._(
        "Matomo has a subtotal of %(recorded)s, not %(sent)s.", **figures
    ),
    "tax": lambda env, figures: env._(
        "Matomo has a tax of %(recorded)s, not %(sent)s.", **figures
    ),
    "shipping": lambda env, figures: env._(
        "Matomo has delivery costs of %(recorded)s, not %(sent)s.", **figures
    ),
    "discount": lambda env, figures: env._(
        "Matomo has a discount of %(recorded)s, not %(sent)s.", **figures
    ),
}


def describe_refusal(env, kind):
    """Return why a request was given up that Matomo has refused.

    :param kind: of ``matomo.request``
    """
    return REFUSALS.get(kind, REFUSALS["order"])(env)


def describe_failures(env, kind, error, count):
    """Return why a request was given up on which Matomo's server failed.

    :param kind: of ``matomo.request``
    :param MatomoError error: of the last attempt
    :param count: how often the server failed
    """
    is_answer = isinstance(error, ServerTrouble)
    describe = FAILURES.get((kind, is_answer), FAILURES["order", is_answer])
    return describe(env, {"count": count, "status": error.status})


def describe_lost_answer(env, kind):
    """Return why a request waits until the token may read Matomo.

    :param kind: of ``matomo.request``
    """
    return LOST_ANSWERS.get(kind, LOST_ANSWERS["order"])(env)


def describe_difference(env, difference):
    """Return the sentence of a ``Difference`` of ``matomo_api.matching``."""
    figures = {
        "sku": difference.sku,
        "recorded": difference.recorded,
        "sent": difference.sent,
    }
    return DIFFERENCES[difference.name](env, figures)


def get_sent_labels(env):
    """Return what people call the amounts and the visitor's data of a request.

    :return: ``{name of matomo_api.sent: label}``
    """
    return {
        "subtotal": env._("Subtotal"),
        "tax": env._("Taxes"),
        "shipping": env._("Shipping"),
        "discount": env._("Discount"),
        "revenue": env._("Revenue"),
        "refund": env._("Refunded"),
        "visitor": env._("Visitor ID"),
        "user": env._("User ID"),
        "ip_address": env._("IP Address"),
        "browser": env._("Browser"),
        "languages": env._("Languages"),
        "campaign": env._("Campaign"),
        "keyword": env._("Keyword"),
        "referrer": env._("Referrer"),
        "country": env._("Country"),
        "region": env._("Region"),
        "city": env._("City"),
    }
