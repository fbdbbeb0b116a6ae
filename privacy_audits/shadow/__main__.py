"""``python -m privacy_audits.shadow FOLDER -m METHOD -o OUT``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from dpsynth.errors import DPSynthError, UsageError
from dpsynth.files import write_bytes
from dpsynth.methods import METHODS
from dpsynth.privacy import Budget, NeighbouringRelation
from dpsynth.schema import Schema
from dpsynth.table import read_frame
from privacy_audits.shadow.attack import Claim, attack
from privacy_audits.shadow.design import Cast, ShadowDesign
from privacy_audits.shadow.generators import DataDomain, ExactMarginals, Method, SmoothedBootstrap
from privacy_audits.shadow.runs import Fit, run_shadows
from privacy_audits.vulnerable import most_vulnerable

CONTROLS = {"exact-marginals": ExactMarginals, "smoothed-bootstrap": SmoothedBootstrap}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an attack and print what it found; return the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        schema = Schema.read(chosen.schema or chosen.folder / "schema.toml")
        table = read_frame(chosen.folder / "train.csv")
        cast = _cast(table, schema, chosen)
        fit, design = _plan(schema, chosen)
        chosen.output.mkdir(parents=True, exist_ok=True, mode=0o700)
        runs = run_shadows(
            fit, cast, design, chosen.output / "shadows", n_jobs=chosen.jobs, progress=_tell
        )
        is_control = chosen.method in CONTROLS
        claim = Claim(epsilon=math.inf if is_control else chosen.epsilon, delta=chosen.delta)
        found = attack(runs, claim=claim, rng=design.generator_of("attack"))
        path: Path = chosen.output / "attack.json"
        write_bytes(path, found.to_json().encode(), mode=0o600, replace=True)
    except DPSynthError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(found.summary())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m privacy_audits.shadow",
        description="Membership attack with shadow fits, for research. The result is confidential.",
    )
    parser.add_argument("folder", type=Path, help="holds train.csv and schema.toml")
    parser.add_argument("-o", "--output", type=Path, required=True, help="confidential folder")
    parser.add_argument("-m", "--method", required=True, choices=[*METHODS, *CONTROLS])
    parser.add_argument("--schema", type=Path, help="instead of the folder's schema.toml")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--shadows", type=int, default=64)
    parser.add_argument("--targets", type=int, default=20)
    parser.add_argument("--pick", choices=("vulnerable", "random"), default="vulnerable")
    parser.add_argument("--pool", type=int, default=5_000, help="rows of the table that take part")
    parser.add_argument("--rows", type=int, default=1_000, help="rows of a fit besides targets")
    parser.add_argument("--base", choices=("fixed", "drawn"), default="fixed")
    parser.add_argument("--synthetic-rows", type=int, help="by default, as many as a fit has rows")
    parser.add_argument(
        "--data-bounds", action="store_true", help="read bounds off the rows before each fit"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, help="processes; 1, or what joblib is told")
    return parser


def _cast(table: pd.DataFrame, schema: Schema, chosen: argparse.Namespace) -> Cast:
    """Draw the rows that take part, and the targets among them."""
    if chosen.targets < 1 or chosen.pool < 1:
        raise UsageError("targets and pool must be at least 1.")
    rng = np.random.default_rng([chosen.seed, 1])
    pool = table.iloc[np.sort(rng.permutation(len(table))[: chosen.pool])].reset_index(drop=True)
    if chosen.pick == "random":
        targets = rng.permutation(len(pool))[: chosen.targets]
    else:
        targets = most_vulnerable(pool, schema, count=chosen.targets)
    return Cast.of(pool, schema, targets=targets)


def _plan(schema: Schema, chosen: argparse.Namespace) -> tuple[Fit, ShadowDesign]:
    """Return the generator and the design; the text names every setting of the generator."""
    rows = chosen.rows + chosen.targets // 2
    if chosen.method in CONTROLS:
        text, make = chosen.method, CONTROLS[chosen.method]
    else:
        budget = Budget(epsilon=chosen.epsilon, delta=chosen.delta)
        text = (
            f"{chosen.method}, ε = {chosen.epsilon!r}, δ = {chosen.delta!r}, {rows} rows declared"
        )
        make = partial(Method, method=chosen.method, budget=budget, declared_rows=rows)
    if chosen.data_bounds:
        text += ", bounds read off the rows"
        fit: Fit = DataDomain(schema=schema, generator=make)
    else:
        fit = make(schema=schema)
    replaces = schema.unit.relation == NeighbouringRelation.REPLACE_ONE
    design = ShadowDesign(
        generator=text,
        shadows=chosen.shadows,
        base_rows=chosen.rows,
        base=chosen.base,
        synthetic_rows=chosen.synthetic_rows or rows,
        absent="replaced" if replaces else "removed",
        seed=chosen.seed,
    )
    return fit, design


def _tell(done: int, of: int) -> None:
    print(f"\r{done}/{of} shadows", end="\n" if done == of else "", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
