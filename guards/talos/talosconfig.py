"""The credential of one cluster: a talosconfig in a file, judged, and turned into what TLS needs.

The file holds a private key, so errors quote nothing of it. Those about its text are raised outside of `except`: an
error of YAML or Unicode that came along as their cause would quote the lines around the fault.
"""

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from guards.core.evidence import Credential
from guards.talos.ports import BadCredential, NoCredential
from guards.text import printable


@dataclass(frozen=True, slots=True)
class Login:
    """A usable talosconfig. The private key is inside `tls` and nowhere else."""

    credential: Credential
    tls: ssl.SSLContext
    """Presents the client certificate; accepts only certificates of this cluster's Talos authority for the address."""


def load(path: Path, now: datetime) -> Login:
    """Read and judge the file. NoCredential, BadCredential."""
    context = _context(path, _text(path))
    ca, crt, key = (_pem(path, context, name) for name in ("ca", "crt", "key"))
    return Login(_judge(path, crt, now), _tls(path, ca, crt, key))


def _bad(path: Path, seen: str, expected: str) -> BadCredential:
    return BadCredential(f"{path}: {seen}, expected {expected}. Next: {_renew(path)}")


def _renew(path: Path) -> str:
    return (
        f"talosctl config new --roles=os:operator --crt-ttl=720h {path.name}; then put this file "
        f"under the key {path.name} into the Secret that is mounted at {path.parent}"
    )


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NoCredential(
            f"{path}: no such file, expected a talosconfig: this cluster is only watched. Next: {_renew(path)}"
        ) from error
    except OSError as error:
        raise _bad(path, f"not readable ({error.strerror})", "a talosconfig") from error


def _context(path: Path, text: bytes) -> Mapping[str, object]:
    """The current context."""
    document = _yaml(text)
    if not isinstance(document, dict):
        raise _bad(path, "not a YAML mapping", "a talosconfig")
    name, contexts = document.get("context"), document.get("contexts")
    found = contexts.get(name) if isinstance(contexts, dict) and isinstance(name, str) else None
    if not isinstance(found, dict):
        raise _bad(path, "`context` names none of its `contexts`", "a talosconfig with a current context")
    return found


def _yaml(text: bytes) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return None


def _pem(path: Path, context: Mapping[str, object], name: str) -> bytes:
    """One of the base64 values of the context."""
    value = context.get(name)
    if not value:
        raise _bad(path, f"its context has no `{name}`", "`ca`, `crt` and `key`")
    pem = _decoded(str(value))
    if b"-----BEGIN " not in pem:
        raise _bad(path, f"`{name}` of its context is no PEM text", "base64 of PEM text")
    return pem


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return b""


def _judge(path: Path, crt: bytes, now: datetime) -> Credential:
    """What the client certificate grants, and until when."""
    try:
        certificate = x509.load_pem_x509_certificate(crt)
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    except ValueError as error:
        raise _bad(path, "`crt` of its context is not a certificate", "a client certificate") from error
    if not begin <= now < end:
        seen = f"its client certificate is valid from {begin:%FT%TZ} to {end:%FT%TZ}"
        raise _bad(path, seen, f"one that is valid now, {now:%FT%TZ}")
    if not names:
        raise _bad(path, "its client certificate has no Organization, and so no role", "the role os:operator")
    return Credential(tuple(printable(str(each.value), 60) for each in names), end)


def _tls(path: Path, ca: bytes, crt: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # Talos speaks no older one
    context.set_alpn_protocols(["h2"])
    if not _trusts(context, ca):
        raise _bad(path, "`ca` of its context is not a certificate", "the Talos authority of the cluster")
    if not _presents(context, crt, key):
        raise _bad(path, "`key` of its context does not fit `crt`", "the unencrypted private key of the certificate")
    return context


def _trusts(context: ssl.SSLContext, ca: bytes) -> bool:
    try:
        context.load_verify_locations(cadata=ca.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return True


def _presents(context: ssl.SSLContext, crt: bytes, key: bytes) -> bool:
    # Talos labels its keys "ED25519 PRIVATE KEY", which OpenSSL does not know; what is inside is plain PKCS#8.
    pair = crt + b"\n" + key.replace(b" ED25519 PRIVATE KEY-", b" PRIVATE KEY-")
    with (
        tempfile.NamedTemporaryFile() as file
    ):  # ssl reads keys from files only; this one has mode 0600 and is gone at once
        file.write(pair)
        file.flush()
        try:
            context.load_cert_chain(file.name, password="")  # without one OpenSSL would ask the terminal
        except (ssl.SSLError, ValueError):
            return False
    return True
