"""What a sweep consists of: tables, methods, budgets, repetitions, measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ATTACK = "attack"
"""The measure that attacks the synthetic table (:mod:`privacy_audits.attacks`)."""

ALL = "all"
"""Stands for everything that :func:`benchmarks.evaluate` measures, and the attack."""

DEFAULT_MEASURES = ("marginals", "prediction", ATTACK)

HOLDOUT = 0.3
MOST_HELD_OUT = 0.6
"""Two thirds of what is held out had a fair coin, one third serves as reference: of the table,
5/3 of the share takes part in the audit."""

TableKind = Literal["simulator", "sklearn", "statsmodels", "csv", "folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A public table.

    Parameters
    ----------
    label : str
        Its name in the results.
    kind : {"simulator", "sklearn", "statsmodels", "csv", "folder"}
        Where it comes from.
    name : str
        Name of a built-in table; empty for files.
    path : Path or None
        Folder, or file with all rows.
    train, test : Path or None
        Files with rows to fit and rows that no fit may see.
    schema : Path or None
        Schema file, or a ``spec.json``, of CSV files.
    n : int or None
        Rows to simulate.
    rows : int or None
        Most rows to use, whole units at random; for files with test rows, of the rows to fit.
    holdout : float
        Chance of every unit to be held out, where the sweep splits the table.
    """

    label: str
    kind: TableKind
    name: str = ""
    path: Path | None = None
    train: Path | None = None
    test: Path | None = None
    schema: Path | None = None
    n: int | None = None
    rows: int | None = None
    holdout: float = HOLDOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSpec:
    """One of our methods: its guarantee is proved and charged.

    Parameters
    ----------
    label : str
        Its name in the results.
    method : str
        Name of the method.
    settings : mapping
        Settings of the method, or of its codec, that are not the defaults.
    """

    label: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def guarantee(self) -> str:
        """What stands behind its ε."""
        return "proved"

    def identity(self) -> dict[str, Any]:
        """Return what makes it the method that it is, for the digest of a run."""
        return {"method": self.method, "settings": dict(self.settings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A peer: a command that is run in an environment of its own.

    Parameters
    ----------
    label : str
        Its name in the results.
    command : tuple of str
        Program and arguments with placeholders.
    claim : str
        The guarantee that the peer claims; nothing here proves it.
    timeout : float
        Seconds after which a run is given up.
    folder : Path
        Folder in which it runs: that of the sweep file.
    environment : mapping of str to str
        Variables added to the environment.
    """

    label: str
    command: tuple[str, ...]
    claim: str
    timeout: float
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def guarantee(self) -> str:
        """What stands behind its ε."""
        return f"claimed: {self.claim}"

    def identity(self) -> dict[str, Any]:
        """Return what makes it the peer that it is, for the digest of a run."""
        return {"command": list(self.command), "environment": dict(self.environment)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Everything that is run.

    Parameters
    ----------
    tables : tuple of TableSpec
        Public tables.
    methods : tuple of MethodSpec or CommandSpec
        Methods and peers, in the order of legends.
    epsilons : tuple of float
        ε of the budgets, ascending.
    delta : float
        δ of all budgets.
    seeds : tuple of int
        One repetition each: another split of the table, and the peers' seed. The noise of our
        methods comes from the system and cannot be repeated.
    measures : tuple of str
        Families of :mod:`benchmarks` and :data:`ATTACK`, or :data:`ALL` alone.
    jobs : int
        Processes.
    """

    tables: tuple[TableSpec, ...]
    methods: tuple[MethodSpec | CommandSpec, ...]
    epsilons: tuple[float, ...]
    delta: float
    seeds: tuple[int, ...]
    measures: tuple[str, ...] = DEFAULT_MEASURES
    jobs: int = 1
