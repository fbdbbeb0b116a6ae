"""Tables on which attacks are tested: a mixture in eight dimensions, and rows of Adult.

The mixture: five centres N(0, 2²), unit covariance, 2 % of the points three times as far out.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from benchmarks.datasets import schema_of_spec

DATA = Path(
    os.environ.get("DPSYNTH_TEST_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")
)

DIMENSIONS = 8


@dataclass(frozen=True)
class Tables:
    """Rows that were fitted, rows held out, rows that nobody has seen, and the facts about them."""

    schema: dp.Schema
    fitted: pd.DataFrame
    held_out: pd.DataFrame
    fresh: pd.DataFrame
    spread: dict[str, float]


def mixture(seed: int, n: int = 2000) -> Tables:
    """Rows of the mixture; twice as many are held out as are fitted."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 2, (5, DIMENSIONS))

    def draw(rows: int) -> pd.DataFrame:
        points = centres[rng.integers(0, 5, rows)] + rng.normal(size=(rows, DIMENSIONS))
        points[rng.random(rows) < 0.02] *= 3
        return pd.DataFrame(points, columns=[f"x{j}" for j in range(DIMENSIONS)])

    columns = {
        f"x{j}": {"kind": "real", "bounds": [-60, 60], "source": "made up"}
        for j in range(DIMENSIONS)
    }
    schema = dp.Schema.from_dict({"table": {"name": "mix", "rows": "private"}, "columns": columns})
    return Tables(
        schema=schema,
        fitted=draw(n),
        held_out=draw(2 * n),
        fresh=draw(n),
        spread=dict.fromkeys(columns, 1.0),
    )


def adult(seed: int, n: int = 2000) -> Tables:
    """Rows of Adult, all different places; the test is skipped where the table is absent."""
    folder = DATA / "adult"
    if not folder.exists():
        pytest.skip("the table Adult is not on this machine")
    schema = schema_of_spec("adult", json.loads((folder / "spec.json").read_text("utf-8")))
    files = [folder / "train.csv", folder / "test.csv"]
    rows = pd.concat([pd.read_csv(file, keep_default_na=False) for file in files])
    order = np.random.default_rng(seed).permutation(len(rows))
    parts = [
        rows.iloc[order[start : start + size]].reset_index(drop=True)
        for start, size in ((0, n), (n, 2 * n), (3 * n, n))
    ]
    spread = {c.name: float(rows[c.name].std()) for c in schema.columns if c.is_numeric}
    return Tables(schema=schema, fitted=parts[0], held_out=parts[1], fresh=parts[2], spread=spread)
