"""Twins of a release: tables that copy the rows that were fitted, after a fit that was right."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpsynth.schema import Kind
from tests.privacy_audits.attacks.tables import Tables


def fresh_sample(tables: Tables, rng: np.random.Generator) -> pd.DataFrame:
    """No twin: new rows of the population, which owe nothing to the fitted ones."""
    return tables.fresh


def smoothed_bootstrap(tables: Tables, rng: np.random.Generator) -> pd.DataFrame:
    """Fitted rows, drawn with replacement, numbers blurred by .3 of their spread."""
    drawn = tables.fitted.iloc[rng.integers(0, len(tables.fitted), len(tables.fresh))]
    return _blurred(drawn.reset_index(drop=True), tables, width=0.3, rng=rng)


def five_percent_near_copies(tables: Tables, rng: np.random.Generator) -> pd.DataFrame:
    """Every twentieth row is a fitted one, blurred by a fiftieth of the spread."""
    count = len(tables.fresh) // 20
    chosen = tables.fitted.iloc[rng.choice(len(tables.fitted), count, replace=False)]
    copies = _blurred(chosen.reset_index(drop=True), tables, width=0.02, rng=rng)
    return pd.concat([copies, tables.fresh.iloc[count:]], ignore_index=True)


def one_percent_outlier_copies(tables: Tables, rng: np.random.Generator) -> pd.DataFrame:
    """Every hundredth row is a fitted one that lies far out, unchanged."""
    count = len(tables.fresh) // 100
    scaled = pd.DataFrame(
        {
            name: (tables.fitted[name] - tables.fitted[name].mean()).abs() / spread
            for name, spread in tables.spread.items()
        }
    )
    far = np.argsort(-scaled.max(axis=1).to_numpy(), kind="stable")[:count]
    return pd.concat([tables.fitted.iloc[far], tables.fresh.iloc[count:]], ignore_index=True)


def memorising_chain(tables: Tables, rng: np.random.Generator) -> pd.DataFrame:
    """Over-fitted generator: each column comes from one of the three fitted rows that are nearest
    in the columns drawn so far.
    """
    fitted, size = tables.fitted, len(tables.fresh)
    distance = np.zeros((size, len(fitted)))
    out: dict[str, np.ndarray] = {}
    for column in tables.schema.modelled:
        values = fitted[column.name].to_numpy()
        # Ties, of which the first columns have many, are broken at random.
        near = np.argpartition(distance + 1e-9 * rng.random(distance.shape), 3, axis=1)[:, :3]
        out[column.name] = values[near[np.arange(size), rng.integers(0, 3, size)]]
        if column.is_numeric:
            drawn = out[column.name].astype(float)[:, None]
            distance += np.abs(drawn - values.astype(float)) / tables.spread[column.name]
        else:
            distance += out[column.name][:, None] != values
    return pd.DataFrame(out)


def _blurred(
    rows: pd.DataFrame, tables: Tables, *, width: float, rng: np.random.Generator
) -> pd.DataFrame:
    rows = rows.copy()
    for column in tables.schema.modelled:
        if not column.is_numeric:
            continue
        assert isinstance(column.bounds, tuple)
        noisy = rows[column.name] + rng.normal(0, width * tables.spread[column.name], len(rows))
        if column.kind != Kind.REAL:
            noisy = noisy.round()
        rows[column.name] = noisy.clip(*column.bounds)
    return rows
