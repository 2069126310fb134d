"""Throw-away keys and certificates for a control plane on loopback."""

import base64
import ipaddress
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=2)
NAMES = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost"))


def write(folder: Path) -> None:
    """Write ``ca.crt``, a pair ``server`` and a pair ``client`` that it signed, and the service accounts' ``sa`` pair.

    The key of the authority is kept nowhere.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _signed("suanli-test", key, None, key)
    (folder / "ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for name in ("server", "client"):
        own = ec.generate_private_key(ec.SECP256R1())
        _write_key(folder / f"{name}.key", own)
        signed = _signed(name, own, authority, key)
        (folder / f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(folder / "sa.key", accounts)
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "sa.pub").write_bytes(public)


def _write_key(path: Path, key: Any) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _signed(name: str, key: Any, issuer: x509.Certificate | None, issuer_key: Any) -> x509.Certificate:
    """A certificate for a key; without an issuer, an authority's own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if issuer:
        builder = builder.add_extension(x509.SubjectAlternativeName(NAMES), critical=False)
    else:
        usage = {"digital_signature": True, "key_cert_sign": True, "crl_sign": True}
        others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
        usage |= dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def claims_of(token: str) -> dict[str, Any]:
    """What a token claims, unverified."""
    text = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims


def token(folder: Path, head: str, claims: Mapping[str, Any]) -> str:
    """A service account's token with other claims, signed by the key that the API server trusts.

    Args:
        folder: where ``sa.key`` lies.
        head: a token of the same server, whose header is taken.
        claims: what it is to claim.
    """
    key = serialization.load_pem_private_key((folder / "sa.key").read_bytes(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    said = f"{head.split('.')[0]}.{_plain(json.dumps(claims).encode())}"
    return f"{said}.{_plain(key.sign(said.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
