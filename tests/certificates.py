"""Certificates for loopback, made on the spot by an authority that nobody else trusts."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ADDRESSES = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]


@dataclass(frozen=True)
class Certificate:
    """``authority`` is what a client has to trust, as by SSL_CERT_FILE; ``chain`` and ``key`` are the server's."""

    authority: Path
    chain: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


def make_certificate(folder: Path, *names: str) -> Certificate:
    """A certificate for localhost, 127.0.0.1, ::1 and these names, valid for a day, in three files."""
    ours, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority of these tests")])
    authority = _build(issuer, ours).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    signed = authority.add_extension(usage, critical=True).issuer_name(issuer).sign(ours, hashes.SHA256())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    known = x509.SubjectAlternativeName([*map(x509.DNSName, ("localhost", *names)), *ADDRESSES])
    server = _build(subject, theirs).add_extension(known, critical=False).issuer_name(issuer)
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ours.public_key())
    chain = server.add_extension(key_id, critical=False).sign(ours, hashes.SHA256())
    made = Certificate(folder / "authority.pem", folder / "chain.pem", folder / "key.pem")
    made.authority.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made.chain.write_bytes(chain.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        theirs.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def _build(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
