from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import inference
from benchmarks.simulators import Health
from dpsynth.errors import UsageError

HEALTH = Health()


def rows(n: int, seed: int) -> pd.DataFrame:
    return HEALTH.draw(n, np.random.default_rng(seed))


def resampled(table: pd.DataFrame, m: int = 5) -> list[pd.DataFrame]:
    """What a perfect model without privacy would draw."""
    rng = np.random.default_rng(0)
    return [table.iloc[rng.integers(0, len(table), len(table))] for _ in range(m)]


def test_samples_of_a_perfect_model_come_near_the_fit_rows() -> None:
    real = rows(2_000, 1)
    section = inference.compare(resampled(real), real, HEALTH.schema)
    found = {m.name: m.value for m in section.metrics}
    assert set(found) == {
        f"inference.{rule}.{name}" for rule in inference.RULES for name in ("covers", "overlap")
    }
    assert found["inference.large.covers"] == 1.0
    assert found["inference.large.overlap"] > 0.8
    details = section.tables["inference.combined"]
    assert len(details) == 3 * 13
    assert all(r["low"] < r["estimate"] < r["high"] for r in details)
    assert [f.code for f in section.findings] == ["DPS330"]


def test_combined_estimates_are_means_of_the_samples() -> None:
    real = rows(2_000, 1)
    one = inference.compare([real] * 5, real, HEALTH.schema)
    for row in one.tables["inference.combined"]:
        assert row["estimate"] == pytest.approx(row["fit"])
    by_rule = {
        row["rule"]: row["high"] - row["low"]
        for row in one.tables["inference.combined"]
        if row["coefficient"] == "emergency[true]"
    }
    # No variance between equal tables: ū, ū (adjusted), and ū (1 + 1/5).
    assert by_rule["partial"] == pytest.approx(by_rule["full"])
    assert by_rule["large"] == pytest.approx(by_rule["partial"] * np.sqrt(1.2))


def test_a_sample_that_lacks_a_level_leaves_nothing_to_combine() -> None:
    real = rows(2_000, 1)
    samples = resampled(real)
    samples[3] = samples[3][samples[3]["severity"] != "high"]
    section = inference.compare(samples, real, HEALTH.schema)
    lost = [r for r in section.tables["inference.combined"] if r["estimate"] is None]
    assert {r["coefficient"] for r in lost} == {"severity[high]"}
    assert all(r["covers"] == 0.0 for r in lost)
    assert "DPS332" in [f.code for f in section.findings]


def test_refusals_and_what_is_not_measured() -> None:
    real = rows(300, 1)
    with pytest.raises(UsageError, match="4 samples"):
        inference.compare([real] * 4, real, HEALTH.schema)
    with pytest.raises(UsageError, match="no formula"):
        inference.compare([real] * 5, real, replace(HEALTH.schema, formulas=()))
    section = inference.compare([real] * 5, real, replace(HEALTH.schema, formulas=("ward ~ age",)))
    assert section.metrics == ()
    assert "DPS331" in [f.code for f in section.findings]
