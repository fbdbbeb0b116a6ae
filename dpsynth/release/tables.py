"""The synthetic table as two files with the same cells.

The digest of the CSV file is the identity of a table: evidence and ledger are bound to it. The
Parquet file carries that digest in its metadata, so that a stray copy can be recognised; its own
digest stands in the manifest. Neither file depends on the manifest, so that nothing goes in a
circle.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from dpsynth.errors import IntegrityError
from dpsynth.files import csv_bytes, read_frame

_MARK = "dpsynth"


def release_id(table_sha256: str) -> str:
    """Return the identifier of a release."""
    return f"urn:dpsynth:release:{table_sha256}"


def parquet_marks(table_sha256: str) -> dict[str, str]:
    """Return what the metadata of the Parquet file says."""
    return {
        f"{_MARK}.synthetic": "true",
        f"{_MARK}.release": release_id(table_sha256),
        f"{_MARK}.table_sha256": table_sha256,
    }


def read_marks(path: Path) -> dict[str, str]:
    """Return what a Parquet file says of itself.

    Raises
    ------
    IntegrityError
        If it is no Parquet file.
    """
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        marks = {key.decode(): value.decode() for key, value in metadata.items()}
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise IntegrityError("the file is no Parquet file.", code="DPS605") from None
    return {key: value for key, value in marks.items() if key.startswith(f"{_MARK}.")}


def rows_in(parquet: Path) -> int:
    """Return how many rows a Parquet file says it has; none of them is read.

    Raises
    ------
    IntegrityError
        If it is no Parquet file.
    """
    try:
        return int(pyarrow.parquet.read_metadata(parquet).num_rows)
    except (pa.ArrowException, OSError):
        raise IntegrityError("the file is no Parquet file.", code="DPS605") from None


def hold_the_same(csv: Path, parquet: Path) -> bool:
    """Return whether the Parquet file, written as CSV, is the CSV file byte for byte."""
    content = csv.read_bytes()
    # A few bytes of Parquet may stand for more rows than any memory holds; CSV has a line for each.
    return rows_in(parquet) < content.count(b"\n") and csv_bytes(read_frame(parquet)) == content
