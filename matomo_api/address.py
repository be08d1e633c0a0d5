"""The addresses to which the token may travel.

Each address is checked twice: its text when a person enters it, and the IP address
behind its host name whenever a connection is made. The second check is needed because
the owner of a name can change its IP address at any time.
"""

import ipaddress
import re
import unicodedata
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Names of this machine. Without a network nobody can read the token on its way.
LOOPBACK_NAMES = ("localhost", "localhost.localdomain")
# Names that only a private network knows.
_LOCAL_NAMES = (".home.arpa", ".internal", ".intranet", ".lan", ".local", ".test")
# Services of clouds that hand out credentials. Their names are refused, too, because
# behind a proxy this machine does not see the IP address.
CLOUD_NAMES = (
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
)

# Networks that hold no Matomo. Most clouds hand out credentials at a link-local
# address: check_ip refuses all of these. The other networks of clouds are here, and
# those that contain no host.
_NEVER = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle Cloud
        "240.0.0.0/4",
        "fd00:ec2::/32",  # Amazon
        "fd20:ce::254/128",  # Google Cloud
    )
]
# IPv6 addresses whose last 32 bits are an IPv4 address.
_IPV4_WITHIN = [
    ipaddress.ip_network(network)
    for network in (
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
    )
]
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\\]|\s")
_HOST = re.compile(r"[\w.-]+")
# Files of Matomo that people enter with its address; both trackers do the same.
_OWN_FILES = ("matomo.php", "piwik.php", "index.php")
# What follows one of these in a path is a page of Matomo, or one of its scripts.
_PAGES = (*_OWN_FILES, "matomo.js", "piwik.js")
# An address without its scheme, as people type it.
_BARE = re.compile(
    r"(?://)?((?:[\w-]+\.)*[\w-]+\.?|\[[0-9a-fA-F:.]+\])(:[0-9]+)?(/.*)?"
)
_PORTS = {"http": 80, "https": 443}
# Some resolvers read such a host as an IP address: 127.1, 0x7f000001, 2130706433.
_NUMERIC_HOST = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")


# {kind: the text for logs}. ``tools/sentences.py`` has the sentences for screens.
REFUSALS = {
    "malformed": "This is not a web address.",
    "credentials": "The address holds a user name, a password, a question mark or a #.",
    # http:// is allowed on this machine only.
    "insecure": "{host} is not this machine: its address must begin with https://.",
    # The address belongs to no server, or to a service of a cloud.
    "forbidden": "No Matomo can be at {host}.",
    # The caller does not allow addresses in private networks.
    "private": "{host} is this machine or in a private network: not allowed here.",
}


class AddressRefused(ValueError):
    """Says that the token must not travel to an address.

    :param kind: why, a key of ``REFUSALS``
    :param host: the refused host name or IP address; "" if the text is not an address
    """

    def __init__(self, kind: str, host: object = ""):
        super().__init__(REFUSALS[kind].format(host=host))
        self.kind = kind
        self.host = str(host)


def clean_address(text: str) -> str:
    """Return the address of Matomo in what a person has typed or pasted.

    People paste the address of one of Matomo's pages: blanks, the page and its query
    string are left out. An address without a scheme gets the one it needs. What is no
    address stays as it is: ``check_address`` refuses it.

    :param text: as entered, e.g. ``matomo.example.com/index.php?module=CoreHome``
    """
    text = "".join(text.split())
    url = re.split("[?#]", text, maxsplit=1)[0]
    if "://" not in url and (bare := _BARE.fullmatch(url)):
        host = bare[1].strip("[]")
        if "." not in host and ":" not in host and _get_reach(f"http://{host}"):
            # Any word would be an address.
            return text
        scheme = "https" if _get_reach(f"http://{bare[1]}") else "http"
        url = f"{scheme}://{url.removeprefix('//')}"
    start = url.find("/", url.find("://") + 3) if "://" in url else -1
    if start < 0:
        return url or text
    folders = url[start:].split("/")
    names = [folder.lower() for folder in folders]
    page = next((n for n, name in enumerate(names) if name in _PAGES), None)
    return url if page is None else "/".join([url[:start], *folders[1:page], ""])


def address_key(url: str) -> str:
    """Return a text that is equal for all spellings of the address of one Matomo.

    The case of scheme and host, the usual port, slashes at the end and the name of
    Matomo's file say nothing; the case of a path does. A tracker with a file name of
    its own is another address.

    :param url: the address as entered, with or without ``matomo.php``
    :return: the address of the tracking interface; what ``check_address`` refuses may
        stay as it is
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return url
    is_refused = "@" in parts.netloc or "?" in url or "#" in url
    if not host or is_refused or parts.scheme not in _PORTS:
        return url
    if ip := _parse_ip(host):
        host = f"[{ip}]" if ip.version == 6 else str(ip)
    if port and port != _PORTS[parts.scheme]:
        host += f":{port}"
    folder, _slash, file = parts.path.rstrip("/").rpartition("/")
    if not file.endswith(".php"):
        folder, file = f"{folder}/{file}", ""
    if file in ("", *_OWN_FILES):
        file = "matomo.php"
    path = "/".join([*filter(None, folder.split("/")), file])
    return f"{parts.scheme}://{host}/{path}"


def is_seen_from(url: str, host: str) -> bool:
    """Return whether a browser on a page of this host may be sent to a Matomo address.

    An address of this machine or of a private network is told to no page of the
    internet: a browser there would ask its own machine, and read the name of ours.

    :param url: the address of Matomo
    :param host: the host of the page, perhaps with a port
    """
    matomo, page = (_get_reach(each) for each in (url, f"http://{host}"))
    return matomo >= page


def _get_reach(url: str) -> int:
    """Return from where an address is seen: 0 this machine, 1 its network, 2 anywhere.

    An address that cannot be read is seen from nowhere beyond this machine.
    """
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return 0
    if ip := _parse_ip(host):
        return 0 if ip.is_loopback else 2 if ip.is_global else 1
    if not host or host in LOOPBACK_NAMES or host.endswith(".localhost"):
        return 0
    is_local = "." not in host or host.endswith(_LOCAL_NAMES)
    return 1 if is_local else 2


def check_address(url: str, allow_private: bool = True) -> None:
    """Check the text of a Matomo address.

    :param url: the address as entered, with or without ``matomo.php``
    :param allow_private: whether this machine and private networks are allowed
    :raise AddressRefused: if the token must not travel there
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AddressRefused("malformed") from None
    ip = _parse_ip(host)
    if (
        parts.scheme not in ("http", "https")
        or port == 0
        or _UNPRINTABLE.search(url)
        or not (ip or ("[" not in parts.netloc and _HOST.fullmatch(host)))
        or (not ip and _NUMERIC_HOST.fullmatch(unicodedata.normalize("NFKC", host)))
    ):
        raise AddressRefused("malformed")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise AddressRefused("credentials")
    if ip:
        check_ip(ip, is_secure=parts.scheme == "https", allow_private=allow_private)
    elif host.rstrip(".") in CLOUD_NAMES:
        raise AddressRefused("forbidden", host)
    elif host in LOOPBACK_NAMES:
        if not allow_private:
            raise AddressRefused("private", host)
    elif parts.scheme == "http":
        raise AddressRefused("insecure", host)


def check_ip(ip: str | IPAddress, *, is_secure: bool, allow_private: bool) -> None:
    """Check an IP address.

    :param ip: an address object, or its text; an IPv6 zone such as ``%eth0`` is ignored
    :param is_secure: whether the token would travel encrypted
    :param allow_private: whether this machine and private networks are allowed
    :raise AddressRefused: if the token must not travel there
    :raise ValueError: if the text is not an IP address
    """
    if isinstance(ip, str):
        ip = ipaddress.ip_address(ip.partition("%")[0])
    for each in (ip, _get_ipv4_within(ip)):
        if each is None or each == ipaddress.IPv6Address("::1"):
            continue
        if (
            each.is_link_local
            or each.is_multicast
            or each.is_unspecified
            or any(each in network for network in _NEVER)
        ):
            raise AddressRefused("forbidden", ip)
    target = _get_ipv4_within(ip) or ip
    if not allow_private and not target.is_global:
        raise AddressRefused("private", ip)
    # Only ::ffff:127.0.0.1 is this machine. A gateway in the network translates the
    # other addresses that contain 127.0.0.1, so that the token would travel there.
    if not is_secure and not (getattr(ip, "ipv4_mapped", None) or ip).is_loopback:
        raise AddressRefused("insecure", ip)


def _parse_ip(host: str) -> IPAddress | None:
    """Return the IP address that a host is, None if it is a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _get_ipv4_within(ip: IPAddress) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address contains, None without one."""
    if ip.version == 4 or ip == ipaddress.IPv6Address("::1"):
        return None
    if any(ip in network for network in _IPV4_WITHIN):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour or (ip.teredo and ip.teredo[1])
