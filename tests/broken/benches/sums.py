"""Benches of clipped sums: how far one unit moves them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dpsynth.neural.adversary import PairLoss
from dpsynth.neural.clipping import UnitClipper
from privacy_audits.conformance import difficult_units, removals, sensitivity
from tests.broken.benches.bench import Results, bench
from tests.privacy_audits import rigs


@bench(real=UnitClipper, runs="12 pairs of tables")
def clipped_sum(clipper: type[UnitClipper], seed: int) -> Results:
    yield from _clipped(clipper, seed, poisoned=False)


@bench(real=UnitClipper, runs="12 pairs of tables")
def poisoned_sum(clipper: type[UnitClipper], seed: int) -> Results:
    yield from _clipped(clipper, seed, poisoned=True)


def _clipped(clipper: type[UnitClipper], seed: int, *, poisoned: bool) -> Results:
    plain, *units = difficult_units(np.random.default_rng([1, seed]), rows=4, columns=5)
    chosen = [unit for unit in units if poisoned != bool(np.all(np.abs(unit) < 1e300))]
    for loss in (rigs.linear_loss, rigs.cubed):
        query = rigs.clipped(clipper, rows_per_unit=4, loss=loss)
        yield sensitivity(query, [([plain, unit], [plain]) for unit in chosen], bound=1.0)
        if not poisoned:
            # The heavier of two opposite units turns round what is bounded as a whole.
            opposite = [np.full((4, 5), 1e6), np.full((4, 5), -2e6)]
            yield sensitivity(query, removals(opposite), bound=1.0)


@bench(real=rigs.linear_loss, runs="7 pairs of tables")
def row_loss(loss: Callable, seed: int) -> Results:
    rng = np.random.default_rng([1, seed])
    units = [*rng.standard_normal((6, 2, 5)), np.full((2, 5), 30.0)]
    query = rigs.clipped(rows_per_unit=2, loss=loss)
    yield sensitivity(query, removals(units), bound=1.0)


@bench(real=PairLoss, runs="3 × 12 pairs of tables")
def pair_loss(loss: type[PairLoss], seed: int) -> Results:
    for scale in (0.2, 1.0, 3.0):
        yield from _pairs(rigs.pair_sum(loss, rows_per_unit=2, scale=scale, seed=4 + seed), seed)


@bench(real=UnitClipper, runs="12 pairs of tables")
def pair_clipper(clipper: type[UnitClipper], seed: int) -> Results:
    yield from _pairs(rigs.pair_sum(clipper=clipper, rows_per_unit=2, seed=4 + seed), seed)


def _pairs(query: Callable, seed: int) -> Results:
    units = rigs.pair_units(np.random.default_rng([5, seed]), rows=2, count=12)
    yield sensitivity(query, [(units[n:], units[n:-1]) for n in range(12)], bound=1.0)
