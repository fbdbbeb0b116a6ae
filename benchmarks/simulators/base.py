"""What every simulator offers, and how an outcome is drawn so that its truth is exact.

A regression recovers its coefficients on infinitely many rows if the mean of the outcome, given
the covariates *as the table shows them*, is the formula. Three rules see to that: covariates are
rounded and cut before an outcome is drawn from them; noise is bounded, so that no outcome ever
meets the bounds of its column; and outcomes are rounded at random such that the mean stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import UsageError
from dpsynth.schema import Schema

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Coefficients = Mapping[str, float]
Truth = Mapping[str, Coefficients]

INTERCEPT = "(intercept)"
"""Name of the constant of a formula."""


class Simulator(Protocol):
    """A law of tables that is known in full."""

    name: ClassVar[str]

    @property
    def schema(self) -> Schema:
        """Public facts; every one has the source ``simulator``."""
        ...

    @property
    def truth(self) -> Truth:
        """Coefficients by formula of the schema, then by name.

        A number's name is its column, a level's is ``column[level]``; the first declared level is
        the reference. Logistic where the outcome has two levels (the second one is modelled),
        linear where it is a number.
        """
        ...

    def draw(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Return ``n`` fresh rows.

        Parameters
        ----------
        n : int
            Rows.
        rng : numpy.random.Generator
            The only source of chance.
        """
        ...


def schema_of(
    name: str,
    columns: Mapping[str, Mapping[str, Any]],
    truth: Truth,
    *,
    protected: tuple[str, ...] = (),
    unit: Mapping[str, Any] | None = None,
) -> Schema:
    """Return the checked schema of a simulated table; its formulas are those of the truth."""
    return Schema.from_dict(
        {
            "table": {"name": name, "rows": "private", **({"unit": dict(unit)} if unit else {})},
            "columns": {
                column: dict(facts) if facts["kind"] == "key" else {**facts, "source": "simulator"}
                for column, facts in columns.items()
            },
            "evaluation": {"protected": list(protected), "formulas": list(truth)},
        }
    )


def linear_predictor(frame: pd.DataFrame, coefficients: Coefficients) -> FloatArray:
    """Return what the coefficients make of the covariates, shape (n_rows,).

    Parameters
    ----------
    frame : DataFrame
        Covariates as the table shows them.
    coefficients : mapping of str to float
        Named as in :attr:`Simulator.truth`.
    """
    total = np.zeros(len(frame))
    for name, value in coefficients.items():
        column, _, level = name.partition("[")
        if name == INTERCEPT:
            total += value
        elif not level:
            total += value * frame[column].to_numpy(dtype=np.float64)
        elif frame[column].dtype == bool:
            total += value * (frame[column].to_numpy() == (level == "true]"))
        else:
            total += value * (frame[column] == level[:-1]).to_numpy()
    return total


def bernoulli(
    frame: pd.DataFrame, coefficients: Coefficients, uniform: FloatArray
) -> npt.NDArray[np.bool_]:
    """Return a boolean outcome that follows the logistic model exactly, shape (n_rows,).

    Parameters
    ----------
    frame : DataFrame
        Covariates as the table shows them.
    coefficients : mapping of str to float
        Of the log-odds.
    uniform : ndarray of float, shape (n_rows,)
        Each evenly distributed on [0, 1) given the covariates; rows may share one.
    """
    return uniform * (1.0 + np.exp(-linear_predictor(frame, coefficients))) < 1.0


def skewed(n: int, *, span: float, rng: np.random.Generator) -> FloatArray:
    """Return noise of mean zero and width ``span`` with a long right tail, shape (n,)."""
    rise, fall = 1.2, 4.0
    return span * (rng.beta(rise, fall, n) - rise / (rise + fall))


def even(n: int, *, span: float, rng: np.random.Generator) -> FloatArray:
    """Return symmetric noise of mean zero and width ``span``, shape (n,)."""
    return span * (rng.beta(3.0, 3.0, n) - 0.5)


def rounded(values: FloatArray, decimals: int, rng: np.random.Generator) -> FloatArray:
    """Round up or down at random such that the mean of every value stays what it was.

    Rounding to the nearest would shift the mean of every row a little, by an amount that depends on
    the covariates.
    """
    steps = np.floor(values * 10.0**decimals + rng.random(len(values)))
    return np.round(steps / 10.0**decimals, decimals)


def cut(values: FloatArray, low: float, high: float, decimals: int = 0) -> FloatArray:
    """Bring a covariate to its declared form: to the nearest step, within bounds."""
    return np.clip(np.round(values, decimals), low, high)


def pick(
    levels: tuple[str, ...], weights: FloatArray, rng: np.random.Generator
) -> npt.NDArray[np.object_]:
    """Draw one level per row.

    Parameters
    ----------
    levels : tuple of str
        What there is to draw.
    weights : ndarray of float, shape (n_rows, n_levels)
        Chances up to a factor per row.
    rng : numpy.random.Generator
        Draws.
    """
    chances = np.cumsum(weights, axis=1)
    places = (rng.random(len(weights)) * chances[:, -1])[:, None] >= chances
    return np.array(levels, dtype=object)[places.sum(axis=1)]


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a setting at which the stated truth would no longer be exact."""
    if not low <= value <= high:
        raise UsageError(f"{name} must lie in [{low:g}, {high:g}], got {value}.")
