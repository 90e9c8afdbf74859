"""TLS in front of a real Redis: the embedded Valkey is built without it."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "gemini.example.test"  # it resolves nowhere: only a proxy finds it


@dataclass(frozen=True)
class Certificates:
    """PEM files: a private CA, and a server's certificate (with its key) that it signed for 127.0.0.1 and NAME."""

    ca_file: Path
    server_file: Path


def _build(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, *, is_ca: bool
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )


def make_certificates(folder: Path) -> Certificates:
    ca_key, server_key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    ca = _build("private CA", "private CA", ca_key.public_key(), is_ca=True).sign(
        ca_key, hashes.SHA256()
    )
    address = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(NAME)]
    )
    builder = _build("redis", "private CA", server_key.public_key(), is_ca=False)
    server = builder.add_extension(address, critical=False).sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = server_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    found = Certificates(folder / "ca.pem", folder / "server.pem")
    found.ca_file.write_bytes(ca.public_bytes(pem))
    found.server_file.write_bytes(server.public_bytes(pem) + secret)
    return found


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    def relay(raw: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(raw, server_side=True) as inside,
            socket.create_connection(("127.0.0.1", port)) as outside,
        ):
            threading.Thread(target=_copy, args=(outside, inside), daemon=True).start()
            _copy(inside, outside)

    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=relay, args=(connection,), daemon=True).start()


@contextmanager
def running_tls_proxy(port: int, server_file: Path) -> Iterator[int]:
    """TLS in front of a local port; gives the port of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context, port), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
