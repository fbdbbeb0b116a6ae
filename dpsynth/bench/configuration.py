"""What a sweep consists of: tables, methods, budgets, repetitions, measures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from dpsynth.methods import METHODS
from dpsynth.sections import Fits

ATTACK = "attack"
"""The measure that attacks the synthetic table (:mod:`privacy_audits.attacks`)."""

ALL = "all"
"""Stands for everything that :func:`benchmarks.evaluate` measures, and the attack."""

DEFAULT_MEASURES = ("marginals", "prediction", ATTACK)

HOLDOUT = 0.3
MOST_HELD_OUT = 0.6
"""Two thirds of what is held out had a fair coin, one third serves as reference: of the table,
5/3 of the share takes part in the audit."""

Label = Annotated[
    str,
    Fits(
        lambda text: re.fullmatch(r"[^|\n\r]{1,80}", text) is not None,
        "of one line, at most 80 characters, without |",
    ),
]
Method = Annotated[
    str, Fits(lambda name: name in METHODS, f"among {', '.join(METHODS)}", f'"{METHODS[0]}"')
]
Whole = Annotated[int, Fits(lambda number: number > 0, "from 1")]
Positive = Annotated[float, Fits(lambda number: 0 < number < math.inf, "above 0")]
Share = Annotated[float, Fits(lambda share: 0 < share <= MOST_HELD_OUT, f"in (0, {MOST_HELD_OUT}]")]
Place = Annotated[
    Path,
    Fits(Path.exists, "where there is something, from the sweep file's folder", '"visits.csv"'),
]

PLACEHOLDERS = frozenset({"fit", "schema", "epsilon", "delta", "rows", "seed", "out"})
"""What a command may name in braces."""

REQUIRED = frozenset({"fit", "epsilon", "out"})
"""Without them it would not be a run of the sweep."""

BRACES = re.compile(r"\{(\w+)\}")


def _is_command(parts: tuple[str, ...]) -> bool:
    return REQUIRED <= {name for part in parts for name in BRACES.findall(part)} <= PLACEHOLDERS


Command = Annotated[
    tuple[str, ...],
    Fits(
        _is_command,
        f"(with {', '.join(f'{{{name}}}' for name in sorted(REQUIRED))}; braces may also hold "
        f"{', '.join(sorted(PLACEHOLDERS - REQUIRED))}; no shell reads it)",
        '["program", "{fit}", "{epsilon}", "{out}"]',
    ),
]

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

    label: Label
    kind: TableKind
    name: str = ""
    path: Place | None = None
    train: Place | None = None
    test: Place | None = None
    schema: Place | None = None
    n: Whole | None = None
    rows: Whole | None = None
    holdout: Share = HOLDOUT


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

    label: Label
    method: Method
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
    folder : Path
        Folder in which it runs: that of the sweep file.
    timeout : float
        Seconds after which a run is given up.
    environment : mapping of str to str
        Variables added to the environment.
    """

    label: Label
    command: Command
    claim: Label
    folder: Path
    timeout: Positive = 3600.0
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
