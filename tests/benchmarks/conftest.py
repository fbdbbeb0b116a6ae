"""Small tables with known properties, for all tests of this package."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

import dpsynth as dp
from benchmarks.discretise import Tables, conform_tables


def schema_of(columns: Mapping[str, Mapping[str, object]], **table: object) -> dp.Schema:
    """A checked schema; every fact has a source."""
    return dp.Schema.from_dict(
        {
            "table": {"name": "test", **table},
            "columns": {
                name: dict(column) if column["kind"] == "key" else {"source": "test", **column}
                for name, column in columns.items()
            },
        }
    )


def pair_schema() -> dp.Schema:
    """``x`` follows the level ``g``; ``y`` follows nothing."""
    wide = {"kind": "real", "bounds": [-1e3, 2e6]}
    return schema_of(
        {"g": {"kind": "categorical", "categories": ["a", "b", "c"]}, "x": wide, "y": wide}
    )


def pair_frame(n: int, seed: int) -> pd.DataFrame:
    """A fresh sample of the law behind :func:`pair_schema`."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, n)
    return pd.DataFrame(
        {
            "g": np.array(["a", "b", "c"])[group],
            "x": rng.normal(10 * group, 1),
            "y": rng.normal(size=n),
        }
    )


def pair_tables(synthetic: pd.DataFrame, *, n: int = 1500) -> Tables:
    """``synthetic`` beside two samples of the law."""
    return conform_tables(synthetic, pair_frame(n, 1), pair_frame(n, 2), pair_schema())


def corrupted(frame: pd.DataFrame, share: float, column: str = "x") -> pd.DataFrame:
    """The same column, of which a share no longer stands in its row."""
    rng = np.random.default_rng(7)
    out = frame.copy()
    rows = np.flatnonzero(rng.random(len(frame)) < share)
    out.loc[rows, column] = rng.permutation(frame[column].to_numpy()[rows])
    return out


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows in another order."""
    return frame.sample(frac=1.0, random_state=np.random.RandomState(3))
