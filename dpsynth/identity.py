"""Recognising a dataset by a keyed digest of its content.

A plain hash of a table tells whoever has it whether a guess of the whole table is right; a digest
under a key that stays with the custodian tells nobody else anything. It is stored in the ledger,
which is confidential, and enters no report.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import UsageError
from dpsynth.files import Source, column_types, read_columns, write_bytes
from dpsynth.table import cell_text

_BYTES = 32
_MODULUS = 1 << 256


class CustodianKey:
    """The key under which a custodian recognises tables; it never leaves the house.

    Make one with :meth:`create` and keep it apart from ledgers and tables.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _BYTES:
            raise UsageError(f"a custodian's key has {_BYTES} bytes.")
        self._secret = secret

    @classmethod
    def create(cls, path: str | Path) -> CustodianKey:
        """Draw a key and write it into a new file that only its owner may read.

        Raises
        ------
        IntegrityError
            If the file exists.
        """
        secret = secrets.token_bytes(_BYTES)
        write_bytes(Path(path), secret.hex().encode() + b"\n", mode=0o600)
        return cls(secret)

    @classmethod
    def read(cls, path: str | Path) -> CustodianKey:
        """Read a key that :meth:`create` wrote.

        Raises
        ------
        UsageError
            If there is none in this file.
        """
        try:
            return cls(bytes.fromhex(Path(path).read_text(encoding="ascii").strip()))
        except (OSError, ValueError):
            raise UsageError(
                f"{str(path)!r} holds no custodian's key.",
                fix="make one with `dpsynth ledger key`.",
            ) from None

    def digest(self, message: bytes) -> bytes:
        """HMAC-SHA256 of a message."""
        return hmac.digest(self._secret, message, "sha256")

    def __repr__(self) -> str:
        return "CustodianKey(...)"


def content_hmac(source: Source, key: CustodianKey) -> str:
    """Return the keyed digest of a table's content.

    Parameters
    ----------
    source : path, DataFrame or Arrow table
        The table; the order of its rows and columns does not matter. The same table in another
        format is another dataset, unless all its cells read the same.
    key : CustodianKey
        The custodian's key.

    Returns
    -------
    str
        64 hexadecimal digits.

    Privacy
    -------
    Computed from all rows; without the key it is a random number.
    """
    names = sorted(column_types(source))
    frame = read_columns(source, names)
    total = 0
    columns = [_cells(frame[name]) for name in names]
    for row in zip(*columns, strict=True):
        # Lengths keep cells apart, whatever they hold.
        message = "".join("-" if cell is None else f"{len(cell)}:{cell}" for cell in row)
        # A sum of keyed digests does not depend on the order, and counts what occurs twice.
        digest = key.digest(b"row\n" + message.encode("utf-8", "surrogatepass"))
        total = (total + int.from_bytes(digest)) % _MODULUS
    head = "\n".join([str(len(frame)), *(f"{len(name)}:{name}" for name in names)])
    return key.digest(b"table\n" + head.encode() + b"\n" + total.to_bytes(_BYTES)).hex()


def _cells(series: pd.Series) -> npt.NDArray[np.object_]:
    text = cell_text(series)
    return text.mask(text == "", None).to_numpy(dtype=object, na_value=None)
