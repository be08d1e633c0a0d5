"""What the commands need of this machine: folders, packages, ports, servers."""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEV = Path(os.environ.get("DEV_DIR") or ROOT / ".dev").resolve()

DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Below the kernel's range for outgoing connections, so that a port stays ours.
PORTS = range(20000, 32000)

_children = {}


class Trouble(Exception):
    """One sentence: what is missing, and how to mend it."""


# ---- Speaking ------------------------------------------------------------------------


def say(text):
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


@contextlib.contextmanager
def step(title):
    """Say what is being done and, when it is done, how long it took."""
    say(f"==> {title}")
    begun = time.monotonic()
    yield
    say(f"    {title}: {time.monotonic() - begun:.1f} s")


# ---- Commands and folders ------------------------------------------------------------


def run(argv, *, trouble=None, user=None, **options):
    """Run a command to its end and return it; `trouble` says what a failure means."""
    options.setdefault("text", True)
    options.setdefault("stdin", subprocess.DEVNULL)
    argv = [str(part) for part in argv]
    try:
        done = subprocess.run(argv, **_as_user(user), **options)
    except FileNotFoundError:
        raise Trouble(f"The program {argv[0]} is missing: install it.") from None
    if done.returncode and trouble is not None:
        output = done.stderr or done.stdout or ""
        detail = output.strip().splitlines()[-1:] if isinstance(output, str) else []
        raise Trouble(" ".join([trouble, *detail]))
    return done


def is_root():
    return os.geteuid() == 0


def _as_user(user):
    """Options for subprocess to run as another account; only root can, others stay."""
    if not user or not is_root():
        return {}
    account = pwd.getpwnam(user)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def folder(*names):
    """Return a folder in DEV, made if missing."""
    path = DEV.joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def alone(name):
    """Do something that two commands must not do at the same time."""
    with (folder("lock") / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"    another command is at it ({name}): waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(*values):
    """Return a short stable name for some values."""
    text = "\n".join(str(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def fallback_dir():
    """Return a folder for data that another account cannot reach in the checkout."""
    return Path("/var/tmp") / f"matomo-order-tracking-{digest(DEV)}"


def reachable_dir(name, user):
    """A folder of `user`'s own for a server: in DEV if that account gets there."""
    folder()
    path = DEV / name
    if not is_root():
        path.mkdir(exist_ok=True)
        return path
    if run(["test", "-x", DEV], user=user, cwd="/").returncode:
        base = fallback_dir()
        with contextlib.suppress(FileExistsError):
            base.mkdir(mode=0o711)
        if base.is_symlink() or base.stat().st_uid != os.geteuid():
            raise Trouble(f"{base} belongs to somebody else: remove it.")
        path = base / name
        say(f"    {user} cannot reach {DEV}: its files are in {path}")
    path.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
    return path


def together(*tasks):
    """Do several things at the same time; the first trouble is raised at the end."""
    with concurrent.futures.ThreadPoolExecutor(len(tasks)) as pool:
        running_tasks = [pool.submit(task) for task in tasks]
    for task in running_tasks:
        task.result()


# ---- Debian packages -----------------------------------------------------------------


def _installed(package):
    done = run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}\n", package],
        capture_output=True,
    )
    return "installed" in done.stdout.split()


def apt_install(packages):
    """Install what is missing of these packages from the machine's own suite."""
    missing = [package for package in packages if not _installed(package)]
    if not missing:
        return
    names = " ".join(missing)
    if not is_root():
        raise Trouble(f"Packages are missing; as root: apt-get install {names}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=600"]
    install = ["apt-get", *wait, "install", "-y", "-q", "--no-install-recommends"]
    install += missing
    with alone("apt"), step(f"Install {names}"):
        # The machine's package lists may be fresh: update them only when needed.
        if run(install, env=env, stdout=subprocess.DEVNULL).returncode == 0:
            return
        run(
            ["apt-get", "update", "-q"],
            env=env,
            trouble="apt-get update failed: is the network up?",
        )
        run(
            install,
            env=env,
            trouble=f"apt-get could not install {names}: see its words above.",
        )


def _debian_mirror():
    """Return the address of the Debian mirror that this machine uses."""
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE) $(ORIGIN)",
        "Created-By: Packages",
    ]
    for attempt in range(2):
        targets = run(command, capture_output=True).stdout.splitlines()
        for target in targets:
            uri, release, *origin = target.split()
            if origin == ["Debian"] and "-" not in release:
                return uri
        if attempt == 0 and is_root():
            # apt only knows a source's origin after it has read it once.
            run(["apt-get", "update", "-q"], stdout=subprocess.DEVNULL)
    raise Trouble("apt has no Debian source: put one into /etc/apt/sources.list.")


def fetch_debian(suite, packages, prefix, without=()):
    """Unpack packages of any Debian suite into a folder; nothing is installed.

    apt gets a state of its own, so the machine's package lists stay as they are.
    A package that was unpacked there before is left alone. `without` names patterns
    of files to leave out.
    """
    prefix = Path(prefix)
    stamps = prefix / ".packages"
    stamps.mkdir(parents=True, exist_ok=True)
    with alone(f"apt-{suite}"):
        missing = [name for name in packages if not (stamps / name).exists()]
        if not missing:
            return
        title = f"{len(missing)} packages" if len(missing) > 3 else ", ".join(missing)
        with step(f"Fetch {title} of Debian {suite}"):
            downloads = _download(suite, missing)
            for name in missing:
                [deb] = downloads.glob(f"{name}_*.deb")
                _unpack(deb, prefix, without)
                # The file's name holds the version: odoo-19_19.0.0+dfsg-1_all.deb
                (stamps / name).write_text(deb.name.split("_")[1] + "\n")
                deb.unlink()


def _unpack(deb, prefix, without):
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE
    ) as archive:
        leave_out = [f"--exclude={pattern}" for pattern in without]
        run(
            ["tar", "-x", "-C", prefix, *leave_out],
            stdin=archive.stdout,
            trouble=f"{deb} cannot be unpacked: is the disk full?",
        )
    if archive.returncode:
        raise Trouble(f"{deb} is broken: run this again.")


def _download(suite, packages):
    """Download packages' files; return their folder."""
    apt = _private_apt(suite)
    downloads = folder("apt", suite, "downloads")
    for leftover in downloads.iterdir():
        leftover.unlink()
    run(
        ["apt-get", *apt, "update", "-q"],
        stdout=subprocess.DEVNULL,
        trouble=f"Debian {suite} cannot be read: is the network up?",
    )
    download = ["apt-get", *apt, "-q", "download", *packages]
    found = run([*download, "--print-uris"], capture_output=True)
    if found.returncode:
        gone = re.findall(r"Unable to locate package (\S+)", found.stderr)
        gone += re.findall(r"Can't select .* from package '?([^\s']+)", found.stderr)
        names = " ".join(gone or packages)
        raise Trouble(f"Debian {suite} no longer has the package {names}.")
    run(
        download,
        cwd=downloads,
        trouble=f"A download from Debian {suite} failed: run this again.",
    )
    return downloads


def fetched_version(prefix, package):
    """Return the version that fetch_debian() unpacked there."""
    return (Path(prefix) / ".packages" / package).read_text().strip()


def _private_apt(suite):
    """apt's options for one suite, apart from the machine's own configuration."""
    state = folder("apt", suite)
    folder("apt", suite, "lists", "partial")
    folder("apt", suite, "cache", "archives", "partial")
    (state / "status").touch()
    source = f"deb [signed-by={DEBIAN_KEYRING}] {_debian_mirror()} {suite} main\n"
    (state / "sources.list").write_text(source)
    options = {
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "APT::Update::Error-Mode": "any",
    }
    return [part for key, value in options.items() for part in ("-o", f"{key}={value}")]


# ---- Ports ---------------------------------------------------------------------------


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(name):
    """A loopback port for the server of this name, the same one next time if it can be.

    While that server runs it is the server's port.
    """
    notes = folder("port")
    note = notes / name
    if note.exists():
        port = int(note.read_text())
        if running(name) or _is_free(port):
            return port
    taken = {int(other.read_text()) for other in notes.iterdir()}
    first = int(digest(DEV, name), 16) % len(PORTS)
    for offset in range(len(PORTS)):
        port = PORTS[(first + offset) % len(PORTS)]
        if port not in taken and _is_free(port):
            note.write_text(str(port))
            return port
    raise Trouble("No free port is left on 127.0.0.1.")


def answers(port):
    """Return whether something listens on that loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


# ---- Servers -------------------------------------------------------------------------


def _record(name):
    return folder("run") / f"{name}.json"


def facts(pid):
    """Return what the kernel says of a process after its name, or None if it is gone.

    That is its state, the number of the process that has started it, and so on.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything: count the fields behind it.
    return stat.rpartition(")")[2].split()


def _birth(pid):
    """Return when a live process began, in the kernel's ticks, or None."""
    found = facts(pid)
    return None if not found or found[0] in "ZX" else int(found[19])


def _process(name):
    """Return what is stored about our running server of that name, or None."""
    try:
        kept = json.loads(_record(name).read_text())
    except (OSError, ValueError):
        return None
    if name in _children:
        _children[name].poll()
    # A process with the same number but another birth is not ours.
    return kept if _birth(kept["pid"]) == kept["birth"] else None


def running(name):
    """Return whether our server of that name runs."""
    return _process(name) is not None


def pid(name):
    """Return the process id of our running server of that name, or None."""
    process = _process(name)
    return process and process["pid"]


def log_path(name):
    return folder("log") / f"{name}.log"


def start(
    name,
    argv,
    *,
    env=None,
    cwd=None,
    user=None,
    ready=None,
    timeout=60,
    stop_signal=signal.SIGTERM,
):
    """Start a server that outlives this command; nothing happens if it runs already.

    `env` is added to ours; `ready` is asked until it says yes; `stop_signal` is what
    stop() sends.
    """
    if running(name):
        return
    begun = time.monotonic()
    log = log_path(name)
    try:
        with log.open("wb") as output:
            child = subprocess.Popen(
                [str(part) for part in argv],
                env={**os.environ, **(env or {})},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_as_user(user),
            )
    except FileNotFoundError:
        raise Trouble(f"{name} cannot start: {argv[0]} is missing.") from None
    _children[name] = child
    kept = {"pid": child.pid, "birth": _birth(child.pid), "signal": int(stop_signal)}
    _record(name).write_text(json.dumps(kept))
    while child.poll() is None:
        if ready is None or ready():
            say(f"    {name} runs, after {time.monotonic() - begun:.1f} s")
            return
        if time.monotonic() - begun > timeout:
            break
        time.sleep(0.1)
    verdict = (
        f"is not ready after {timeout} s" if child.poll() is None else "ended at once"
    )
    stop(name)
    lines = log.read_text(errors="replace").splitlines()[-15:]
    raise Trouble("\n".join([f"{name} {verdict}; its log {log} ends:", *lines]))


def stop(name):
    """Stop our server of that name and everything it started in its session."""
    process = _process(name)
    if process:
        pid = process["pid"]
        _signal(pid, process["signal"])
        patience = time.monotonic() + 20
        while running(name) and time.monotonic() < patience:
            time.sleep(0.05)
        _signal(pid, signal.SIGKILL)
        # Its ports are only free again when the last of its group has ended.
        while _lives(pid, name) and time.monotonic() < patience:
            time.sleep(0.05)
        say(f"    {name} stopped")
    _record(name).unlink(missing_ok=True)


def _signal(group, number):
    """Send a signal to a server's processes; return false if none is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
        return True
    return False


def _lives(group, name):
    if name in _children:
        _children[name].poll()
    return _signal(group, 0)


def stop_all():
    """Stop every server we started, the last one first."""
    records = folder("run").glob("*.json")
    for record in sorted(records, key=lambda path: -path.stat().st_mtime):
        stop(record.stem)


def clean():
    """Stop the servers and remove everything we made."""
    stop_all()
    for path in (DEV, fallback_dir()):
        if path.exists():
            with step(f"Remove {path}"):
                shutil.rmtree(path)
