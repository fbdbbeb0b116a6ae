"""Recorded coins: which audit records were fitted, decided by chance and written down.

Where an independent fair coin of its own decides for every audit record whether it is fitted or
held out, the number of right guesses about the coins bounds ε on real records. A random split
that was not recorded is at best exchangeable, and a bound from it is heuristic.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import DataError, UsageError
from dpsynth.evidence import table_sha256
from dpsynth.files import Source, read_columns, write_bytes
from dpsynth.schema import Schema
from dpsynth.table import preflight, unit_codes

FORMAT = "dpsynth.coins/1"

IntArray = npt.NDArray[np.int64]

_ONE_SPLIT = "give fit.csv, holdout.csv and coins.json of one dpsynth split, unchanged."


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How audit records were chosen. Public.

    Parameters
    ----------
    audited : float
        Chance of every unit to become an audit record.
    reference : float
        Chance of every unit to be held out as a reference row.

    Raises
    ------
    UsageError
        If they are not probabilities of disjoint events.

    Notes
    -----
    Every unit draws its part by itself: one person more or less changes one person's part only.
    """

    audited: float
    reference: float

    def __post_init__(self) -> None:
        if not (0 < self.audited < 1 and 0 < self.reference < 1):
            raise UsageError("audited and reference must lie in (0, 1).")
        if self.audited + self.reference > 1:
            raise UsageError("audited and reference together must not exceed 1.")

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return {"audited": self.audited, "reference": self.reference, "coin": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Coins:
    """Who was an audit record, and on which side: confidential.

    Parameters
    ----------
    design : Design
        How they were drawn.
    members : ndarray of int64
        Places of rows of audit records in the fitted table.
    others : ndarray of int64
        Places of rows of audit records in the held-out table; its other rows are reference rows.
    fitted, held_out : int
        Numbers of rows of the two tables.
    files : tuple of str, optional
        SHA-256 of the files of the two tables, where they were written.
    """

    design: Design
    members: IntArray
    others: IntArray
    fitted: int
    held_out: int
    files: tuple[str, str] | None = None

    def check(self, *, fitted: int, held_out: int) -> None:
        """Refuse tables of other lengths than those the coins were tossed for.

        Raises
        ------
        DataError
            If a length differs.
        """
        if (fitted, held_out) != (self.fitted, self.held_out):
            raise DataError(
                "the coins were tossed for tables of another length.", code="DPS410", fix=_ONE_SPLIT
            )

    def bound(self, fitted: Path, held_out: Path) -> Self:
        """Return the same coins, bound to the files of the two tables."""
        return replace(self, files=(table_sha256(fitted), table_sha256(held_out)))

    def check_files(self, fitted: Path, held_out: Path) -> None:
        """Refuse other files than those the coins are bound to.

        Raises
        ------
        DataError
            If a file differs, be it in the order of its rows.
        """
        given = (table_sha256(fitted), table_sha256(held_out))
        if self.files is not None and self.files != given:
            swapped = " They are swapped." if self.files == given[::-1] else ""
            raise DataError(
                f"the coins were tossed for other files.{swapped}", code="DPS410", fix=_ONE_SPLIT
            )

    def write(self, path: str | Path) -> None:
        """Write a file that its owner alone can read; an existing file is not replaced."""
        document = {
            "format": FORMAT,
            "design": self.design.to_dict(),
            "fitted": self.fitted,
            "held_out": self.held_out,
            "members": self.members.tolist(),
            "others": self.others.tolist(),
            "files": self.files,
        }
        write_bytes(Path(path), (json.dumps(document) + "\n").encode(), mode=0o600)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file of coins.

        Raises
        ------
        DataError
            If it is none.
        """
        try:
            document: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            if document["format"] != FORMAT:
                raise ValueError
            design = document["design"]
            coins = cls(
                design=Design(audited=design["audited"], reference=design["reference"]),
                members=np.array(document["members"], dtype=np.int64),
                others=np.array(document["others"], dtype=np.int64),
                fitted=int(document["fitted"]),
                held_out=int(document["held_out"]),
                files=_files(document["files"]),
            )
            for places, rows in ((coins.members, coins.fitted), (coins.others, coins.held_out)):
                if places.ndim != 1 or not ((places >= 0) & (places < rows)).all():
                    raise ValueError
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(
                f"{str(path)!r} is no file of coins.",
                code="DPS411",
                fix="give the coins.json that dpsynth split wrote.",
            ) from None
        return coins

    def __repr__(self) -> str:
        return f"Coins({self.design!r}, confidential)"


def _files(stated: object) -> tuple[str, str] | None:
    if stated is None:
        return None
    if not (isinstance(stated, list) and len(stated) == 2):
        raise ValueError
    return str(stated[0]), str(stated[1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class AuditSplit:
    """A table, divided for an audit. Sensitive but for the design.

    Parameters
    ----------
    fitted : DataFrame
        What the fit is given.
    held_out : DataFrame
        Audit records whose coin kept them out, and reference rows.
    coins : Coins
        Which rows are which.
    """

    fitted: pd.DataFrame
    held_out: pd.DataFrame
    coins: Coins

    def __repr__(self) -> str:
        return f"AuditSplit({self.coins!r})"


def split_audit(
    source: Source, schema: Schema, *, design: Design, rng: np.random.Generator
) -> AuditSplit:
    """Divide a table by privacy unit: audit records by a fair coin each, reference rows, the rest.

    Parameters
    ----------
    source : path, DataFrame or Arrow table
        The sensitive table.
    schema : Schema
        Names the unit.
    design : Design
        Chances.
    rng : numpy.random.Generator
        Tosses the coins. It must be unpredictable, for example
        ``NoiseSource.from_entropy().generator``: whoever knows the coins knows who was fitted.

    Raises
    ------
    DataError
        If the table does not have the form of the schema.

    Privacy
    -------
    All rows of a unit share its part; rows without a unit are dropped, as a fit drops them. The
    fitted table depends on every unit through that unit's rows only.
    """
    preflight(source, schema)
    frame = read_columns(source, [column.name for column in schema.columns])
    units = unit_codes(frame, schema)
    count = int(units.max(initial=-1)) + 1
    part, heads = rng.random(count), rng.random(count) < 0.5
    audited = part < design.audited
    reference = (part >= design.audited) & (part < design.audited + design.reference)
    known = units >= 0
    unit = np.where(known, units, 0)
    held = known & (reference | (audited & ~heads))[unit] if count else known
    audit_rows = known & audited[unit] if count else known
    fitted_places, held_places = np.flatnonzero(known & ~held), np.flatnonzero(held)
    return AuditSplit(
        fitted=frame.iloc[fitted_places].reset_index(drop=True),
        held_out=frame.iloc[held_places].reset_index(drop=True),
        coins=Coins(
            design=design,
            members=np.flatnonzero(audit_rows[fitted_places]),
            others=np.flatnonzero(audit_rows[held_places]),
            fitted=len(fitted_places),
            held_out=len(held_places),
        ),
    )
