"""What an evaluation costs, part by part: ``python -m benchmarks.evaluation_cost``.

Three samples of one law stand for the tables; a quarter as many rows are held out as are fitted.
Nothing private is involved. Seconds of processor time are what to compare between machines and
days; those of the clock depend on what else is running.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.discretise import conform_tables
from benchmarks.evaluate import evaluate, parts
from dpsynth.schema import Schema

KINDS = (
    "real",
    "categorical",
    "integer",
    "categorical",
    "nullable",
    "ordinal",
    "skewed",
    "boolean",
)
"""Kinds of columns, in turn."""

_LEVELS = (40, 2, 12, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one part used.

    Parameters
    ----------
    part : str
        Its module.
    cpu, wall : float
        Seconds.
    """

    part: str
    cpu: float
    wall: float


def mixed_schema(columns: int) -> Schema:
    """Return a schema of so many columns of all kinds; the first is the target."""
    facts: dict[str, dict[str, Any]] = {"target": {"kind": "boolean", "role": "target"}}
    levels = itertools.cycle(_LEVELS)
    for place in range(1, columns):
        kind = KINDS[place % len(KINDS)]
        fact: dict[str, Any] = {"kind": kind}
        if kind in ("categorical", "ordinal"):
            fact["categories"] = [f"level {i}" for i in range(next(levels))]
        elif kind != "boolean":
            fact = {"kind": "integer" if kind == "integer" else "real", "bounds": [-20, 1000]}
            fact["missing"] = kind == "nullable"
        facts[f"c{place}"] = fact
    return Schema.from_dict(
        {
            "table": {"name": "mixed"},
            "columns": {name: {"source": "made up", **fact} for name, fact in facts.items()},
        }
    )


def mixed_frame(schema: Schema, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return a sample of a law in which all columns follow one hidden number."""
    hidden = rng.normal(size=rows)
    out: dict[str, Any] = {}
    for place, column in enumerate(schema.columns):
        x = (hidden + rng.normal(size=rows)) / np.sqrt(2.0)
        kind = KINDS[place % len(KINDS)] if place else "boolean"
        if kind == "boolean":
            out[column.name] = x > 0.5
        elif kind in ("categorical", "ordinal"):
            levels = np.array(column.levels[:-1], dtype=object)
            chosen = (0.5 * (1.0 + np.tanh(x)) * len(levels)).astype(np.int64)
            out[column.name] = levels[np.minimum(len(levels) - 1, chosen)]
        else:
            number = np.exp(1.5 * x) if kind == "skewed" else 40.0 + 10.0 * x
            number = np.round(number) if kind == "integer" else number
            out[column.name] = np.where(
                (rng.random(rows) < 0.1) & (kind == "nullable"), np.nan, number
            )
    return pd.DataFrame(out)


def costs(rows: int, columns: int, *, seed: int = 0) -> list[Cost]:
    """Evaluate a table of ``rows`` × ``columns`` and return what each part used."""
    schema = mixed_schema(columns)
    rng = np.random.default_rng(seed)
    frames = [mixed_frame(schema, n, rng) for n in (rows, rows, max(2, rows // 4))]
    # What modules cost when they are loaded is no part of an evaluation.
    evaluate(*(frame.head(200) for frame in frames), schema=schema, seed=seed)
    out: list[Cost] = []
    with _timed("conform", out):
        tables = conform_tables(*frames, schema=schema, seed=seed)
    for number, part in enumerate(parts()):
        with _timed(part.__name__.rpartition(".")[2], out):
            part.measure(tables, rng=np.random.default_rng([seed, number]))
    return out


@contextmanager
def _timed(part: str, out: list[Cost]) -> Iterator[None]:
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    out.append(Cost(part=part, cpu=time.process_time() - cpu, wall=time.perf_counter() - wall))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print seconds by part and the peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    found = costs(chosen.rows, chosen.columns, seed=chosen.seed)
    print(f"{'part':<20}{'CPU s':>9}{'wall s':>9}")
    total = Cost(part="all", cpu=sum(c.cpu for c in found), wall=sum(c.wall for c in found))
    for cost in [*found, total]:
        print(f"{cost.part:<20}{cost.cpu:>9.2f}{cost.wall:>9.2f}")
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(f"peak memory {peak / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
