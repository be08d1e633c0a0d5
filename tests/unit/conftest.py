"""Tests of the plain Python: ``matomo_api`` and what of ``tools`` needs no Odoo.

Run them alone, without Odoo and without a database, from the addon's folder::

    pytest tests/unit

This folder is no package, so that nothing imports the addon, and with it Odoo. Its
``pytest.ini`` keeps pytest-odoo away where that is installed. ``make test`` runs these
tests beside Odoo's.
"""

import json
import ssl
import sys
import tempfile
import threading
import types
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

# Nothing is written into the addon's folder.
set_hypothesis_home_dir(Path(tempfile.gettempdir(), "hypothesis"))
settings.register_profile("quick", max_examples=50, deadline=None, database=None)
settings.load_profile("quick")
ROOT = Path(__file__).resolve().parents[2]
# The addon under its own name, but without its __init__.py, which imports Odoo: from
# here ``matomo_order_tracking.tools`` finds ``..matomo_api`` as it does in Odoo.
addon = types.ModuleType("matomo_order_tracking")
addon.__path__ = [str(ROOT)]
sys.modules[addon.__name__] = addon


class Server(ThreadingHTTPServer):
    """A server on loopback that answers every POST with ``answer(handler)``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests = []
        self.connections = 0
        self.answer = None
        # Set when the test is over: answers that dawdle end.
        self.closing = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def say(self, status=200, body=b"", **headers):
        """Set the next answers; ``_`` in a header's name stands for "-"."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()

        def answer(handler):
            handler.send_response(status)
            if status != 204:
                headers.setdefault("Content_Length", len(body))
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), str(value))
            handler.end_headers()
            handler.wfile.write(body)

        self.answer = answer

    def secure(self, certificate):
        """Answer by TLS from now on, with this file of a certificate and its key."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def stream(self, *parts, pause=0.0, times=1):
        """Answer with these bytes as they are, ``times`` times the last part."""

        def answer(handler):
            for part in parts[:-1]:
                handler.wfile.write(part)
            for _ in range(times):
                if self.closing.wait(pause):
                    break
                handler.wfile.write(parts[-1])
            handler.close_connection = True

        self.answer = answer

    def handle_error(self, request, client_address):
        pass  # A client that goes away is what many tests are about.


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.connections += 1

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.path, dict(self.headers), body.decode()))
        self.server.answer(self)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def make_certificate(tmp_path_factory):
    """Return a function that makes a certificate, its own authority, with its key.

    It takes the name and the first and last day that it is valid, counted from today,
    and returns the path of the file.
    """
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def make(host="localhost", first=-1, last=1):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        now = datetime.now(timezone.utc)
        alternatives = x509.SubjectAlternativeName([x509.DNSName(host)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now + timedelta(days=first))
            .not_valid_after(now + timedelta(days=last))
            .add_extension(alternatives, False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256())
        )
        path = tmp_path_factory.mktemp("tls") / "certificate.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(path)

    return make
