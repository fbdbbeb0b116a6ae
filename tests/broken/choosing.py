"""Twins of MST: its selection, its tables and what it books for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import combinations
from typing import Any
from unittest import mock

import numpy as np

from dpsynth.marginals import mst as mst_module
from dpsynth.marginals import select
from dpsynth.marginals.mst import CHOICE, MST
from dpsynth.marginals.select import Candidate, Edge, choice_event, grow_tree
from dpsynth.privacy import Exponential, PlannedCharge, PrivacyUnit
from tests.broken import marginal

Patched = Iterable[AbstractContextManager]

_weights, _choose = select._weights, select.choose


def sensitivity_of_one_row() -> Patched:
    """Scales scores to one row, whatever a unit brings."""

    def one_row(unit: PrivacyUnit) -> int:
        del unit
        return 1

    return [mock.patch.object(select, "score_sensitivity", one_row)]


def sensitivity_of_arriving_rows() -> Patched:
    """Forgets that under ``replace_one`` as many rows leave as arrive."""
    return [mock.patch.object(select, "score_sensitivity", marginal.arriving_rows_only)]


def squared_score() -> Patched:
    """Another score under the sensitivity of the first."""

    def squared(counts: np.ndarray, estimate: np.ndarray, *, penalty: float = 0.0) -> float:
        return float(np.sum((counts - estimate) ** 2)) / 100 - penalty

    return [mock.patch.object(mst_module, "pair_score", squared)]


def missing_half() -> Patched:
    """exp(ε q / Δ): right only if no unit raises one score and lowers another."""

    def weights(scores: Any, *, epsilon: float, sensitivity: int) -> list[int]:
        return _weights(scores, epsilon=2 * epsilon, sensitivity=sensitivity)

    return [mock.patch.object(select, "_weights", weights)]


def draws_sharper_than_stated() -> Patched:
    """States one law and draws from its square."""

    def choose(scores: Any, *, event: Exponential, **kw: Any) -> int:
        return _choose(scores, event=dataclasses.replace(event, epsilon=2 * event.epsilon), **kw)

    return [mock.patch.object(select, "choose", choose)]


def takes_the_best() -> Patched:
    """No draw at all: the best candidate wins."""

    def choose(scores: Any, **kw: Any) -> int:
        del kw
        return int(np.argmax(scores))

    return [mock.patch.object(select, "choose", choose)]


class _Twin(MST):
    """Fits with another ``_Fit`` than the real one."""

    fit_type: type[mst_module._Fit]

    def _fit_codes(self, codes: np.ndarray, unit_index: np.ndarray, **kw: Any) -> Any:
        with mock.patch.object(mst_module, "_Fit", self.fit_type):
            return super()._fit_codes(codes, unit_index, **kw)


class _ExactTotal(mst_module._Fit):
    def _score(self, edge: Edge, margins: Sequence[np.ndarray], tables: Mapping) -> float:
        total = margins[0].sum()
        scale = len(self._grouped) / total
        return super()._score(
            edge,
            [part * scale for part in margins],
            {pair: table * scale for pair, table in tables.items()},
        )


def exact_total() -> Patched:
    """``known_total=n``: the estimate moves with every unit, and with it all scores."""
    return [mock.patch.object(mst_module, "_Fit", _ExactTotal)]


class _WholeNoiseForEach(mst_module._Fit):
    def _measure(self, step: str, edges: Sequence[Edge]) -> None:
        measure = mst_module.measure_pairs

        def sharp(*args: Any, event: Any, **kw: Any) -> Any:
            less = dataclasses.replace(event, sigma=event.sigma / np.sqrt(event.count))
            return measure(*args, event=less, **kw)

        with mock.patch.object(mst_module, "measure_pairs", sharp):
            super()._measure(step, edges)


class TablesWithUnsplitNoise(_Twin):
    """Every table gets the noise that all of them together need: √k too little."""

    fit_type = _WholeNoiseForEach


class _UnpaidChoice(mst_module._Fit):
    def choose(self) -> tuple[Edge, ...]:
        event = choice_event(epsilon=1.0, rounds=len(self._nodes) - 1, unit=self._unit)
        margins, tables = self._settled()
        candidates = [
            Candidate(edge=edge, score=self._score(edge, margins, tables))
            for edge in combinations(self._nodes, 2)
        ]
        return grow_tree(self._nodes, candidates, event=event, unit=self._unit, noise=self._noise)


class ChoiceNotBooked(_Twin):
    """Chooses the tree from the rows and books the tables alone."""

    fit_type = _UnpaidChoice

    def _pairs_at(self, scale: float) -> tuple[PlannedCharge, ...]:
        return tuple(charge for charge in super()._pairs_at(scale) if charge.step != CHOICE)


class _MeasuredTwice(mst_module._Fit):
    def _measure(self, step: str, edges: Sequence[Edge]) -> None:
        super()._measure(step, edges)
        first = dict(self._noisy)
        super()._measure(step, edges)
        self.ran.pop()
        self._noisy = {
            edge: (table + first.get(edge, table)) // 2 for edge, table in self._noisy.items()
        }


class TablesBoughtTwice(_Twin):
    """Measures every table twice and pays once."""

    fit_type = _MeasuredTwice


class KnownTotal(_Twin):
    fit_type = marginal.KnownTotal


class GroupsByExactCounts(_Twin):
    fit_type = marginal.GroupsByExactCounts


class BestTree(_Twin):
    fit_type = marginal.BestTree
