"""Matomo's programs: the machine's PHP and MariaDB; Matomo and its libraries."""

import os
import re
import shutil
from pathlib import Path

import machine
from machine import DEV, Trouble, say

HERE = Path(__file__).resolve().parent / "matomo"
# The Debian suites whose Matomo can be chosen by MATOMO, the default first.
SUITES = ("trixie", "sid")
DEFAULT = SUITES[0]
# The addon is written for these versions of Matomo.
VERSIONS = "5."
PACKAGES = """
    matomo
    less.php libphp-phpmailer matomo-component-ini matomo-php-tracker
    matomo-referrer-spam-list matomo-searchengine-and-social-list php-composer-ca-bundle
    php-composer-semver php-di php-di-invoker php-jshrink 
    php-laravel-serializable-closure
    php-matomo-component-cache php-matomo-component-decompress
    php-matomo-component-network php-matomo-device-detector php-matomo-doctrine-cache
    php-monolog php-pear php-psr-container php-psr-event-dispatcher php-psr-log
    php-sparkline php-spyc php-symfony-console php-symfony-deprecation-contracts
    php-symfony-error-handler php-symfony-event-dispatcher
    php-symfony-event-dispatcher-contracts php-symfony-http-foundation
    php-symfony-http-kernel php-symfony-monolog-bridge php-symfony-process
    php-symfony-service-contracts php-symfony-string php-symfony-var-dumper php-tcpdf
    php-twig
    libjs-jquery libjs-jquery-ui libjs-jquery-mousewheel libjs-jquery-scrollto
    libjs-mousetrap libjs-raphael libjs-sprintf-js
""".split()
# What the libraries of a suite need besides.
MORE_PACKAGES = {"sid": ["php-symfony-polyfill-php85"]}

PHP_EXTENSIONS = ["curl", "gd", "intl", "mbstring", "pdo_mysql", "xml"]
PHP_PACKAGES = "php-cli php-curl php-gd php-intl php-mbstring php-mysql php-xml".split()
MARIADB_PACKAGES = ["mariadb-server-core", "mariadb-client-core"]


def suite():
    """Return the Debian suite whose Matomo is meant, as MATOMO says."""
    chosen = os.environ.get("MATOMO") or DEFAULT
    if chosen not in SUITES:
        raise Trouble(f"MATOMO={chosen} is unknown; choose {' or '.join(SUITES)}.")
    return chosen


def home():
    """Return the folder of that Matomo; its name is that of the servers, too."""
    return DEV / ("matomo" if suite() == DEFAULT else f"matomo-{suite()}")


def prefix():
    """Return the folder into which that Matomo's packages are unpacked."""
    # Matomo finds files by patterns and PHP has lists of folders: not every name
    # will do.
    is_plain = re.fullmatch(r"[\w/ .,+=@~-]+", str(DEV))
    return (home() if is_plain else machine.fallback_dir()) / f"{home().name}-prefix"


def app():
    """Return the folder of Matomo's own program."""
    return prefix() / "usr/share/matomo"


def version():
    """Return the version of the Debian package that is unpacked."""
    return machine.fetched_version(prefix(), "matomo")


def install():
    """Install PHP with its extensions, and MariaDB, unless they are there already."""
    code = "exit(array_filter($argv, 'extension_loaded') == $argv ? 0 : 1);"
    check = ["php", "-r", f"array_shift($argv); {code}", "--", *PHP_EXTENSIONS]
    if not shutil.which("php") or machine.run(check).returncode:
        machine.apt_install(PHP_PACKAGES)
    if not sbin("mariadbd") or not sbin("mariadb-install-db"):
        machine.apt_install(MARIADB_PACKAGES)


def sbin(program):
    """Return the path of a program that may not be on an ordinary account's PATH."""
    return shutil.which(
        program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"
    )


def php():
    """Return the start of a command that runs a PHP script with Matomo's settings."""
    # A scan folder without a name is the machine's own: its extensions stay.
    scan = f"PHP_INI_SCAN_DIR=:{prefix()}/ini"
    return ["env", scan, f"MATOMO_PREFIX={prefix()}", "php"]


def unpack(stop):
    """Unpack Matomo and its libraries, and lead their absolute paths there.

    :param stop: ends the servers, called before what they run on is removed
    :raise Trouble: if the suite lacks a package, or has another Matomo than `VERSIONS`
    """
    target = prefix()
    place, ready = home() / "place", target / ".ready"
    if place.exists() and place.read_text() != str(target):
        say("    The checkout was moved: Matomo is unpacked anew.")
        stop()
        shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(mode=0o711, exist_ok=True)
    if target.parent.lstat().st_uid != os.geteuid():
        raise Trouble(f"{target.parent} belongs to somebody else: remove it.")
    target.mkdir(exist_ok=True)
    place.write_text(str(target))
    (target / "ini").mkdir(exist_ok=True)
    shutil.copy(HERE / "php.ini", target / "ini")
    packages = [*PACKAGES, *MORE_PACKAGES.get(suite(), [])]
    wanted = machine.digest(*packages)
    if ready.exists() and ready.read_text() == wanted:
        return
    machine.fetch_debian(suite(), packages, target)
    if not version().startswith(VERSIONS):
        raise Trouble(f"Debian {suite()} has Matomo {version()}, not {VERSIONS}x.")
    # All stand right behind a quote: a path that was led there already does not match.
    absolute = re.compile(rb"'(/usr/share/(?:php|matomo)|/var/cache/matomo)\b")
    for script in (target / "usr/share").rglob("*.php"):
        if script.is_file():
            _rewrite(script, lambda code: absolute.sub(rb"'%b\1" % bytes(target), code))
    _complete_reports()
    (target / "var/cache/matomo/tmp").mkdir(parents=True, exist_ok=True)
    # The archiver starts Matomo by this name, from the console.
    index = app() / "index.php"
    index.unlink(missing_ok=True)
    index.symlink_to("public/index.php")
    ready.write_text(wanted)


def _complete_reports():
    """Give the methods of report classes the return types that their base declares.

    Some classes of Debian's Matomo 5.8 lack one, and PHP refuses to load them.
    """
    # Without a type, so also what is there already; only types that need no import.
    method = re.compile(
        rb"((?:public|protected) function (\w+)\([^()]*\))(?:\s*:\s*(\??[a-z]+)\b)?"
    )
    base = (app() / "core/Plugin/Report.php").read_bytes()
    types = {name: kind for _, name, kind in method.findall(base) if kind}

    def complete(found):
        _, name, kind = found.groups()
        if kind or name not in types:
            return found[0]
        return found[0] + b": " + types[name]

    for script in app().glob("plugins/*/Reports/*.php"):
        _rewrite(script, lambda code: method.sub(complete, code))


def _rewrite(path, change):
    """Write a file anew if a function changes its content."""
    content = path.read_bytes()
    if (changed := change(content)) != content:
        path.write_bytes(changed)
