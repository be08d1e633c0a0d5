"""What people read of the findings of a site: what is, what to do, and where.

Each function takes the environment whose language the sentence has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from ..matomo_api.errors import MatomoError
from .doctor import Finding
from .needed import describe_stopped
from .sentences import (
    describe_error,
    describe_read_refusal,
    describe_unreadable,
    plural,
)
from .waiting import Waiting, describe_waiting

# Where something is set right: a page of Matomo, or a menu of Odoo.
MATOMO_SITES = "module=SitesManager&action=index&idSite={idsite}"
MATOMO_TOKENS = "module=UsersManager&action=userSecurity&idSite={idsite}"
MATOMO_USERS = "module=UsersManager&action=index&idSite={idsite}"
MATOMO_PRIVACY = "module=PrivacyManager&action=privacySettings&idSite={idsite}"
MATOMO_PLUGINS = "module=CorePluginsAdmin&action=plugins&idSite={idsite}"
MATOMO_ORDERS = (
    "module=CoreHome&action=index&idSite={idsite}&period=day&date=yesterday"
    "#?idSite={idsite}&period=day&date=yesterday&category=Goals_Ecommerce"
    "&subcategory=Ecommerce_EcommerceLog"
)
MATOMO_CHECK = "module=Installation&action=systemCheckPage&idSite={idsite}"
ODOO_CRONS = "base.ir_cron_act"
ODOO_CURRENCIES = "base.action_currency_form"
ODOO_DAYS = "matomo_order_tracking.matomo_reconciliation_action"
ODOO_FAILED = "matomo_order_tracking.matomo_request_action_failed"
ODOO_REQUESTS = "matomo_order_tracking.matomo_request_action"
ODOO_SETTINGS = "website.action_website_configuration"

Text = Callable[[object, Mapping], str]


def nothing_to_do(_env, _figures):
    """Return the advice of a finding with which nothing is to be done."""
    return ""


@dataclass(frozen=True)
class Point:
    """The texts of one point of a site.

    :ivar name: ``name(env)`` is what the point is called
    :ivar says: ``{level or cause: the sentence}``
    :ivar advice: ``{level or cause: what to do}``, nothing for what is good
    :ivar matomo: the query of the page of Matomo where this is set
    :ivar odoo: the XML ID of the action of Odoo where this is set
    """

    name: Callable[[object], str]
    says: Mapping[str, Text]
    advice: Mapping[str, Text] = field(default_factory=dict)
    matomo: str = ""
    odoo: str = ""


def get_error(figures):
    """Return the error that a finding holds as figures."""
    values = {name: value for name, value in figures.items() if name != "error"}
    return MatomoError(figures["error"], **values)


def describe_refusal(env, figures):
    """Return the sentence of the error that a finding holds as figures."""
    return describe_error(env, get_error(figures))


def say_certificate_end(env, figures):
    """Return when the certificate of Matomo's server ends."""
    return plural(
        figures["days"],
        env._(
            "The certificate of Matomo's server ends on %s, in 1 day.", figures["day"]
        ),
        env._(
            "The certificate of Matomo's server ends on %(day)s, in %(days)s days.",
            day=figures["day"],
            days=figures["days"],
        ),
    )


# === THE WAY TO MATOMO, AND THE TOKEN === #

_WAY = {
    "reachable": Point(
        lambda env: env._("Matomo's server"),
        {
            "good": lambda env, f: env._("Matomo answers at this address."),
            "bad": describe_refusal,
            "unknown": lambda env, f: env._("Matomo was not asked."),
        },
        {
            "bad": lambda env, f: env._(
                "Correct the address here, or have Matomo's server corrected. Orders "
                "wait meanwhile, and none is lost."
            ),
        },
        matomo="",
    ),
    "version": Point(
        lambda env: env._("Version of Matomo"),
        {
            "good": lambda env, f: env._(
                "Matomo %s is a version that works.", f["version"]
            ),
            "unknown": lambda env, f: env._("Matomo does not tell its version."),
            "old": lambda env, f: env._(
                "Matomo %s is older than the versions with which this addon was "
                "tested.",
                f["version"],
            ),
            "new": lambda env, f: env._(
                "Matomo %s is newer than the versions with which this addon was "
                "tested.",
                f["version"],
            ),
        },
        {
            "old": lambda env, f: env._("Update Matomo to version 5.3 or newer."),
            "new": lambda env, f: env._(
                "Look whether there is a newer version of this addon, and watch the "
                "Daily Comparison."
            ),
        },
        matomo=MATOMO_CHECK,
    ),
    "certificate": Point(
        lambda env: env._("Certificate"),
        {
            "good": lambda env, f: env._(
                "The certificate of Matomo's server is valid until %s.", f["day"]
            ),
            "look": say_certificate_end,
            "bad": lambda env, f: (
                say_certificate_end(env, f)
                + " "
                + env._("No order is sent after that.")
            ),
        },
        dict.fromkeys(
            ("look", "bad"),
            lambda env, f: env._(
                "Have the certificate renewed on Matomo's server. If that is done "
                "automatically, have it looked at why it was not."
            ),
        ),
    ),
    "clock": Point(
        lambda env: env._("Clocks"),
        {
            "good": lambda env, f: env._("The clocks of Matomo and Odoo agree."),
            "unknown": lambda env, f: env._(
                "Matomo's server does not tell what time it is."
            ),
            "ahead": lambda env, f: env._(
                "The clock of Matomo's server is %s seconds ahead of Odoo's.",
                f["seconds"],
            ),
            "late": lambda env, f: env._(
                "The clock of Matomo's server is %s seconds behind Odoo's. Matomo "
                "takes new orders for orders of the future, and changes their time.",
                f["seconds"],
            ),
        },
        dict.fromkeys(
            ("ahead", "late"),
            lambda env, f: env._(
                "Have the clocks of both servers set by the network (NTP)."
            ),
        ),
    ),
    "token": Point(
        lambda env: env._("Token"),
        {
            "good": lambda env, f: env._(
                "The token may send orders to site %s.", f["idsite"]
            ),
            "bad": describe_refusal,
            "unknown": lambda env, f: env._(
                "Whether the token works is not known as long as Matomo cannot be "
                "reached."
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Create a token in Matomo under Personal, Security, and have an "
                "administrator of Odoo enter it here. Orders wait meanwhile, and none "
                "is lost."
            ),
        },
        matomo=MATOMO_TOKENS,
    ),
    "superuser": Point(
        lambda env: env._("Rights of the token"),
        {
            "good": lambda env, f: env._("The token is not a superuser's."),
            "bad": lambda env, f: env._(
                "The token belongs to a superuser of Matomo: whoever gets hold of it "
                "rules the whole Matomo."
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Use the token of a user who has write access to this site alone."
            ),
        },
        matomo=MATOMO_USERS,
    ),
    "reading": Point(
        lambda env: env._("Reading back"),
        {
            "good": lambda env, f: env._(
                "The token may read what Matomo has recorded: orders are proven."
            ),
            "look": lambda env, f: describe_unreadable(env, get_error(f)),
            "bad": lambda env, f: describe_read_refusal(env, f["idsite"]),
            "unknown": lambda env, f: env._(
                "It is not known whether the token may read the site."
            ),
        },
        {
            "look": lambda env, f: env._(
                "Odoo tries it again by itself. If it lasts, have Matomo's log looked "
                "at."
            ),
        },
        matomo=MATOMO_USERS,
    ),
    "token_end": Point(
        lambda env: env._("End of the token"),
        {
            "good": lambda env, f: env._("The token expires on %s.", f["day"]),
            "endless": lambda env, f: env._(
                "The token does not expire, as was entered here."
            ),
            "look": lambda env, f: plural(
                f["days"],
                env._("The token expires on %s, in 1 day.", f["day"]),
                env._(
                    "The token expires on %(day)s, in %(days)s days.",
                    day=f["day"],
                    days=f["days"],
                ),
            ),
            "bad": lambda env, f: env._(
                "The token expired on %s, as was entered here.", f["day"]
            ),
            "unknown": lambda env, f: env._(
                "Matomo does not tell when the token expires."
            ),
        },
        {
            **dict.fromkeys(
                ("look", "bad"),
                lambda env, f: env._(
                    "Create a new token in Matomo under Personal, Security, and have "
                    "an administrator of Odoo enter it here with the day on which it "
                    "expires."
                ),
            ),
            "unknown": lambda env, f: env._(
                "Look it up in Matomo under Personal, Security, and enter it on the "
                "tab Connection."
            ),
        },
        matomo=MATOMO_TOKENS,
    ),
}

# === THE SITE IN MATOMO === #

_SITE = {
    "site": Point(
        lambda env: env._("Site in Matomo"),
        {
            "good": lambda env, f: env._(
                "Site %(idsite)s is called “%(name)s” in Matomo.",
                idsite=f["idsite"],
                name=f["name"],
            ),
            "unknown": lambda env, f: env._("Matomo does not describe the site."),
        },
        matomo=MATOMO_SITES,
    ),
    "ecommerce": Point(
        lambda env: env._("E-commerce"),
        {
            "good": lambda env, f: env._("E-commerce is enabled for the site."),
            "bad": lambda env, f: env._(
                "E-commerce is not enabled for this site in Matomo: reports will stay "
                "empty."
            ),
            "unknown": lambda env, f: env._(
                "Whether e-commerce is enabled for the site is not known."
            ),
        },
        {
            "bad": lambda env, f: env._("Enable it under Administration, Websites."),
        },
        matomo=MATOMO_SITES,
    ),
    "currency": Point(
        lambda env: env._("Currency"),
        {
            "good": lambda env, f: env._(
                "The site's currency is that of the company, %s.", f["currency"]
            ),
            "look": lambda env, f: env._(
                "The currency of the site in Matomo is %(currency)s, and that of the "
                "company is %(company)s: all orders are converted.",
                currency=f["currency"],
                company=f["company"],
            ),
            "inactive": lambda env, f: env._(
                "The currency of the site in Matomo, %s, is not active in Odoo.",
                f["currency"],
            ),
            "unconfirmed": lambda env, f: env._(
                "Matomo does not tell which currency site %s has, and nobody has "
                "confirmed it here.",
                f["idsite"],
            ),
            "unknown": lambda env, f: env._(
                "Matomo does not tell the currency of the site; a person has confirmed "
                "it here."
            ),
        },
        {
            "look": lambda env, f: env._(
                "If that is not what you want, change the currency in Matomo before "
                "many orders are there: Matomo converts none of them."
            ),
            "inactive": lambda env, f: env._(
                "Activate it and enter its rates, or choose another currency in Matomo."
            ),
            "unconfirmed": lambda env, f: env._(
                "Confirm the currency here, or let the token read the site."
            ),
        },
        matomo=MATOMO_SITES,
    ),
    "timezone": Point(
        lambda env: env._("Time zone"),
        {
            "good": lambda env, f: env._(
                "The site's time zone is %s, as in Odoo.", f["timezone"]
            ),
            "alone": lambda env, f: env._(
                "The site's time zone is %s. The company has none in Odoo.",
                f["timezone"],
            ),
            "look": lambda env, f: env._(
                "The time zone of the site in Matomo is %(timezone)s, and that of the "
                "company is %(company)s: an order at night may stand on another day.",
                timezone=f["timezone"],
                company=f["company"],
            ),
            "bad": lambda env, f: env._(
                "Matomo does not tell the time zone of the site, or Odoo does not know "
                "it (“%s”).",
                f["timezone"],
            ),
            "unknown": lambda env, f: env._("Matomo does not tell the time zone."),
        },
        {
            "look": lambda env, f: env._(
                "If that is not what you want, change the time zone of the site in "
                "Matomo."
            ),
            "bad": lambda env, f: env._(
                "Choose another time zone in Matomo, or choose it here: its days are "
                "those of the Daily Comparison."
            ),
        },
        matomo=MATOMO_SITES,
    ),
    "main_url": Point(
        lambda env: env._("Address of the shop"),
        {
            "good": lambda env, f: env._(
                "The main address of the site in Matomo is %s.", f["url"]
            ),
            "look": lambda env, f: env._(
                "The main address of the site in Matomo is %(url)s, and the shop is at "
                "%(hosts)s.",
                url=f["url"],
                hosts=f["hosts"],
            ),
            "unknown": lambda env, f: env._(
                "Matomo does not tell the address of the site."
            ),
        },
        {
            "look": lambda env, f: env._(
                "Enter the address of the shop in Matomo, or look whether this is the "
                "right site."
            ),
        },
        matomo=MATOMO_SITES,
    ),
    "only_known": Point(
        lambda env: env._("Only known addresses"),
        {
            "off": lambda env, f: env._("The site accepts pages of all addresses."),
            "good": lambda env, f: env._(
                "The site only accepts its own addresses, and the shop's are among "
                "them."
            ),
            "look": lambda env, f: env._(
                "The site only accepts its own addresses: visits of %s are not "
                "counted.",
                f["hosts"],
            ),
            "bad": lambda env, f: env._(
                "The site only accepts its own addresses: Matomo drops orders of %s.",
                f["urls"],
            ),
            "unknown": lambda env, f: env._(
                "Whether the site only accepts its own addresses is not known."
            ),
        },
        dict.fromkeys(
            ("look", "bad"),
            lambda env, f: env._(
                "Add these addresses to the site in Matomo, or let it accept all."
            ),
        ),
        matomo=MATOMO_SITES,
    ),
}

# === WHAT MATOMO LEAVES OUT, AND HOW IT RECORDS === #

_RECORDING = {
    "excluded_ips": Point(
        lambda env: env._("Excluded IP addresses"),
        {
            "good": lambda env, f: env._(
                "The site excludes no IP address of the last orders."
            ),
            "look": lambda env, f: env._(
                "The site in Matomo excludes the IP addresses of %(count)s of the last "
                "%(total)s orders with an address. They are sent again without it, and "
                "stand in a visit of their own.",
                count=f["count"],
                total=f["total"],
            ),
            "unknown": lambda env, f: env._(
                "Which IP addresses the site excludes is not known."
            ),
        },
        {
            "look": lambda env, f: env._(
                "Take the addresses out of the site's excluded ones in Matomo, or "
                "leave them there if they are your own staff's."
            ),
        },
        matomo=MATOMO_SITES,
    ),
    "excluded_browsers": Point(
        lambda env: env._("Excluded browsers"),
        {
            "good": lambda env, f: env._(
                "The site excludes no browser of the last orders."
            ),
            "look": lambda env, f: env._(
                "The site in Matomo excludes the browsers of %(count)s of the last "
                "%(total)s orders with a browser. They are sent again without it, and "
                "stand in a visit of their own.",
                count=f["count"],
                total=f["total"],
            ),
            "pattern": lambda env, f: env._(
                "The site excludes browsers by a regular expression: whether shoppers' "
                "browsers are among them is not known."
            ),
            "unknown": lambda env, f: env._(
                "Which browsers the site excludes is not known."
            ),
        },
        {
            "look": lambda env, f: env._(
                "Take the browsers out of the site's excluded user agents in Matomo."
            ),
            "pattern": lambda env, f: env._("Compare it with your shoppers' browsers."),
        },
        matomo=MATOMO_SITES,
    ),
    "global_exclusions": Point(
        lambda env: env._("Exclusions of all sites"),
        {
            "good": lambda env, f: env._(
                "What Matomo excludes on all sites has been looked at."
            ),
            "unknown": lambda env, f: env._(
                "Matomo does not tell this token which addresses and browsers it "
                "excludes on all sites."
            ),
        },
        {
            "unknown": lambda env, f: env._(
                "Look under Administration, Websites, Settings. If no shopper is "
                "among them, tick it here on the tab Advanced."
            ),
        },
        matomo="module=SitesManager&action=globalSettings&idSite={idsite}",
    ),
    "spam_prevention": Point(
        lambda env: env._("Spam prevention"),
        {
            "good": lambda env, f: env._(
                "The plugin TrackingSpamPrevention is not active."
            ),
            "look": lambda env, f: env._(
                "The plugin TrackingSpamPrevention is active: it may drop orders by "
                "the address, browser or country of the shopper."
            ),
            "unknown": lambda env, f: env._(
                "Whether Matomo uses the plugin TrackingSpamPrevention is not known."
            ),
        },
        {
            "look": lambda env, f: env._(
                "In its settings, exclude no country in which you sell. It judges the "
                "shopper's address, so that allowing the address of Odoo's server does "
                "not help."
            ),
        },
        matomo=MATOMO_PLUGINS,
    ),
    "queue": Point(
        lambda env: env._("Queue"),
        {
            "good": lambda env, f: env._("Matomo records at once."),
            "look": lambda env, f: env._(
                "The plugin QueuedTracking is active. If its queue is on, page views "
                "of the tag are recorded later than the orders, which bypass it."
            ),
            "unknown": lambda env, f: env._(
                "Whether Matomo uses the plugin QueuedTracking is not known."
            ),
        },
        {
            "look": lambda env, f: env._(
                "Let the queue be worked off every minute, so that orders join the "
                "visits of their shoppers."
            ),
        },
        matomo=MATOMO_PLUGINS,
    ),
    "visits_log": Point(
        lambda env: env._("Visits log"),
        {
            "good": lambda env, f: env._("Matomo shows single visits."),
            "look": lambda env, f: env._(
                "The visits log is switched off in Matomo: orders are proven by their "
                "revenue alone, not by their items."
            ),
            "unknown": lambda env, f: env._(
                "Whether Matomo shows single visits is not known."
            ),
        },
        {
            "look": lambda env, f: env._(
                "Switch it on under Administration, Websites, if your privacy rules "
                "allow it."
            ),
        },
        matomo=MATOMO_SITES,
    ),
    "order_ids": Point(
        lambda env: env._("Order IDs"),
        {
            "good": lambda env, f: env._("Matomo keeps the IDs of orders."),
            "look": lambda env, f: env._(
                "Matomo replaces order IDs by random ones: it does not refuse an order "
                "that is sent twice, so that Odoo looks for each one first."
            ),
            "unknown": lambda env, f: env._(
                "Whether Matomo keeps the IDs of orders shows when the first orders "
                "are read back."
            ),
        },
        {
            "look": lambda env, f: env._(
                "Switch off “Anonymize Order ID” under Administration, Privacy, if "
                "your privacy rules allow it."
            ),
        },
        matomo=MATOMO_PRIVACY,
    ),
    "raw_data": Point(
        lambda env: env._("Age of raw data"),
        {
            "good": lambda env, f: env._(
                "Matomo keeps single orders for %s days, as was entered here.",
                f["days"],
            ),
            "endless": lambda env, f: env._(
                "Matomo keeps single orders for ever, as was entered here."
            ),
            "unknown": lambda env, f: env._(
                "Matomo does not tell how long it keeps single orders. Odoo takes %s "
                "days for granted: older orders are never sent a second time.",
                f["days"],
            ),
        },
        {
            "unknown": lambda env, f: env._(
                "Look it up under Administration, Privacy, Anonymize data, and enter "
                "it on the tab Advanced."
            ),
        },
        matomo=MATOMO_PRIVACY,
    ),
}

# === WHO ELSE SENDS === #

_OTHERS = {
    "selling_tag": Point(
        lambda env: env._("Code of the website"),
        {
            "good": lambda env, f: env._(
                "Odoo sees no other code on the website that sends orders."
            ),
            "bad": lambda env, f: env._(
                "The code of %s sends orders to Matomo, too. Each order would be there "
                "as the code sent it.",
                f["names"],
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Remove trackEcommerceOrder, trackEcommerceCartUpdate and "
                "addEcommerceItem from the website: this addon sends every order."
            ),
        },
        odoo=ODOO_SETTINGS,
    ),
    "tracking_tag": Point(
        lambda env: env._("Tag on the website"),
        {
            "good": lambda env, f: env._("The website has Matomo's tag."),
            "look": lambda env, f: env._(
                "Odoo sees no tag of Matomo on %s: page views are not counted, and "
                "each order stands in a visit of its own.",
                f["names"],
            ),
        },
        {
            "look": lambda env, f: env._(
                "Switch on Matomo's tag in the settings of the website. If a tag "
                "manager adds it, there is nothing to do."
            ),
        },
        odoo=ODOO_SETTINGS,
    ),
    "foreign": Point(
        lambda env: env._("Orders from elsewhere"),
        {
            "good": lambda env, f: env._("Nobody else sends orders to the site."),
            "look": lambda env, f: plural(
                f["count"],
                env._("Matomo has 1 order of the last days that Odoo does not have."),
                env._(
                    "Matomo has %s orders of the last days that Odoo does not have.",
                    f["count"],
                ),
            ),
        },
        {
            "look": lambda env, f: env._(
                "See the Daily Comparison. If nobody has deleted them in Odoo, another "
                "system has sent them: give each shop a site of its own in Matomo, and "
                "remove old tracking code."
            ),
        },
        odoo=ODOO_DAYS,
    ),
    "order_prefix": Point(
        lambda env: env._("Other shops' orders"),
        {
            "good": lambda env, f: env._("No other sale has the ID of an order."),
            "prefix": lambda env, f: env._(
                "All orders have the prefix “%s” in Matomo.", f["prefix"]
            ),
            "look": lambda env, f: plural(
                f["count"],
                env._("Another sale stands in Matomo under the ID of an order."),
                env._(
                    "Other sales stand in Matomo under the IDs of %s orders.",
                    f["count"],
                ),
            ),
        },
        {
            "look": lambda env, f: env._(
                "Enter an Order Prefix on the tab Advanced, so that no other shop uses "
                "the same IDs."
            ),
        },
        matomo=MATOMO_ORDERS,
    ),
}

# === HOW THE ORDERS ARE DOING === #

_ORDERS = {
    "copy": Point(
        lambda env: env._("Copied database"),
        {
            "bad": lambda env, f: env._(
                "This database was copied, restored or moved to another server: "
                "nothing is sent to Matomo."
            ),
        },
        {
            "bad": lambda env, f: env._(
                "If it is the shop's own database, press “Send From This Database” on "
                "the Matomo site. If it is a copy, archive the site here."
            ),
        },
    ),
    "paused": Point(
        lambda env: env._("Pause"),
        {
            "look": lambda env, f: env._(
                "The site is paused since %(since)s. %(waiting)s. Nothing is lost.",
                since=f["since"],
                waiting=f["waiting"],
            ),
        },
        {
            "look": lambda env, f: env._("Press Resume on the Matomo site."),
        },
        odoo=ODOO_REQUESTS,
    ),
    "stopped": Point(
        lambda env: env._("Scheduled actions"),
        {
            "good": lambda env, f: env._(
                "Scheduled actions and automation rules run, and are on time."
            ),
            **dict.fromkeys(
                ("bad", "deleted"),
                lambda env, f: describe_stopped(env, f["names"]),
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Have an administrator switch on what is off under Settings, "
                "Technical. Nothing is lost: what was missed is made up for."
            ),
            "deleted": lambda env, f: env._(
                "Have an administrator switch on what is off under Settings, "
                "Technical, and upgrade Matomo Order Tracking in Apps: that creates "
                "again what was deleted. Nothing is lost: what was missed is made up "
                "for."
            ),
        },
        odoo=ODOO_CRONS,
    ),
    "stalled": Point(
        lambda env: env._("Sending"),
        {
            "bad": lambda env, f: env._(
                "Orders or refunds wait to be sent to Matomo since %s, and nothing "
                "sends them: Odoo's scheduled actions do not run.",
                f["since"],
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Have an administrator look whether Odoo's scheduled actions run."
            ),
        },
        odoo=ODOO_CRONS,
    ),
    "outage": Point(
        lambda env: env._("Outage"),
        {
            "bad": lambda env, f: env._(
                "Matomo takes no orders since %(since)s. %(waiting)s. What waits is "
                "sent when it works again; nothing is lost.",
                since=f["since"],
                waiting=f["waiting"],
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Open the Matomo site, read its message and press Test Connection when "
                "the cause is corrected."
            ),
        },
        odoo=ODOO_REQUESTS,
    ),
    "refused": Point(
        lambda env: env._("Firewall"),
        {
            "bad": lambda env, f: env._(
                "Since %s Matomo's server fails on orders, although it accepts the "
                "token. Often it is a firewall before Matomo.",
                f["since"],
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Have it let POST requests to matomo.php pass. The orders say what it "
                "answers, and are tried again for three days."
            ),
        },
        odoo=ODOO_REQUESTS,
    ),
    "unread": Point(
        lambda env: env._("Reading outage"),
        {
            "bad": lambda env, f: env._(
                "Matomo cannot be read since %s: orders are sent, but nobody sees "
                "whether they arrived.",
                f["since"],
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Press Test Connection on the Matomo site: it says why."
            ),
        },
    ),
    "failed": Point(
        lambda env: env._("Failed orders and refunds"),
        {
            "good": lambda env, f: env._("No order and no refund has failed."),
            "bad": lambda env, f: plural(
                f["count"],
                env._("1 order or refund failed."),
                env._("%s orders or refunds failed.", f["count"]),
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Each says why, and what to do before Retrack is pressed."
            ),
        },
        odoo=ODOO_FAILED,
    ),
    "unproven": Point(
        lambda env: env._("Proof of orders"),
        {
            "good": lambda env, f: env._(
                "Orders are found in Matomo soon after they were sent."
            ),
            "bad": lambda env, f: plural(
                f["count"],
                env._(
                    "1 order is not found in Matomo yet. Hours since it was sent: more "
                    "than %s.",
                    f["hours"],
                ),
                env._(
                    "%(count)s orders are not found in Matomo yet. Hours since they "
                    "were sent: more than %(hours)s.",
                    count=f["count"],
                    hours=f["hours"],
                ),
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Press Test Connection on the Matomo site: it says whether Matomo can "
                "be read."
            ),
        },
        odoo=ODOO_REQUESTS,
    ),
    "tag": Point(
        lambda env: env._("Orders of a tag"),
        {
            "good": lambda env, f: env._("No order of today was sent by a tag, too."),
            "bad": lambda env, f: env._(
                "%(count)s of %(total)s web shop orders of today were sent by a tag of "
                "the website, too.",
                count=f["count"],
                total=f["total"],
            ),
        },
        {
            "bad": lambda env, f: env._(
                "Remove trackEcommerceOrder from the website's code or the tag "
                "manager: this addon sends every order."
            ),
        },
        odoo=ODOO_SETTINGS,
    ),
    "addresses": Point(
        lambda env: env._("Addresses of shoppers"),
        {
            "look": lambda env, f: env._(
                "The %(total)s visitors who bought in the past week share %(count)s IP "
                "addresses, which are probably those of a proxy. Matomo takes the "
                "visitors' countries from them.",
                count=f["count"],
                total=f["total"],
            ),
        },
        {
            "look": lambda env, f: env._(
                "Ask the administrator of Odoo's server to set proxy_mode, and "
                "matomo_trusted_proxies if there are several proxies."
            ),
        },
    ),
    "different": Point(
        lambda env: env._("Daily Comparison"),
        {
            "good": lambda env, f: env._("Odoo and Matomo have the same figures."),
            "look": lambda env, f: plural(
                f["count"],
                env._("On 1 day Odoo and Matomo differ, and it is not known why."),
                env._(
                    "On %s days Odoo and Matomo differ, and it is not known why.",
                    f["count"],
                ),
            ),
        },
        {
            "look": lambda env, f: env._("See the Daily Comparison."),
        },
        odoo=ODOO_DAYS,
    ),
}

POINTS: Mapping[str, Point] = {**_WAY, **_SITE, **_RECORDING, **_OTHERS, **_ORDERS}


# === DESCRIBING === #


def get_name(env, kind):
    """Return what the point of a finding is called."""
    return POINTS[kind].name(env)


def describe_finding(env, finding: Finding, format_day, format_moment):
    """Return what a finding says, and what to do: two texts, the second may be "".

    :param format_day: ``format_day(env, day)`` makes a text of a date
    :param format_moment: ``format_moment(env, moment)`` makes a text of a naive UTC one
    """
    point, figures = POINTS[finding.kind], dict(finding.figures)
    if "day" in figures:
        figures["day"] = format_day(env, date.fromisoformat(figures["day"]))
    if "since" in figures:
        moment = datetime.fromisoformat(figures["since"])
        figures["since"] = format_moment(env, moment)
        # An older version kept one count of both kinds, until the next hourly run.
        waiting = figures.get("waiting") or {"orders": figures.get("count", 0)}
        figures["waiting"] = describe_waiting(env, Waiting(**waiting))
    key = finding.cause or finding.level
    advise = point.advice.get(key, nothing_to_do)
    return point.says[key](env, figures), advise(env, figures)
