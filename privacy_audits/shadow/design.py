"""What a shadow attack runs: how many fits, on which rows, and who tosses the coins."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import UsageError
from dpsynth.privacy import canonical_json
from dpsynth.schema import Schema

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

FEWEST_SHADOWS = 10

_WORDS = {
    "base": ("fixed", "drawn"),
    "coins": ("fair", "paired"),
    "absent": ("removed", "replaced"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowDesign:
    """Public facts of an attack; the rows enter as arguments only.

    Parameters
    ----------
    generator : str
        What is attacked, with all of its settings, in words. A fit cannot be compared with another
        one, so that kept shadows are told apart by this text.
    shadows : int
        Number of fits, even.
    base_rows : int
        Rows of every table apart from the targets.
    base : {"fixed", "drawn"}
        ``"fixed"``: the same rows for all shadows, so that the attacker knows everything but the
        targets. ``"drawn"``: every shadow draws its own from the population, so that the attacker
        knows rows like those of the table.
    synthetic_rows : int, optional
        Rows that every shadow generates; by default as many as the generator pleases.
    coins : {"fair", "paired"}
        ``"fair"``: every target is in a shadow by a coin of its own. ``"paired"``: shadows come in
        pairs of which exactly one holds the target, so that both sides are equally large.
    absent : {"removed", "replaced"}
        Whether a row of the population stands in for an absent target: ``"removed"`` is the game of
        add/remove guarantees, ``"replaced"`` that of replace-one guarantees.
    seed : int
        Of coins, rows, fits and features. Every shadow has streams of its own, derived from its
        number: neither order nor parallelism changes a result.
    """

    generator: str
    shadows: int
    base_rows: int
    base: Literal["fixed", "drawn"] = "fixed"
    synthetic_rows: int | None = None
    coins: Literal["fair", "paired"] = "fair"
    absent: Literal["removed", "replaced"] = "removed"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shadows < FEWEST_SHADOWS or self.shadows % 2:
            raise UsageError(
                f"shadows must be even and at least {FEWEST_SHADOWS}, got {self.shadows}."
            )
        least = {"base_rows": 1, "synthetic_rows": 1, "seed": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise UsageError(f"{name} must be at least {bound}, got {value}.")
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise UsageError(f"{name} must be one of {', '.join(words)}.")

    def generator_of(self, purpose: str, shadow: int = 0) -> np.random.Generator:
        """Return the stream of one shadow for one purpose."""
        key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "big")
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(key, shadow)))

    def members(self, targets: int) -> BoolArray:
        """Return which targets are in which shadow, shape (n_shadows, n_targets)."""
        if self.coins == "fair":
            return self._tosses(self.shadows, targets)
        first = self._tosses(self.shadows // 2, targets)
        return np.stack([first, ~first], axis=1).reshape(self.shadows, targets)

    def _tosses(self, rounds: int, targets: int) -> BoolArray:
        tosses = [self.generator_of("coins", number).random(targets) for number in range(rounds)]
        return np.array(tosses).reshape(rounds, targets) < 0.5

    def table(self, cast: Cast, present: BoolArray, *, shadow: int) -> pd.DataFrame:
        """Return the rows that one shadow is fitted to, in random order.

        Parameters
        ----------
        cast : Cast
            Population and targets.
        present : ndarray of bool, shape (n_targets,)
            The shadow's row of :meth:`members`.
        shadow : int
            Its number.
        """
        rng = self.generator_of("rows", shadow)
        order = self.generator_of("base", 0 if self.base == "fixed" else shadow + 1).permutation(
            len(cast.population)
        )
        base, spare = order[: self.base_rows], order[self.base_rows :]
        rows = [cast.population.iloc[base], cast.targets[present]]
        if self.absent == "replaced":
            stand_ins = rng.choice(spare, size=int((~present).sum()), replace=False)
            rows.append(cast.population.iloc[stand_ins])
        table = pd.concat(rows, ignore_index=True)
        return table.iloc[rng.permutation(len(table))].reset_index(drop=True)

    def digest(self, cast: Cast, features: Sequence[object]) -> str:
        """SHA-256 of everything that kept shadows depend on.

        Parameters
        ----------
        cast : Cast
            The rows; their content enters the digest.
        features : sequence
            Feature maps; their ``repr`` names all of their settings.
        """
        parts = {
            "design": asdict(self),
            "schema": cast.schema.digest(),
            "population": _content(cast.population),
            "targets": _content(cast.targets),
            "features": [repr(feature) for feature in features],
        }
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Cast:
    """The rows of an attack: sensitive. Make one with :meth:`of`.

    Parameters
    ----------
    schema : Schema
        Public facts.
    population : DataFrame
        Rows that are no targets.
    targets : DataFrame, shape (n_targets, n_columns)
        Rows whose membership is guessed.
    """

    schema: Schema
    population: pd.DataFrame
    targets: pd.DataFrame

    @classmethod
    def of(cls, table: pd.DataFrame, schema: Schema, *, targets: IntArray) -> Self:
        """Split a table by the positions of the targets.

        Raises
        ------
        UsageError
            If a position is named twice, is none, or none is named.
        """
        chosen = np.zeros(len(table), dtype=bool)
        if len(targets) and 0 <= targets.min() and targets.max() < len(table):
            chosen[targets] = True
        if not len(targets) or chosen.sum() != len(targets):
            raise UsageError("targets must be different positions of the table, at least one.")
        names = [column.name for column in schema.columns]
        return cls(
            schema=schema,
            population=table.loc[~chosen, names].reset_index(drop=True),
            targets=table[names].iloc[targets].reset_index(drop=True),
        )

    def __repr__(self) -> str:
        return f"Cast({self.schema.name!r})"


def _content(frame: pd.DataFrame) -> str:
    return hashlib.sha256(frame.to_csv(index=False).encode("utf-8", "replace")).hexdigest()
