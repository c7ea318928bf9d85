"""Local signing certificate.

The first export makes a key pair and a certificate on this machine, for nobody in particular: it proves that two
files were signed by the same installation and that a file was not altered since, and **nothing about who that is**.
Other programs therefore report "signer unknown" or "untrusted", correctly. To sign under a name that others trust,
put a C2PA certificate chain from an authority and its key in the same folder, as ``chain.pem`` and ``key.pem``.
"""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from perse.errors import MissingWeightsError
from perse.private_folders import at_home, private_folder

CHAIN_FILE, KEY_FILE = "chain.pem", "key.pem"
VALID_FOR = timedelta(days=5 * 365)


@dataclass(frozen=True)
class SigningIdentity:
    """Key and certificate that sign.

    Attributes:
        chain: PEM, the signer's certificate first, its issuers after it.
        key: PEM, PKCS 8, the signer's private key (ECDSA P-256).
    """

    chain: bytes
    key: bytes

    def __repr__(self) -> str:
        return "SigningIdentity(…)"  # a key never reaches a log


def signing_folder() -> Path:
    """``$PERSE_SIGNING``, or ``~/.config/perse/signing``."""
    if given := os.environ.get("PERSE_SIGNING"):
        return Path(given)
    return at_home(".config/perse/signing") or private_folder("perse-config") / "signing"


def local_identity(folder: Path | None = None) -> SigningIdentity:
    """The identity of this installation, made on first use. The key file is readable by its owner only."""
    folder = folder or signing_folder()
    if not (folder / CHAIN_FILE).exists():
        _found(folder)
    return SigningIdentity((folder / CHAIN_FILE).read_bytes(), (folder / KEY_FILE).read_bytes())


def local_chain(folder: Path | None = None) -> bytes | None:
    """The certificates of this installation, to recognise its own signatures; None if it never signed."""
    path = (folder or signing_folder()) / CHAIN_FILE
    return path.read_bytes() if path.exists() else None


def _found(folder: Path) -> None:
    """Make the files aside and move them in at once, so that two exports at the same time agree on one key."""
    identity = make_identity()
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
    aside.mkdir(mode=0o700)
    try:
        (aside / CHAIN_FILE).write_bytes(identity.chain)
        key = os.open(aside / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(key, "wb") as stream:
            stream.write(identity.key)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        aside.rename(folder)
    except OSError:
        if not (folder / CHAIN_FILE).exists():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def make_identity() -> SigningIdentity:
    """A fresh signer under a fresh root, because C2PA refuses a signer that vouches for itself. The root's key is
    forgotten: it can never sign anything else.

    Raises:
        MissingWeightsError: the package cryptography is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError:
        raise MissingWeightsError("signing needs the package cryptography: pip install cryptography") from None

    def named(common_name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "PERSE, a local installation (self-signed)"),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )

    def usage(*, authority: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not authority, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    start = datetime.now(UTC) - timedelta(hours=1)  # clocks differ

    def certificate(owner: ec.EllipticCurvePrivateKey, name: str, *, authority: bool) -> x509.Certificate:
        draft = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("root"))
            .public_key(owner.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + VALID_FOR)
            .add_extension(x509.BasicConstraints(authority, 0 if authority else None), critical=True)
            .add_extension(usage(authority=authority), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(owner.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )
        if not authority:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            draft = draft.add_extension(purpose, critical=False)
        return draft.sign(root_key, hashes.SHA256())

    chain = [certificate(key, "signer", authority=False), certificate(root_key, "root", authority=True)]
    return SigningIdentity(
        b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )  # fmt: skip
