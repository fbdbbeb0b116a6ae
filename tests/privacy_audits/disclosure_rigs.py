"""How the purchase of headline figures is put on the bench of ``privacy_audits.conformance``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from unittest import mock

import numpy as np
import pandas as pd

import dpsynth as dp
from benchmarks.disclosure import evaluate_dp, evaluation_plan
from benchmarks.disclosure import headline as module
from benchmarks.disclosure.bought import BoughtReport
from benchmarks.disclosure.headline import Headline
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Plan
from dpsynth.table import conform, load
from dpsynth.transcript import Transcript
from privacy_audits.conformance import CoupledNoise, Tape
from tests.conftest import BUDGET, open_ledger, patients_frame
from tests.privacy_audits.rigs import one_more_patient, taped_counts

Array = np.ndarray
Pair = tuple[pd.DataFrame, pd.DataFrame]

SYNTHETIC = patients_frame(40, seed=7)
"""Like the rows."""


def one_kind(n: int, *, patient: object, **other: object) -> pd.DataFrame:
    """Rows that are all alike."""
    alike = {
        "sex": "F", "ward": "a", "grade": "low", "age": 10, "stay": 2.0,
        "admitted": pd.Timestamp("2021-01-05"), "died": False,
    }  # fmt: skip
    return pd.DataFrame([{"patient": patient, **alike, **other}] * n)


FAR = one_kind(5, patient="nobody", age=100, stay=80.0, sex="M", ward="b", died=True)
"""Unlike all rows."""


def neighbours(relation: str) -> Iterator[tuple[Pair, pd.DataFrame]]:
    """Pairs of tables, and the synthetic table to compare them with."""
    for rows in (1, 3, 9):
        yield one_more_patient(rows), SYNTHETIC
    base = patients_frame(60).astype({"patient": object})
    here, there = one_kind(3, patient="x"), FAR.head(3).assign(patient="x")
    if relation == "replace_one":
        pair = tuple(pd.concat([base, unit], ignore_index=True) for unit in (here, there))
        yield pair, FAR  # type: ignore[misc]
    else:
        yield (pd.concat([base, here], ignore_index=True), base), FAR


def exact(
    headline: Headline, schema: dp.Schema, synthetic: pd.DataFrame, *, rows: int
) -> Callable[[pd.DataFrame], Array]:
    """The exact queries."""
    drawn = conform(synthetic, schema)

    def query(frame: pd.DataFrame) -> Array:
        table = load(frame, schema, rng=CoupledNoise(seed=5).generator)
        return np.array([*headline.exact(table, drawn, rows=rows).values()], dtype=float)

    return query


def release(headline: Headline, schema: dp.Schema, *, sigma: float) -> Callable[[Array], Array]:
    """The releases of figures whose exact values are given, four at a time."""
    table = load(patients_frame(30), schema, rng=np.random.default_rng(0))
    charges = headline.charges(schema, sigma=sigma)
    drawn, noise = conform(SYNTHETIC, schema), NoiseSource.from_entropy()
    names = headline.queries(schema)
    step = (2 if schema.unit.relation == "replace_one" else 1) * schema.unit.max_rows / 2

    def noisy(values: Array) -> Array:
        out = []
        for four in values.reshape(-1, len(names)).astype(int).tolist():
            given = dict(zip(names, four, strict=True))
            with mock.patch.object(Headline, "exact", return_value=given):
                found, _ = headline.release(table, drawn, charges=charges, noise=noise)
            out += [found.distances[name] / step - 0.5 for name in names]
        return np.array(out)

    return noisy


def purchase(
    headline: Headline,
    schema: dp.Schema,
    frame: pd.DataFrame,
    *,
    noise: NoiseSource,
) -> BoughtReport:
    """A whole purchase."""
    return evaluate_dp(
        SYNTHETIC,
        frame,
        schema,
        ledger=open_ledger(schema, BUDGET),
        dataset="patients",
        epsilon=BUDGET.epsilon,
        noise=noise,
        headline=headline,
    )


def plan_of(headline: Headline, schema: dp.Schema) -> Plan:
    """What a purchase plans."""
    return evaluation_plan(schema, BUDGET, headline=headline)


def purchase_run(
    headline: Headline, schema: dp.Schema
) -> Callable[[pd.DataFrame, Tape], Mapping[str, object]]:
    """A purchase with its releases on a tape, and everything that is shown afterwards."""

    def run(frame: pd.DataFrame, tape: Tape) -> Mapping[str, object]:
        with mock.patch.object(module, "release_counts", taped_counts(tape)):
            report = purchase(headline, schema, frame, noise=CoupledNoise(seed=2))
        document = report.to_dict()
        paid = {k: v for k, v in document["paid"].items() if k != "ledger"}
        return {
            **document,
            "created": None,
            "paid": paid,
            "text": str(report),
            "repr": repr(report),
            "frame": report.frame().to_csv(),
        }

    return run


def transcript_of(headline: Headline, schema: dp.Schema, *, seed: int | None = 1) -> Transcript:
    """What a purchase released."""
    transcript = Transcript()
    noise = NoiseSource.audited(transcript, seed=seed)
    purchase(headline, schema, patients_frame(90), noise=noise)
    return transcript
