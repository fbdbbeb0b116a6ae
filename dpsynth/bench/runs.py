"""The runs of a sweep: one fit, one sample, its figures."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dpsynth import __version__
from dpsynth.bench.configuration import ALL, ATTACK, CommandSpec, MethodSpec, Sweep
from dpsynth.bench.material import Material, prepare
from dpsynth.errors import UsageError
from dpsynth.privacy import Budget, canonical_json
from privacy_audits.attacks import LEAST

FORMAT = "dpsynth.bench/1"


@dataclass(frozen=True, kw_only=True, repr=False)
class Run:
    """One fit by one method under one budget.

    Parameters
    ----------
    material : Material
        The table, split.
    method : MethodSpec or CommandSpec
        What is fitted.
    budget : Budget
        What it may spend; everything is charged.
    seed : int
        The repetition.
    measures : tuple of str
        What is measured.
    """

    material: Material
    method: MethodSpec | CommandSpec
    budget: Budget
    seed: int
    measures: tuple[str, ...]

    def identity(self) -> dict[str, Any]:
        """Return everything on which the figures depend; labels are not part of it."""
        return {
            "format": FORMAT,
            "dpsynth": __version__,
            "table": self.material.digest,
            "method": self.method.identity(),
            "epsilon": self.budget.epsilon,
            "delta": self.budget.delta,
            "seed": self.seed,
            "measures": list(self.measures),
        }

    @cached_property
    def digest(self) -> str:
        """Name of the run: SHA-256 of its identity."""
        return hashlib.sha256(canonical_json(self.identity()).encode()).hexdigest()[:32]

    def __str__(self) -> str:
        return (
            f"{self.material.label}, {self.method.label}, ε = {self.budget.epsilon:g}, "
            f"seed {self.seed}"
        )


def planned(sweep: Sweep, folder: Path) -> list[Run]:
    """Return all runs, whole repetitions one after another.

    Parameters
    ----------
    sweep : Sweep
        What to run.
    folder : path
        Receives the tables.

    Raises
    ------
    DataError, SchemaError, UsageError
        If a table cannot be read or does not fit its schema, or holds out too few units for the
        attack that is asked for.
    """
    tables = {
        (seed, spec.label): prepare(spec, seed=seed, folder=folder)
        for seed, spec in itertools.product(sweep.seeds, sweep.tables)
    }
    if ATTACK in sweep.measures or ALL in sweep.measures:
        _require_audits(tables.values())
    return [
        Run(
            material=tables[seed, spec.label],
            method=method,
            budget=Budget(epsilon=epsilon, delta=sweep.delta),
            seed=seed,
            measures=sweep.measures,
        )
        for seed, spec, epsilon, method in itertools.product(
            sweep.seeds, sweep.tables, sweep.epsilons, sweep.methods
        )
    ]


def _require_audits(tables: Iterable[Material]) -> None:
    """Refuse before anything is fitted what no audit could judge."""
    small = dict.fromkeys(table.label for table in tables if table.least < LEAST)
    if small:
        raise UsageError(
            f"too few units for an attack: {', '.join(small)}.",
            code="DPS532",
            fix=f"at least {LEAST} must be fitted, held out, and held out as reference: hold out "
            "more, take more rows, or leave the attack out of the measures.",
        )
