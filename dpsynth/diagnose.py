"""What a custodian should know before a fit: a table compared with its schema.

The result is computed from real rows. It is for the custodian's eyes, costs no ε because it is not
released, and must not be published. Even so it names columns and rounded shares, never a value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dpsynth.files import Source, read_columns
from dpsynth.schema import Column, Schema
from dpsynth.table import NULLS, conform, preflight, unit_codes

BANNER = "computed from real rows: not differentially private, do not publish"

_MANY_LEVELS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One thing that does not fit.

    Parameters
    ----------
    column : str or None
        The column; ``None`` for the table.
    severity : {"problem", "note"}
        A problem should be mended before a fit; a note explains what the fit will do.
    what, fix : str
        What was found and what to do.
    """

    column: str | None
    severity: str
    what: str
    fix: str

    def __str__(self) -> str:
        where = f"column {self.column!r}: " if self.column else ""
        return f"{self.severity}: {where}{self.what} Fix: {self.fix}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Diagnosis:
    """Everything that was found; confidential."""

    observations: tuple[Observation, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not any(item.severity == "problem" for item in self.observations)

    def to_dict(self) -> dict[str, object]:
        """Return the diagnosis as JSON."""
        return {
            "banner": BANNER,
            "ok": self.ok,
            "observations": [
                {name: getattr(item, name) for name in item.__slots__} for item in self.observations
            ],
        }

    def __str__(self) -> str:
        lines = [BANNER, *map(str, self.observations)]
        return "\n".join(lines if self.observations else [*lines, "the table fits the schema"])

    # However it is shown, the banner comes first.
    __repr__ = __str__


def diagnose(source: Source, schema: Schema) -> Diagnosis:
    """Compare a table with a schema, value by value.

    Parameters
    ----------
    source : path, DataFrame or Arrow table
        The sensitive table.
    schema : Schema
        Public facts.

    Raises
    ------
    DataError
        If the form of the table does not fit; see :func:`dpsynth.table.preflight`.

    Privacy
    -------
    None: the result is a function of the exact rows.
    """
    preflight(source, schema)
    frame = read_columns(source, [column.name for column in schema.columns])
    # Before bounds are applied: what lies outside them is to be seen here.
    unbounded = replace(
        schema,
        columns=tuple(replace(c, bounds=None) if c.is_numeric else c for c in schema.columns),
    )
    values = conform(source, unbounded)
    found: list[Observation] = []
    if len(frame) == 1:
        found.append(
            _problem(None, "the table has a single row.", "nothing can be learned; give more rows.")
        )
    for column in schema.modelled:
        found += _look_at(column, frame[column.name], values[column.name])
    if schema.unit.column is not None:
        found += _look_at_units(schema, unit_codes(source, schema))
    return Diagnosis(observations=tuple(found))


def _problem(column: str | None, what: str, fix: str) -> Observation:
    return Observation(column=column, severity="problem", what=what, fix=fix)


def _note(column: str | None, what: str, fix: str) -> Observation:
    return Observation(column=column, severity="note", what=what, fix=fix)


def _look_at(column: Column, raw: pd.Series, values: np.ndarray) -> list[Observation]:
    name, found = column.name, []
    text = raw.astype(object).map(str, na_action="ignore")
    nulls = NULLS.difference(column.levels) if column.is_discrete else NULLS
    stated_null = raw.isna().to_numpy() | text.isin(nulls).to_numpy(dtype=bool)
    null = pd.isna(pd.Series(values, dtype=object)).to_numpy()
    if null.all():
        return [_problem(name, "all values are missing or unreadable.", "leave the column out.")]
    present = pd.Series(values[~null], dtype=object)
    if len(raw) > 1 and present.nunique() == 1 and not null.any():
        found.append(_problem(name, "the column is constant.", "leave it out and add it again."))
    if stated_null.any() and not column.missing:
        found.append(
            _problem(name, "values are missing, but the schema rules it out.", "missing = true.")
        )
    unreadable = null & ~stated_null
    if column.is_numeric and unreadable.any():
        what = f"{_share(unreadable)} of the values are no {column.kind}, or infinite."
        found.append(_problem(name, what, "clean them; a fit takes them as missing."))
    if column.is_numeric and isinstance(column.bounds, tuple):
        low, high = float(column.bounds[0]), float(column.bounds[1])
        outside = (values < low) | (values > high)
        if outside.any():
            what = f"{_share(outside)} of the values lie outside the bounds."
            found.append(_note(name, what, f"a fit will apply outside = {column.outside!r}."))
    if column.is_discrete and column.categories != "discover":
        unlisted = ~present.isin(column.levels)
        if unlisted.any():
            what = f"{_share(unlisted.to_numpy())} of the values are not among the categories."
            where = repr(column.other) if column.other else "a reserved level"
            found.append(_note(name, what, f"list them, or accept that they go to {where}."))
    if column.is_discrete and present.nunique() > _MANY_LEVELS:
        found.append(
            _problem(
                name,
                f"the column has more than {_MANY_LEVELS} levels.",
                'group them, declare it a key, or use kind = "integer" if it is a number.',
            )
        )
    return found


def _look_at_units(schema: Schema, units: np.ndarray) -> list[Observation]:
    found = []
    if (units < 0).any():
        what = f"{_share(units < 0)} of the rows name no unit."
        found.append(_note(schema.unit.column, what, "name one; a fit drops these rows."))
    per_unit = np.bincount(units[units >= 0])
    if len(per_unit) and per_unit.max() > schema.unit.max_rows:
        share = _share(per_unit > schema.unit.max_rows)
        what = f"{share} of the units have more than max_rows = {schema.unit.max_rows} rows."
        fix = "a fit keeps max_rows of them at random; raise max_rows to keep more."
        found.append(_note(schema.unit.column, what, fix))
    return found


def _share(flags: np.ndarray) -> str:
    percent = 100 * float(np.mean(flags))
    return "under 1%" if percent < 1 else f"about {round(percent)}%"
