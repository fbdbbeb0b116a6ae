"""Twins of private selection."""

from __future__ import annotations

import dataclasses

import pandas as pd

from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, Plan, PrivateSelection
from dpsynth.schema import Schema
from dpsynth.scoring import TwoWayScore
from dpsynth.selection import trial_count
from dpsynth.table import Table, conform


def _booked(plan: Plan) -> PrivateSelection:
    (event,) = plan.mechanisms
    assert isinstance(event, PrivateSelection)
    return event


def fixed_number(plan: Plan, noise: NoiseSource) -> int:
    """Runs as many trials as were expected: a grid, booked as a random number."""
    del noise
    return round(_booked(plan).mean_trials)


def cut_off(plan: Plan, noise: NoiseSource) -> int:
    """Never runs more than twice as many trials as were expected, to save time."""
    return min(trial_count(plan, noise), round(2 * _booked(plan).mean_trials))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BareScore(TwoWayScore):
    """Reads the score without noise: "only the winner is shown"."""

    def release(
        self,
        table: Table,
        synthetic: pd.DataFrame,
        *,
        rows: float,
        event: DiscreteGaussian,
        noise: NoiseSource,
    ) -> tuple[int, DiscreteGaussian]:
        del noise
        return self._error(table, conform(synthetic, table.schema), rows=rows)[0], event


class _Ranked(int):
    """A noisy score that is compared by an exact one."""

    exact: int

    def __lt__(self, other: object) -> bool:
        assert isinstance(other, _Ranked)
        return self.exact < other.exact


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RanksByTheExactError(TwoWayScore):
    """Shows noisy scores and chooses by the exact ones."""

    def release(
        self,
        table: Table,
        synthetic: pd.DataFrame,
        *,
        rows: float,
        event: DiscreteGaussian,
        noise: NoiseSource,
    ) -> tuple[int, DiscreteGaussian]:
        noisy, ran = TwoWayScore.release(
            self, table, synthetic, rows=rows, event=event, noise=noise
        )
        ranked = _Ranked(noisy)
        ranked.exact = self._error(table, conform(synthetic, table.schema), rows=rows)[0]
        return ranked, ran


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OneRowPerUnit(TwoWayScore):
    """Books the noise for one row, whatever a unit brings."""

    def event(
        self, schema: Schema, *, noise_multiplier: float, marginals: int | None = None
    ) -> DiscreteGaussian:
        single = dataclasses.replace(schema.unit, max_rows=1)
        return TwoWayScore.event(
            self,
            dataclasses.replace(schema, unit=single),
            noise_multiplier=noise_multiplier,
            marginals=marginals,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OneMarginal(TwoWayScore):
    """Books the noise of one marginal, however many are added up."""

    def event(
        self, schema: Schema, *, noise_multiplier: float, marginals: int | None = None
    ) -> DiscreteGaussian:
        del marginals
        return TwoWayScore.event(self, schema, noise_multiplier=noise_multiplier, marginals=1)
