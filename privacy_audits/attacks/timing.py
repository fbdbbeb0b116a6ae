"""How long the attacks take: ``python -m privacy_audits.attacks.timing FIT HOLDOUT SCHEMA``.

The held-out rows that the attacks do not need stand in for a released table of any quality: time
does not depend on what is found. Prints seconds of processor time, nothing about the rows.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from dpsynth.files import read_frame
from dpsynth.privacy import Budget
from dpsynth.schema import Schema
from privacy_audits.attacks.battery import TARGETS, audit_table


def main() -> None:
    """Time one audit."""
    parser = argparse.ArgumentParser(description="processor time of all attacks on one table")
    parser.add_argument("fit", help="rows that were fitted")
    parser.add_argument("holdout", help="rows that were held out")
    parser.add_argument("schema", help="schema.toml")
    parser.add_argument("--synthetic", help="released table; held-out rows without it")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    schema, rng = Schema.read(given.schema), np.random.default_rng(given.seed)
    fit, holdout = read_frame(given.fit), read_frame(given.holdout)
    synthetic = holdout.iloc[2 * TARGETS :]
    if given.synthetic is not None:
        synthetic = read_frame(given.synthetic)
    start, wall = time.process_time(), time.perf_counter()
    audit_table(
        synthetic,
        fit,
        holdout.iloc[: 2 * TARGETS],
        schema,
        claim=Budget(epsilon=1.0, delta=1e-5),
        rng=rng,
    )
    print(f"{time.process_time() - start:.2f} s processor time")
    print(f"{time.perf_counter() - wall:.2f} s on the clock")


if __name__ == "__main__":
    main()
