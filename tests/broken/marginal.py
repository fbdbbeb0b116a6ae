"""Twins of the selection, the tables and the fit of ``mst``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from dpsynth.marginals.groups import group_codes
from dpsynth.marginals.measure import count_pair
from dpsynth.marginals.mst import CHOICE, MST, _Fit
from dpsynth.marginals.select import Edge, choice_event, log_probabilities, pair_score
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, Plan, PlannedCharge, PrivacyUnit

Array = np.ndarray

# -- one draw --------------------------------------------------------------------------------------


def one_row_per_unit(unit: PrivacyUnit) -> int:
    """Sensitivity 1, whatever a unit brings, and under either relation."""
    del unit
    return 1


def arriving_rows_only(unit: PrivacyUnit) -> int:
    """Forgets that under ``replace_one`` as many rows leave as arrive."""
    return unit.max_rows


def without_the_half(scores: Array, *, epsilon: float, sensitivity: int) -> Array:
    """Weights exp(ε q / Δ): right for scores that can only grow, which a distance is not."""
    return log_probabilities(scores, epsilon=2 * epsilon, sensitivity=sensitivity)


def scaled_to_the_exact_total(table: Array, edge: Edge, estimate: Array) -> float:
    """``known_total = n``: the estimate is scaled to the rows that there are."""
    counts = count_pair(table, edge, _SIZES).ravel()
    return pair_score(counts, estimate * counts.sum() / estimate.sum())


def squared_distance(table: Array, edge: Edge, estimate: Array) -> float:
    """Another score under the same sensitivity."""
    counts = count_pair(table, edge, _SIZES).ravel()
    return float(np.sum((counts - estimate) ** 2) / 100)


def largest_score(scores: Array, *, epsilon: float, sensitivity: int) -> Array:
    """No draw at all: the best candidate."""
    del epsilon, sensitivity
    return np.where(np.arange(len(scores)) == np.argmax(scores), 0.0, -np.inf)


_SIZES = (3, 4, 2, 5)


# -- a whole fit -----------------------------------------------------------------------------------


class KnownTotal(_Fit):
    """Margins and estimates add up to the exact number of rows."""

    def __init__(self, model: MST, codes: Array, noise: NoiseSource) -> None:
        super().__init__(model, codes, noise)
        self._rows = float(len(codes))


class GroupsByExactCounts(_Fit):
    """Rare codes are merged by their exact counts."""

    def __init__(self, model: MST, codes: Array, noise: NoiseSource) -> None:
        super().__init__(model, codes, noise)
        codec = model._codec
        exact = {
            name: np.bincount(codes[:, column], minlength=size).astype(float)
            for column, (name, size) in enumerate(zip(codec.codes, codec.sizes, strict=True))
        }
        self.groups = group_codes(
            dataclasses.replace(codec, counts=exact),
            sigma=self._sigma,
            least_ordered=0.1,
            least_level=0.1,
        )
        self._sizes = [part.size for part in self.groups]
        self._grouped = np.stack(
            [part.of_code[codes[:, column]] for column, part in enumerate(self.groups)], axis=1
        )


class BestTree(_Fit):
    """The tree of the largest exact scores, booked as if it had been drawn."""

    def choose(self) -> tuple[Edge, ...]:
        event = self._event(CHOICE)
        self._plan = dataclasses.replace(
            self._plan,
            charges=tuple(
                dataclasses.replace(
                    charge, mechanism=dataclasses.replace(charge.mechanism, epsilon=1e6)
                )
                if charge.step == CHOICE
                else charge
                for charge in self._plan.charges
            ),
        )
        edges = super().choose()
        assert event is not None
        self.ran[-1] = PlannedCharge(step=CHOICE, mechanism=event)
        return edges


class NoiseOfOneTable(_Fit):
    """Every table has the noise that would do if it were the only one."""

    def _measure(self, step: str, edges: Sequence[Edge]) -> None:
        plan, event = self._plan, self._event(step)
        assert isinstance(event, DiscreteGaussian)
        less = dataclasses.replace(event, sigma=event.sigma / math.sqrt(len(edges)))
        self._plan = _with(plan, {step: less})
        super()._measure(step, edges)
        self._plan = plan
        self.ran[-1] = PlannedCharge(step=step, mechanism=event)


class DrawsNotCharged(_Fit):
    """Chooses by draws that are neither planned nor booked."""

    def choose(self) -> tuple[Edge, ...]:
        plan = self._plan
        event = choice_event(epsilon=0.5, rounds=len(self._nodes) - 1, unit=self._unit)
        self._plan = dataclasses.replace(
            plan, charges=(*plan.charges, PlannedCharge(step=CHOICE, mechanism=event))
        )
        edges = super().choose()
        self._plan = plan
        self.ran.pop()
        return edges


class TablesTwice(_Fit):
    """The first table is bought twice and booked once."""

    def _measure(self, step: str, edges: Sequence[Edge]) -> None:
        super()._measure(step, edges)
        booked = self.ran.pop()
        first = self._noisy[edges[0]]
        super()._measure(step, edges[:1])
        self.ran[-1] = booked
        self._noisy[edges[0]] = (self._noisy[edges[0]] + first) // 2


def plan_without_draws(plan: Plan) -> Plan:
    """The plan of somebody who holds that choosing costs nothing."""
    return dataclasses.replace(
        plan, charges=tuple(charge for charge in plan.charges if charge.step != CHOICE)
    )


def _with(plan: Plan, mechanisms: Mapping[str, DiscreteGaussian]) -> Plan:
    charges = tuple(
        PlannedCharge(step=c.step, mechanism=mechanisms.get(c.step, c.mechanism))
        for c in plan.charges
    )
    return dataclasses.replace(plan, charges=charges)
