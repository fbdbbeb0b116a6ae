"""Benches of what leaves the house: a released table under all attacks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dpsynth.privacy import Budget
from privacy_audits.attacks import audit_table
from privacy_audits.conformance import ALPHA, Conformance
from tests.broken import copying
from tests.broken.benches.bench import Results, bench
from tests.privacy_audits.attacks.tables import mixture

CLAIM = Budget(epsilon=1.0, delta=1e-5)
ROWS = 2000


@bench(real=copying.fresh_sample, runs="1 table of 2,000 rows")
def released_table(release: Callable, seed: int) -> Results:
    """Copies, hard rules, and the smallest p-value of all attacks against the cap of ε = 1.

    The real part owes nothing to the fitted rows, so that any certain copy of one is an alarm.
    """
    tables = mixture(seed, n=ROWS)
    audit = audit_table(
        release(tables, np.random.default_rng([11, seed])),
        tables.fitted,
        tables.held_out,
        tables.schema,
        claim=CLAIM,
        rng=np.random.default_rng([12, seed]),
    )
    yield Conformance(
        name="copies",
        statistic=float(sum(g.hard and g.certain for g in audit.gaps)),
        threshold=0.0,
        meaning="rules on copies at which fitted rows stand out from held-out ones, at p < 1e-7",
    )
    yield Conformance(
        name="hard rules",
        statistic=float(len(audit.hard_violations)),
        threshold=0.0,
        meaning="hard rules that are broken: copies, values outside the domain, refuted claims",
    )
    found = [m.p_exact for m in audit.membership if m.p_exact is not None]
    found += [g.p_value for g in audit.gaps if g.p_value is not None]
    yield Conformance(
        name="attacks",
        statistic=float(max(m.auc.point for m in audit.membership)),
        p_value=min(1.0, len(found) * min(found)),
        threshold=ALPHA,
        meaning="largest area under a ROC curve; p-value of the claim, over all attacks",
    )
