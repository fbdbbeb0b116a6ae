"""The boundary: from files and frames to typed columns, bounded per privacy unit.

Form is refused before the data is touched (:meth:`TableReader.preflight`); a value never is. What
does not fit the schema follows the declared policy.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from dpsynth.errors import DataError, UsageError
from dpsynth.files import Source, check_form, column_types, read_columns, read_frame, write_frame
from dpsynth.schema import SECONDS, Column, Kind, Schema, canonical_level

__all__ = [
    "Source",
    "Table",
    "TableReader",
    "conform",
    "load",
    "preflight",
    "read_frame",
    "split",
    "unit_codes",
    "violations",
    "write_frame",
]

IntArray = npt.NDArray[np.int64]

NULLS = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "NaT"})
"""Texts that mean null, unless the column declares them as a level."""

_LARGEST = int(np.finfo(np.float64).max)

_FRACTION = re.compile(r"([T ]\d{2}:?\d{2}:?\d{2})[.,]\d+")

_USABLE = {
    Kind.INTEGER: {"integer", "real", "boolean", "categorical", None},
    Kind.REAL: {"integer", "real", "boolean", "categorical", None},
    Kind.DATETIME: {"datetime", "categorical", None},
}
_ANY = {"integer", "real", "boolean", "categorical", "datetime", None}


class Permit(Protocol):
    """What must be shown to read rows: a touched charge of a ledger."""

    @property
    def state(self) -> str:
        """``"touched"`` once the spend is on disk."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Table:
    """Typed columns of sensitive rows.

    Parameters
    ----------
    schema : Schema
        Public facts.
    values : mapping of str to ndarray, shape (n_rows,)
        Modelled columns. Discrete: canonical text, ``None`` for null. Numeric: float64, NaN for
        null, bounds applied; datetimes in their unit since 1970-01-01.
    unit_index : ndarray of int64, shape (n_rows,)
        Privacy unit of each row, from 0.
    """

    schema: Schema
    values: Mapping[str, npt.NDArray]
    unit_index: IntArray

    @property
    def n_rows(self) -> int:
        """Number of rows: sensitive."""
        return len(self.unit_index)

    @property
    def n_units(self) -> int:
        """Number of units: sensitive."""
        return int(self.unit_index.max()) + 1 if len(self.unit_index) else 0

    def __repr__(self) -> str:
        kinds = ", ".join(f"{c.name}: {c.kind}" for c in self.schema.modelled)
        return f"Table({kinds})"


def preflight(source: Source, schema: Schema) -> None:
    """Refuse a table whose form does not fit the schema; values are not looked at.

    Parameters
    ----------
    source : path, DataFrame or Arrow table
        The table.
    schema : Schema
        What it should look like.

    Raises
    ------
    DataError
        For a file that is absent, unreadable, not UTF-8 or not rectangular; for names that are
        missing or repeated; for dtypes that cannot serve; for a table without rows.

    Privacy
    -------
    Form is outside the guarantee: that the table is well-formed and not empty is taken as a public
    fact, like the schema. Columns that the schema does not name are ignored.
    """
    types = column_types(source)
    for column in schema.columns:
        if column.name not in types:
            near = difflib.get_close_matches(column.name, types, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "add it, or take it out of the schema."
            raise DataError(
                "the table has no such column.", column=column.name, code="DPS250", fix=hint
            )
        if types[column.name] not in _USABLE.get(column.kind, _ANY):
            raise DataError(
                f"its dtype cannot serve kind {column.kind}.",
                column=column.name,
                code="DPS257",
                fix="convert the column or change its kind.",
            )
    check_form(source, [column.name for column in schema.columns])


def load(source: Source, schema: Schema, *, rng: np.random.Generator) -> Table:
    """Read a table, apply the schema and bound the rows per unit.

    Parameters
    ----------
    source : path, DataFrame or Arrow table
        The table.
    schema : Schema
        Public facts.
    rng : numpy.random.Generator
        Draws the rows that are kept and the order of all.

    Privacy
    -------
    Of every unit at most ``max_rows`` rows are kept, chosen evenly at random. Rows without a unit
    are dropped: kept as one unit they would compete for its places, and the rows of a person who
    leaves would be replaced by somebody else's, twice the change that is paid for.
    """
    frame = read_columns(source, [column.name for column in schema.columns])
    units = _units(frame, schema)
    order = rng.permutation(np.flatnonzero(units >= 0))
    kept = order[_first_rows(units[order], schema.unit.max_rows)]
    _, compact = np.unique(units[kept], return_inverse=True)
    frame = frame.iloc[kept]
    return Table(
        schema=schema,
        values={c.name: _values(frame[c.name], c) for c in schema.modelled},
        unit_index=compact.astype(np.int64).reshape(-1),
    )


def _units(frame: pd.DataFrame, schema: Schema) -> IntArray:
    if schema.unit.column is None:
        return np.arange(len(frame), dtype=np.int64)
    keys = cell_text(frame[schema.unit.column]).str.strip()
    keys = keys.mask(keys.isin(NULLS))
    return pd.factorize(keys)[0].astype(np.int64)  # -1 where there is no unit


def _first_rows(units: IntArray, most: int) -> IntArray:
    """Return the places of the first ``most`` rows of every unit."""
    return np.flatnonzero(pd.Series(units).groupby(units).cumcount().to_numpy() < most)


class TableReader:
    """Reads a table once, after the spend is booked.

    Parameters
    ----------
    source : path, DataFrame or Arrow table
        The sensitive table.
    schema : Schema
        Public facts.

    Attributes
    ----------
    source : path, DataFrame or Arrow table
        The table as it was given.
    """

    def __init__(self, source: Source, schema: Schema) -> None:
        self.schema = schema
        self.source = source

    @classmethod
    def of(cls, data: Source | TableReader, schema: Schema) -> TableReader:
        """Return a reader of a table, or the reader that was given, for a schema.

        Raises
        ------
        UsageError
            If a reader was given that was made for another schema.

        Privacy
        -------
        The reader bounds the rows per unit, the schema of the plan sets the noise: two schemas
        could name two units or two bounds.
        """
        if not isinstance(data, TableReader):
            return cls(data, schema)
        if data.schema != schema:
            raise UsageError(
                "the reader was made for another schema than the synthesizer.",
                code="DPS113",
                fix="make both from the same schema.",
            )
        return data

    def preflight(self) -> None:
        """Refuse what :func:`preflight` refuses."""
        preflight(self.source, self.schema)

    def read(self, permit: Permit, *, rng: np.random.Generator) -> Table:
        """Return the rows to fit.

        Raises
        ------
        UsageError
            If the permit is not a touched charge.
        """
        if permit.state != "touched":
            raise UsageError("rows are read only under a touched charge.", code="DPS112")
        return load(self._rows(rng), self.schema, rng=rng)

    def _rows(self, rng: np.random.Generator) -> Source:
        """Return what is to be fitted; a reader that holds rows out returns fewer."""
        del rng
        return self.source

    def __repr__(self) -> str:
        return f"{type(self).__name__}(schema={self.schema.name!r})"


def split(
    frame: pd.DataFrame, schema: Schema, *, holdout: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a table by privacy unit into rows to fit and rows to hold out.

    Parameters
    ----------
    frame : DataFrame
        The table.
    schema : Schema
        Names the unit.
    holdout : float
        Chance of every unit to be held out.
    rng : numpy.random.Generator
        Tosses the coins.

    Notes
    -----
    One coin per unit, not an exact share: whether a unit is held out then depends on no other unit,
    so that adding one person changes one side by that person only.
    """
    if not 0 <= holdout <= 1:
        raise UsageError(f"holdout must lie in [0, 1], got {holdout}.")
    units = _units(frame, schema)
    coins = rng.random(int(units.max()) + 1 if len(units) else 0) < holdout
    known = units >= 0
    held = np.zeros(len(units), dtype=bool)
    held[known] = coins[units[known]]
    fit, holdout_rows = frame[known & ~held], frame[known & held]
    return fit.reset_index(drop=True), holdout_rows.reset_index(drop=True)


def conform(source: Source, schema: Schema) -> dict[str, npt.NDArray]:
    """Return the modelled columns of a whole table as :class:`Table` holds them.

    Used to compare tables on equal terms: rows are neither dropped nor reordered.
    """
    preflight(source, schema)
    frame = read_columns(source, [column.name for column in schema.columns])
    return {column.name: _values(frame[column.name], column) for column in schema.modelled}


def unit_codes(source: Source, schema: Schema) -> IntArray:
    """Return the privacy unit of every row as a number from 0; -1 where a row names none."""
    columns = [] if schema.unit.column is None else [schema.unit.column]
    frame = read_columns(source, columns or [schema.columns[0].name])
    return _units(frame, schema)


def violations(frame: pd.DataFrame, schema: Schema) -> list[str]:
    """Return the names of columns in which a row does not fit the schema.

    Parameters
    ----------
    frame : DataFrame
        A synthetic table, typed or as text.
    schema : Schema
        Public facts. Discovered bounds and categories restrict nothing.
    """
    broken = [column.name for column in schema.columns if column.name not in frame]
    for column in schema.modelled:
        if column.name in frame and not _fits(frame[column.name], column):
            broken.append(column.name)
    return broken


def _fits(series: pd.Series, column: Column) -> bool:
    text = cell_text(series).str.strip()
    if column.is_discrete:
        levels = pd.Series(_levels(series, column), dtype=object)
        null = levels.isna().to_numpy()
        known = column.categories == "discover" or levels[~null].isin(column.levels).all()
        return bool(known) and (column.missing or not null.any())
    stated = text.isin(NULLS).to_numpy() | text.isna().to_numpy()
    numbers = _numbers(series, column)
    if not column.missing and stated.any():
        return False
    present = numbers[~stated]
    if not np.isfinite(present).all():
        return False
    if isinstance(column.bounds, tuple):
        low, high = float(column.bounds[0]), float(column.bounds[1])
        if ((present < low) | (present > high)).any():
            return False
    step = 1.0 if column.kind != Kind.REAL else None
    if column.decimals is not None:
        step = 10.0**-column.decimals
    return step is None or bool(np.allclose(present / step, np.rint(present / step), atol=1e-5))


# -- values -------------------------------------------------------------------------------------


def _values(series: pd.Series, column: Column) -> npt.NDArray:
    if column.is_discrete:
        return _levels(series, column)
    numbers = _numbers(series, column)
    if column.kind != Kind.REAL:
        numbers = np.rint(numbers)
    if not isinstance(column.bounds, tuple):
        return np.where(np.isfinite(numbers), numbers, np.nan)
    low, high = float(column.bounds[0]), float(column.bounds[1])
    if column.outside == "null":
        return np.where((numbers >= low) & (numbers <= high), numbers, np.nan)
    return np.clip(numbers, low, high)


def cell_text(series: pd.Series) -> pd.Series:
    """Return text, missing where the value is; numbers without a trailing ``.0``."""
    values = series.astype(object)
    if series.dtype == object:
        # pandas compares cells with themselves, which a signalling NaN does not bear.
        loud = [isinstance(value, Decimal) and value.is_snan() for value in values]
        values = values.mask(np.array(loud, dtype=bool), None)
    text = values.map(_plain, na_action="ignore").astype(object)
    return text.where(~values.isna(), other=None)


def _plain(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "inf" if value > 0 else "-inf"  # Python does not write numbers of any length
    # What is no valid text cannot be compared or written either.
    return str(value).encode("utf-8", "replace").decode()


def _levels(series: pd.Series, column: Column) -> npt.NDArray[np.object_]:
    if series.dtype == object:
        # Objects may be equal but differ in text (1 and True), or not be hashable at all.
        series = cell_text(series)
    # Levels are worked out once per different value, not once per row.
    codes, different = pd.factorize(series, use_na_sentinel=True)
    text = cell_text(pd.Series(different, dtype=object))
    declared = set(column.levels) if column.categories != "discover" else set()
    whole = column.whole_levels
    canonical: list[str | None] = []
    for value in text:
        level = None if value is None else canonical_level(value, whole=whole)
        if level is not None and column.kind == Kind.BOOLEAN and level not in declared:
            level = _boolean(level) if _boolean(level) in declared else level
        canonical.append(None if level in NULLS and level not in declared else level)
    table = np.array([*canonical, None], dtype=object)
    return table[codes]


def _boolean(text: str) -> str:
    return {"1": "true", "0": "false"}.get(text, text.lower())


def _numbers(series: pd.Series, column: Column) -> npt.NDArray[np.float64]:
    if column.kind == Kind.DATETIME:
        return _stamps(series, column)
    if not pd.api.types.is_numeric_dtype(series.dtype):
        series = cell_text(series).str.strip()
    elif isinstance(series.dtype, pd.ArrowDtype) and pa.types.is_decimal(
        series.dtype.pyarrow_dtype
    ):
        # to_numeric loses the nulls of Arrow decimals.
        return series.astype("double[pyarrow]").to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = pd.to_numeric(series, errors="coerce")
    return numbers.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)


def _stamps(series: pd.Series, column: Column) -> npt.NDArray[np.float64]:
    if not pd.api.types.is_datetime64_any_dtype(series.dtype):
        # pandas parses all texts at the resolution of the finest: with fractions of a second one
        # cell would decide which years the others may have. The finest unit is a second anyway.
        # Words such as "today" would be read off the clock.
        series = cell_text(series).str.strip().str.replace(_FRACTION, r"\1", regex=True)
        series = series.where(series.str.match(r"\d", na=False).astype(bool))
        stamps = pd.to_datetime(series, errors="coerce", utc=True, format="ISO8601")
    else:
        stamps = pd.to_datetime(series, utc=True)
    seconds = stamps.dt.tz_localize(None).astype("datetime64[s]").to_numpy()
    out = seconds.astype(np.int64).astype(np.float64)
    out[np.isnat(seconds)] = np.nan
    return np.floor(out / SECONDS[column.unit or "day"])
