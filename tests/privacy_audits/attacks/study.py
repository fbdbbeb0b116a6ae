"""How often fresh samples and copies are flagged: ``python -m tests.privacy_audits.attacks.study``.

Prints one line per table and twin: how many of the seeds broke a hard rule, showed copies at
p < 1e-7, refuted the claim at Holm-adjusted p < .01, or showed an influence of membership at
Holm-adjusted p < .001.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import dpsynth as dp
from privacy_audits.attacks import audit_table
from privacy_audits.estimate import holm
from tests.broken import copying
from tests.privacy_audits.attacks.tables import adult, mixture

TWINS = (
    copying.fresh_sample,
    copying.smoothed_bootstrap,
    copying.five_percent_near_copies,
    copying.one_percent_outlier_copies,
    copying.memorising_chain,
)
TABLES = {"mixture": mixture, "adult": adult}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--twin-seeds", type=int, default=10)
    parser.add_argument("--table", choices=TABLES, action="append")
    parser.add_argument("--epsilon", type=float, default=1.0)
    given = parser.parse_args()
    claim = dp.Budget(epsilon=given.epsilon, delta=1e-5)
    for make in (TABLES[name] for name in given.table or TABLES):
        for twin in TWINS:
            seeds = given.seeds if twin is copying.fresh_sample else given.twin_seeds
            if not seeds:
                continue
            hard = copies = refuted = influence = 0
            least, areas = 1.0, []
            start = time.process_time()
            for seed in range(seeds):
                tables = make(seed)
                audit = audit_table(
                    twin(tables, np.random.default_rng(seed + 100)),
                    tables.fitted,
                    tables.held_out,
                    tables.schema,
                    claim=claim,
                    rng=np.random.default_rng(seed),
                )
                smallest = holm(list(audit.p_no_influence.values())).min()
                hard += bool(audit.hard_violations)
                copies += bool(audit.certain_copies)
                refuted += holm(list(audit.p_values.values())).min() < 0.01
                influence += smallest < 0.001
                least = min(least, smallest)
                areas.append(audit.membership[0].auc.point)
            print(
                f"{make.__name__} {twin.__name__}: {seeds} seeds, hard {hard}, copies {copies}, "
                f"claim refuted {refuted}, influence {influence}, least p {least:.2g}, "
                f"distance AUC {np.mean(areas):.3f} ± {np.std(areas):.3f}, "
                f"{(time.process_time() - start) / seeds:.1f} s each",
                flush=True,
            )


if __name__ == "__main__":
    main()
