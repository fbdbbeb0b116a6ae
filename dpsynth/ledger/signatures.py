"""Signed anchors: with the public key anybody can tell that a head was the custodian's.

Ed25519 (RFC 8032) by the ``cryptography`` package.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpsynth.errors import IntegrityError, UsageError, require_extra
from dpsynth.files import write_bytes
from dpsynth.ledger.anchors import Anchor
from dpsynth.privacy import canonical_json

require_extra("cryptography", extra="signatures", purpose="A signature")

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: E402
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

_CONTEXT = "dpsynth.anchor/1\n"


def create_signing_key(path: Path) -> Path:
    """Make a pair of keys: the private one at ``path``, the public one beside it as ``.pub``.

    Raises
    ------
    IntegrityError
        If one of the files exists.
    """
    public_path = path.with_name(path.name + ".pub")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_bytes(public_path, public)
    try:
        write_bytes(path, private, mode=0o600)
    except BaseException:
        os.unlink(public_path)
        raise
    return public_path


def sign(anchor: Anchor, key: Path) -> dict[str, Any]:
    """Return an anchor with a signature.

    Parameters
    ----------
    anchor : Anchor
        What is signed.
    key : Path
        File of the private key.

    Raises
    ------
    UsageError
        If the file is no Ed25519 private key.
    """
    private = _load(key, "private")
    assert isinstance(private, Ed25519PrivateKey)
    return {**anchor.to_dict(), "signature": private.sign(_message(anchor)).hex()}


def verify_signature(document: Mapping[str, Any], key: Path) -> Anchor:
    """Return the anchor of a document whose signature holds.

    Parameters
    ----------
    document : mapping
        What :func:`sign` returned.
    key : Path
        File of the public key.

    Raises
    ------
    IntegrityError
        If there is no signature, or it is not that of the key over this anchor.
    UsageError
        If the file is no Ed25519 public key.
    """
    public = _load(key, "public")
    assert isinstance(public, Ed25519PublicKey)
    anchor = Anchor.from_dict(document)
    try:
        public.verify(bytes.fromhex(str(document.get("signature", ""))), _message(anchor))
    except (InvalidSignature, ValueError):
        raise IntegrityError(
            "the anchor is not signed with this key.",
            code="DPS615",
            fix="ask the custodian for the anchor and the public key over another way.",
        ) from None
    return anchor


def sign_file(path: Path, key: Path, *, context: str) -> str:
    """Return the signature over the content of a file, in hexadecimal digits.

    Parameters
    ----------
    path : Path
        What is signed.
    key : Path
        File of the private key.
    context : str
        What the file is, signed with it: a signature over one kind of file is none over another.

    Raises
    ------
    UsageError
        If the key's file is no Ed25519 private key.
    """
    private = _load(key, "private")
    assert isinstance(private, Ed25519PrivateKey)
    return private.sign(f"{context}\n".encode() + path.read_bytes()).hex()


def is_signed(path: Path, signature: str, key: Path, *, context: str) -> bool:
    """Return whether a signature is that of a key over the content of a file.

    Parameters
    ----------
    path : Path
        What was signed.
    signature : str
        What :func:`sign_file` returned.
    key : Path
        File of the public key.
    context : str
        What the file is.

    Raises
    ------
    UsageError
        If the key's file is no Ed25519 public key.
    """
    public = _load(key, "public")
    assert isinstance(public, Ed25519PublicKey)
    try:
        public.verify(bytes.fromhex(signature), f"{context}\n".encode() + path.read_bytes())
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(anchor: Anchor) -> bytes:
    return (_CONTEXT + canonical_json(anchor.to_dict())).encode()


def _load(path: Path, kind: str) -> Ed25519PrivateKey | Ed25519PublicKey:
    try:
        content = path.read_bytes()
        if kind == "private":
            key: object = serialization.load_pem_private_key(content, password=None)
        else:
            key = serialization.load_pem_public_key(content)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey if kind == "private" else Ed25519PublicKey):
        raise UsageError(
            f"{str(path)!r} is no Ed25519 {kind} key.",
            fix="make a pair with `dpsynth ledger key --signing`.",
        )
    return key
