"""Was the holdout held out? Rows or people on both sides flatter every score.

A learner recognises a person that it was trained on, and a floor between fitted and held-out rows
looks better than two samples of one law. Where the schema names units, a unit on both sides is
refused. Where it names none, rows that stand on both sides more often than chance repeats rows
within the fitted ones are reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import DataError
from dpsynth.evidence import Finding, Severity
from dpsynth.files import read_columns
from dpsynth.schema import Schema
from dpsynth.table import Source, unit_codes

if TYPE_CHECKING:
    from benchmarks.discretise import Tables

FLAGGED = 0.01
"""A share of held-out rows this far beyond chance that is found among the fitted ones is named."""


def require_apart(fit: Source, holdout: Source, schema: Schema) -> None:
    """Refuse privacy units that have rows on both sides.

    Parameters
    ----------
    fit, holdout : path, DataFrame or Arrow table
        The real tables.
    schema : Schema
        Names the unit; where it names none, nothing is refused.

    Raises
    ------
    DataError
        If a named unit has rows in both tables. The message does not say which.
    """
    column = schema.unit.column
    if column is None:
        return
    sides = [read_columns(source, [column]) for source in (fit, holdout)]
    codes = unit_codes(pd.concat(sides, ignore_index=True), schema)
    ours, theirs = codes[: len(sides[0])], codes[len(sides[0]) :]
    # Rows that name no unit (-1) may be anybody's.
    if np.intersect1d(ours[ours >= 0], theirs[theirs >= 0]).size:
        raise DataError(
            "a privacy unit has rows among the fitted and among the held-out ones.",
            code="DPS345",
            column=column,
            fix="split the table by unit, before the fit.",
        )


def repeated(tables: Tables) -> tuple[Finding, ...]:
    """Report held-out rows that were copied from the fitted ones.

    Notes
    -----
    In two samples of one law a held-out row is found among the fitted rows about as often as a
    fitted row among the other fitted ones. What exceeds that by 1 % of the rows, and by five
    standard errors, is no chance. Repetition of rows within a unit only raises what is allowed.
    """
    fit, holdout = (_rows(table.features) for table in (tables.fit, tables.holdout))
    different, times = np.unique(fit, return_counts=True)
    place = np.minimum(np.searchsorted(different, holdout), len(different) - 1)
    shared = float(np.mean(different[place] == holdout))
    chance = float(times[times > 1].sum() / len(fit))
    spread = np.sqrt(0.25 * (1.0 / len(fit) + 1.0 / len(holdout)))
    if shared - chance <= max(FLAGGED, 5.0 * float(spread)):
        return ()
    message = (
        "many held-out rows stand among the fitted rows as well: hold rows out before the fit, "
        "or every score flatters the table."
    )
    return (Finding("DPS346", Severity.WARNING, message),)


def _rows(features: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Return a hash of every row."""
    return pd.util.hash_pandas_object(pd.DataFrame(features), index=False).to_numpy()
