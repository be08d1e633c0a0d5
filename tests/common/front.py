"""A server with TLS before a real Matomo, as a hoster's."""

import http.client
import ssl
import tempfile
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
# What the front says itself.
OWN_HEADERS = ("date", "content-length", "transfer-encoding", "connection")


@contextmanager
def front(url, *, days=90, clock=0, changed=(b"", b""), refused=None):
    """Serve a Matomo with TLS until the block ends.

    :param url: the address of Matomo, without TLS
    :param days: until the certificate ends
    :param clock: seconds by which the front's clock is ahead
    :param changed: what is replaced in the answers, and by what
    :param refused: what a firewall refuses in a body; None: nothing
    :return: its address, and the path of its certificate
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "front.pem")
        path.write_bytes(make_certificate(days))
        server = ThreadingHTTPServer(
            (HOST, 0), make_handler(url, clock, changed, refused)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://{HOST}:{server.server_address[1]}/", str(path)
        finally:
            server.shutdown()
            server.server_close()


def make_certificate(days):
    """Return a key and a certificate for this machine that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days, minutes=5))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(pem, *plain) + certificate.public_bytes(pem)


def make_handler(url, clock, changed, refused):
    """Return a request handler that passes on to Matomo what it does not refuse."""
    target = urlsplit(url).netloc

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if refused and refused in body:
                self.send_error(403)
                return
            headers = {**dict(self.headers), "Host": target}
            connection = http.client.HTTPConnection(target, timeout=60)
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read().replace(*changed)
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in OWN_HEADERS:
                    self.send_header(name, value)
            now = datetime.now(timezone.utc) + timedelta(seconds=clock)
            self.send_header("Date", format_datetime(now, usegmt=True))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        def log_message(self, *args):
            """Say nothing."""

    return Handler
