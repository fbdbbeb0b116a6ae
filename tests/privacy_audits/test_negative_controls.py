"""Releases that are not differentially private are flagged, a fresh sample is not.

The tables are those on which single attacks are tested; here the whole audit has to speak.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.evidence import Verdict
from privacy_audits.audit import audit
from privacy_audits.report import AuditReport
from tests.broken import copying
from tests.privacy_audits.attacks.tables import Tables, mixture

CLAIM = dp.Budget(epsilon=1.0, delta=1e-5)
TWINS = {
    "smoothed bootstrap": copying.smoothed_bootstrap,
    "5% near copies": copying.five_percent_near_copies,
    "1% copies of outliers": copying.one_percent_outlier_copies,
    "over-fitted generator": copying.memorising_chain,
}


def audited(make: Callable[[Tables, np.random.Generator], pd.DataFrame], seed: int) -> AuditReport:
    tables = mixture(seed)
    synthetic = make(tables, np.random.default_rng(seed))
    return audit(synthetic, tables.fitted, tables.held_out, tables.schema, claim=CLAIM, seed=seed)


@pytest.mark.parametrize("name", sorted(TWINS))
def test_the_control_is_flagged(name: str) -> None:
    report = audited(TWINS[name], 0)
    assert report.verdict in (Verdict.FAIL, Verdict.REVIEW)
    assert {"DPS422", "DPS423", "DPS434"} & {f.code for f in report.decision.findings}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fresh_sample_is_not(seed: int) -> None:
    # Coins are fixed, so that this does not fail by chance.
    report = audited(copying.fresh_sample, seed)
    assert report.verdict == Verdict.INCONCLUSIVE
    assert [f.code for f in report.decision.findings] == ["DPS443"]
