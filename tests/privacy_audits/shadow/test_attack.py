"""The whole attack: what it must find, and what it must not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from privacy_audits.shadow import (
    Cast,
    Claim,
    DataDomain,
    ExactMarginals,
    Method,
    Moments,
    Nearest,
    ShadowAttack,
    ShadowDesign,
    SmoothedBootstrap,
    SubsetCounts,
    attack,
    run_shadows,
)
from privacy_audits.vulnerable import most_vulnerable
from tests.conftest import patients_frame, patients_schema

SCHEMA = dp.Schema.from_dict(
    {
        "table": {"name": "wages", "rows": "private"},
        "columns": {
            "wage": {"kind": "integer", "bounds": [0, 100], "source": "book"},
            "sex": {"kind": "categorical", "categories": ["F", "M"], "source": "book"},
        },
    }
)
INDEPENDENT = partial(
    Method, method="independent", budget=dp.Budget(epsilon=1.0, delta=1e-5), declared_rows=100
)


def wages(n: int = 220) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"wage": rng.integers(20, 60, n), "sex": rng.choice(["F", "M"], n)})


def attacked(
    fit: Callable[..., pd.DataFrame],
    folder: Path,
    cast: Cast,
    *,
    epsilon: float = math.inf,
    maps: tuple = (Moments(), SubsetCounts(), Nearest()),
    **design: object,
) -> ShadowAttack:
    settings = {"shadows": 20, "base_rows": 80, "synthetic_rows": 100, **design}
    runs = run_shadows(
        fit, cast, ShadowDesign(generator="tested", **settings), folder, features=maps
    )
    return attack(runs, claim=Claim(epsilon=epsilon, delta=1e-5), rng=np.random.default_rng(0))


def patients(count: int = 10) -> Cast:
    frame, schema = patients_frame(150), patients_schema()
    return Cast.of(frame, schema, targets=most_vulnerable(frame, schema, count=count))


@dataclass(frozen=True)
class Deaf:
    """A generator that does not look at its table."""

    rows: pd.DataFrame

    def __call__(
        self, table: pd.DataFrame, *, rows: int | None, rng: np.random.Generator
    ) -> pd.DataFrame:
        return SmoothedBootstrap(schema=patients_schema())(self.rows, rows=rows, rng=rng)


def test_without_influence_the_area_is_that_of_guessing(tmp_path):
    found = attacked(Deaf(patients_frame(80)), tmp_path, patients(), shadows=40)
    assert found.guessing.low < found.guessing.auc < found.guessing.high
    assert found.guessing.p_value > 0.05
    assert found.auc.low < 0.5 < found.auc.high
    assert [bound.lower for bound in found.bounds] == [0, 0, 0]


def test_an_over_fitted_generator_is_found_with_few_shadows(tmp_path):
    fit = SmoothedBootstrap(schema=patients_schema())
    found = attacked(fit, tmp_path, patients(), synthetic_rows=300, epsilon=1.0)
    assert found.auc.value > 0.9
    assert found.auc.low > found.cap
    assert found.guessing.p_value == 1e-4
    assert found.exceeds_claim


def test_few_rows_are_not_hidden_by_leaving_out_noise(tmp_path):
    """Exact one-way counts, which look harmless, against vulnerable records."""
    fit = ExactMarginals(schema=patients_schema())
    found = attacked(fit, tmp_path, patients(), synthetic_rows=300, shadows=40)
    assert found.guessing.p_value < 0.01


def test_a_method_that_keeps_its_claim_stays_below_the_cap(tmp_path):
    cast = Cast.of(wages(), SCHEMA, targets=np.arange(10))
    found = attacked(INDEPENDENT(schema=SCHEMA), tmp_path, cast, epsilon=1.0, shadows=24)
    assert found.auc.value < found.cap
    assert not found.exceeds_claim
    # Clustered by shadow, the area has a standard deviation of about 0.03.
    assert abs(found.auc.value - 0.5) < 0.15


@pytest.mark.parametrize("generator", ["independent", "exact-marginals"])
@pytest.mark.parametrize("bounds", ["public", "read off the rows"])
def test_a_value_outside_the_domain_is_seen_where_bounds_are_read_off_the_rows(
    tmp_path, generator, bounds
):
    frame = wages()
    frame.loc[0, "wage"] = 5_000
    frame.loc[1:9, "wage"] = 100  # others at the bound, where the target is clipped to
    cast = Cast.of(frame, SCHEMA, targets=np.array([0]))
    make = INDEPENDENT if generator == "independent" else ExactMarginals
    fit = make(schema=SCHEMA) if bounds == "public" else DataDomain(schema=SCHEMA, generator=make)
    found = attacked(fit, tmp_path, cast, shadows=32, coins="paired", maps=(Moments(),))
    if bounds == "public":
        assert abs(found.auc.value - 0.5) < 0.3
        assert found.guessing.p_value > 0.01
    else:
        assert found.auc.value > 0.97
        assert found.guessing.auc > 0.97
        assert found.guessing.p_value < 0.01  # eight pairs: 1/256 at least


def test_the_result_says_that_it_is_confidential(tmp_path):
    cast = patients(3)
    found = attacked(
        SmoothedBootstrap(schema=patients_schema()), tmp_path, cast, shadows=20, epsilon=2.0
    )
    assert found.summary().startswith("CONFIDENTIAL")
    assert repr(found) == "ShadowAttack('tested', confidential)"
    document = json.loads(found.to_json())
    assert document["disclosure"] == "internal"
    assert document["claim"] == {"epsilon": 2.0, "delta": 1e-5}
    assert len(document["curve"]["fpr"]) == len(document["curve"]["tpr"])
    assert sum(document["best_maps"].values()) == 3
    open_ended = replace(found, claim=Claim(epsilon=math.inf, delta=1e-5))
    assert json.loads(open_ended.to_json())["claim"]["epsilon"] is None
    assert "no ε is claimed" in open_ended.summary()
