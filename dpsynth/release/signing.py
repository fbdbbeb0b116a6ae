"""A detached signature over the checksums, and with them over every file of a release."""

from __future__ import annotations

import json
from pathlib import Path

from dpsynth.errors import IntegrityError
from dpsynth.files import write_bytes
from dpsynth.release import layout

FORMAT = "dpsynth.signature/1"
_ALGORITHM = "Ed25519"
_CONTEXT = "dpsynth.release/1"
_LARGEST = 4096
"""Bytes of a signature's file, at most."""


def sign(folder: str | Path, key: str | Path) -> Path:
    """Sign a sealed release; an existing signature is not replaced.

    Parameters
    ----------
    folder : path
        The release.
    key : path
        File of an Ed25519 private key (``dpsynth ledger key --signing``).

    Returns
    -------
    Path
        The signature's file, in the folder.

    Raises
    ------
    IntegrityError
        If the folder is no release, or is signed already.
    UsageError
        If the key's file holds none.
    """
    from dpsynth.ledger.signatures import sign_file

    folder = Path(folder)
    if not (folder / layout.SUMS).is_file():
        raise IntegrityError(f"{str(folder)!r} is not a dpsynth release.", code="DPS603")
    signature = sign_file(folder / layout.SUMS, Path(key), context=_CONTEXT)
    path = folder / layout.SIGNATURE
    write_bytes(path, _text(signature).encode())
    return path


def holds(folder: Path, key: Path) -> bool:
    """Return whether the signature in a folder is that of a public key over its checksums.

    Raises
    ------
    UsageError
        If the key's file holds no public key.
    """
    from dpsynth.ledger.signatures import is_signed

    signature = _read(folder / layout.SIGNATURE)
    return signature is not None and is_signed(
        folder / layout.SUMS, signature, key, context=_CONTEXT
    )


def is_well_formed(folder: Path) -> bool:
    """Return whether the file in a folder is a signature, whoever's it is."""
    return _read(folder / layout.SIGNATURE) is not None


def _text(signature: str) -> str:
    document = {"algorithm": _ALGORITHM, "format": FORMAT, "signature": signature}
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _read(path: Path) -> str | None:
    try:
        # A pipe or a device would never end, and a link leads out of the folder.
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        content = path.read_text(encoding="utf-8")
        signature = json.loads(content)["signature"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    is_exact = isinstance(signature, str) and content == _text(signature)
    return signature if is_exact else None
