"""Formulas of the schema, and the design that they make of a table.

The grammar is ``outcome ~ covariate + covariate``: main effects of columns, nothing else. A level
is coded against the reference, the first level in the schema's order that the fit rows show, the
same one in every table. Rows with a gap in one of the formula's columns are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.discretise import Conformed, Tables
from dpsynth.errors import SchemaError
from dpsynth.schema import Column, Kind, Schema
from dpsynth.table import Source, conform, unit_codes

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Family = Literal["logistic", "linear"]

MOST_COEFFICIENTS = 100
"""Formulas with more are not measured: standard errors would rest on too little."""


class NotMeasuredError(Exception):
    """A formula that is well formed but cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """One regression that the schema declares.

    Parameters
    ----------
    text : str
        As the schema has it.
    outcome : Column
        Left of the tilde.
    covariates : tuple of Column
        Right of it.
    """

    text: str
    outcome: Column
    covariates: tuple[Column, ...]

    @classmethod
    def of(cls, text: str, schema: Schema) -> Self:
        """Read a formula.

        Raises
        ------
        SchemaError
            If it is not ``outcome ~ covariate + covariate`` of different columns that are no keys.
        """
        left, tilde, right = text.partition("~")
        names = [left.strip(), *(name.strip() for name in right.split("+"))]
        wrong = not tilde or "~" in right or "" in names or len(set(names)) < len(names)
        if wrong:
            raise SchemaError(
                f"{text!r} is no formula.",
                code="DPS202",
                fix="write 'outcome ~ covariate + covariate', every column once.",
            )
        columns = [schema.column(name) for name in names]
        for column in columns:
            if column.kind == Kind.KEY:
                raise SchemaError(
                    f"a key stands in the formula {text!r}.",
                    column=column.name,
                    code="DPS202",
                    fix="use columns that are modelled.",
                )
        return cls(text=text, outcome=columns[0], covariates=tuple(columns[1:]))

    @property
    def family(self) -> Family:
        """Logistic for an outcome of two declared levels, linear for a number.

        Raises
        ------
        NotMeasuredError
            For any other outcome.
        """
        if self.outcome.is_numeric:
            return "linear"
        if isinstance(self.outcome.categories, tuple) and len(self.outcome.categories) == 2:
            return "logistic"
        raise NotMeasuredError("its outcome is neither a number nor one of two declared levels")

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, the outcome first."""
        return (self.outcome, *self.covariates)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Rows:
    """The columns of a formula as numbers.

    Parameters
    ----------
    values : ndarray of float, shape (n_rows, n_columns)
        Outcome first. Numbers as they are, levels as their place; NaN is null or outside.
    units : ndarray of int, shape (n_rows,)
        Privacy unit of each row.
    groups : ndarray of int, shape (n_rows,)
        Jackknife group of each row; all of a unit's rows are in one.
    """

    values: FloatArray
    units: IntArray
    groups: IntArray

    @property
    def complete(self) -> Rows:
        """Rows without a gap."""
        whole = ~np.isnan(self.values).any(axis=1)
        return Rows(values=self.values[whole], units=self.units[whole], groups=self.groups[whole])


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the coefficients of a formula stand for: the same in every table.

    Parameters
    ----------
    formula : Formula
        The formula.
    terms : tuple of (int, int or None)
        Per coefficient the place of its covariate and, for a level, the level's.
    names : tuple of str
        ``column`` or ``column[level]``.
    """

    formula: Formula
    terms: tuple[tuple[int, int | None], ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, formula: Formula, levels: Mapping[str, Sequence[str]], fit: Rows) -> Self:
        """Choose references and name the coefficients.

        Parameters
        ----------
        formula : Formula
            The formula.
        levels : mapping of str to sequence of str
            Levels of the discrete covariates in the order of their places.
        fit : Rows
            Complete fit rows.

        Raises
        ------
        NotMeasuredError
            If there are more than :data:`MOST_COEFFICIENTS`, or none.
        """
        terms: list[tuple[int, int | None]] = []
        names: list[str] = []
        for place, column in enumerate(formula.covariates, start=1):
            if column.is_numeric:
                terms.append((place, None))
                names.append(column.name)
                continue
            shown = fit.values[:, place]
            reference = int(shown.min()) if len(shown) else 0
            for level, text in enumerate(levels[column.name]):
                if level != reference:
                    terms.append((place, level))
                    names.append(f"{column.name}[{text}]")
        if not 1 <= len(terms) <= MOST_COEFFICIENTS:
            raise NotMeasuredError(f"it has more than {MOST_COEFFICIENTS} coefficients, or none")
        return cls(formula=formula, terms=tuple(terms), names=tuple(names))

    def design(self, rows: Rows) -> FloatArray:
        """Return covariates without the constant, shape (n_rows, n_coefficients)."""
        columns = [
            rows.values[:, place] if level is None else rows.values[:, place] == level
            for place, level in self.terms
        ]
        return np.column_stack(columns).astype(np.float64)


def rows_of(formula: Formula, table: Conformed, tables: Tables) -> Rows:
    """Return the rows of a conformed table as a formula sees them."""
    places = {column.name: place for place, column in enumerate(tables.columns)}
    chosen = [places[column.name] for column in formula.columns]
    values = table.features[:, chosen].copy()
    for i, place in enumerate(chosen):
        # The last two cells are null and outside. Nulls of numbers are NaN already; the numbers
        # outside the bounds were clipped to them, which no analyst would do.
        values[table.codes[:, place] >= tables.sizes[place] - 2, i] = np.nan
    if formula.family == "logistic":
        values[values[:, 0] > 1.0, 0] = np.nan  # the reserved level is no outcome
    return Rows(values=values, units=table.units, groups=table.groups)


def levels_of(formula: Formula, tables: Tables) -> dict[str, tuple[str, ...]]:
    """Return the levels of the discrete covariates in the order of their places.

    Levels that were discovered have no public name: they are numbered.
    """
    cells = dict(zip((c.name for c in tables.columns), tables.cells, strict=True))
    return {
        c.name: tuple(f"level {i}" for i in range(cells[c.name].inner))
        if c.categories == "discover"
        else cells[c.name].levels
        for c in formula.covariates
        if c.is_discrete
    }


def read_rows(
    formula: Formula, source: Source, schema: Schema, *, has_units: bool
) -> tuple[Rows, dict[str, tuple[str, ...]]]:
    """Return a table as a formula sees it, and the levels of its covariates.

    For tables that need no shared grid: simulated ones, and the samples of a model.

    Parameters
    ----------
    formula : Formula
        The formula.
    source : path, DataFrame or Arrow table
        The table.
    schema : Schema
        Public facts.
    has_units : bool
        Whether the table has the unit's column; a synthetic row is a unit of its own.

    Raises
    ------
    NotMeasuredError
        If levels of a covariate are discovered: they would be numbered differently in every table.
    """
    from dataclasses import replace

    if any(column.categories == "discover" for column in formula.covariates):
        raise NotMeasuredError("levels of a covariate are not in the schema")
    found = conform(source, replace(schema, columns=formula.columns))
    values = np.column_stack([_numbers(column, found[column.name]) for column in formula.columns])
    if formula.family == "logistic":
        values[values[:, 0] > 1.0, 0] = np.nan
    n = len(values)
    units = unit_codes(source, schema) if has_units else np.arange(n, dtype=np.int64)
    levels = {c.name: c.levels for c in formula.covariates if c.is_discrete}
    return Rows(values=values, units=units, groups=np.zeros(n, dtype=np.int64)), levels


def _numbers(column: Column, values: npt.NDArray) -> FloatArray:
    if column.is_numeric:
        return np.asarray(values, dtype=np.float64)
    places = pd.Index(column.levels, dtype=object).get_indexer(pd.Index(values, dtype=object))
    return np.where(places < 0, np.nan, places).astype(np.float64)
