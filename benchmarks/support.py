"""Support: combinations of two columns that were invented, and those that were dropped.

Total variation weighs a cell by its rows; a table may do well in it and still hold pairs that no
person has, or have lost a small group altogether. The floor is what held-out rows do.

Intervals are approximate: whether a cell is empty is no smooth function of counts. Where many small
cells add up they cover in 99 of 100 simulated samples. Where every level is kept, whichever group
is left out, ``recall`` has an interval of no width, and says nothing about levels that are rare.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.counting import Counter, Marginal, references, subsets
from benchmarks.discretise import Conformed, Tables
from benchmarks.marginals import MOST_PAIRS
from benchmarks.replicates import Replicated, mean
from benchmarks.report import Metric, Section, Worst

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

COMMON = 10
"""Rows from which on a level should not be lost."""

_SHOWN = 5
_OTHERS: tuple[str, ...] = ("holdout", "independent", "uniform")


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Measure the mass of cells that the other table does not have, over up to 500 pairs.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws pairs and the rows of the matched comparison.

    Notes
    -----
    Independent columns invent most and drop next to nothing, so that the landmark of what was
    dropped is the uniform table. ``support.recall`` has none: a uniform table has every level.
    """
    pairs = subsets(len(tables.columns), 2, MOST_PAIRS, rng)
    matched = min(len(tables.synthetic), len(tables.holdout))
    cut = {
        name: getattr(tables, name).draw(matched, rng)
        for name in ("synthetic", "holdout", "independent", "uniform")
    }
    metrics = [_recall(tables, rng)]
    worst: dict[str, tuple[Worst, ...]] = {}
    if pairs:
        counter = Counter({"fit": tables.fit, **cut}, sizes=tables.sizes)
        rows = [_masses(counter.marginal(pair)) for pair in pairs]
        for name, landmark in (("invented", "independent"), ("dropped", "uniform")):
            whole, real, made, *others = (
                np.array(part).T for part in zip(*(row[name] for row in rows), strict=True)
            )
            beside: dict[str, FloatArray] = dict(zip(_OTHERS, others, strict=True))
            floor = beside["holdout"]
            metrics.append(
                Replicated(whole=whole, sides=(real, made)).metric(
                    f"support.{name}",
                    mean,
                    floor=floor,
                    references=beside,
                    landmark=landmark,
                    n=matched,
                )
            )
            order = np.argsort(floor - whole, kind="stable")[:_SHOWN]
            worst[f"support.{name}"] = tuple(
                Worst(columns=tables.names(pairs[k]), value=float(whole[k]), floor=float(floor[k]))
                for k in order
            )
    return Section(metrics=tuple(metrics), worst=worst)


def _masses(marginal: Marginal) -> dict[str, list[FloatArray]]:
    """Return the figure, its replicates by side, and those of the other tables."""
    real, made = marginal.shares("fit"), marginal.shares("synthetic")
    real_left, made_left = (marginal.shares_left_out(name) for name in ("fit", "synthetic"))
    others = [marginal.shares(name) for name in _OTHERS]
    return {
        "invented": [
            _missing(made, real),
            _missing(made, real_left),
            _missing(made_left, real),
            *(_missing(other, real) for other in others),
        ],
        "dropped": [
            _missing(real, made),
            _missing(real_left, made),
            _missing(real, made_left),
            *(_missing(real, other) for other in others),
        ],
    }


def _missing(there: FloatArray, here: FloatArray) -> FloatArray:
    """Return the mass ``there`` of cells that are empty ``here``; the last axis is cells."""
    return np.where(here == 0, there, 0.0).sum(axis=-1)


def _recall(tables: Tables, rng: np.random.Generator) -> Metric:
    """Share of levels with at least ten fitted rows that the synthetic table has at all."""
    others = references(tables, rng)
    every: dict[str, Conformed] = {"fit": tables.fit, "synthetic": tables.synthetic, **others}
    counter = Counter(every, sizes=tables.sizes)
    common: list[tuple[BoolArray, BoolArray]] = []
    present: dict[str, list[BoolArray]] = {name: [] for name in ("synthetic", "left", *others)}
    for place in range(len(tables.columns)):
        marginal = counter.marginal((place,))
        inside = marginal.cells < tables.sizes[place] - 1
        common.append(
            (
                (marginal.counts("fit") >= COMMON)[inside],
                (marginal.left_out("fit") >= COMMON)[:, inside],
            )
        )
        for name in ("synthetic", *others):
            present[name].append((marginal.counts(name) > 0)[inside])
        present["left"].append((marginal.left_out("synthetic") > 0)[:, inside])
    real, real_left = (np.concatenate(part, axis=-1) for part in zip(*common, strict=True))
    there = {name: np.concatenate(found, axis=-1) for name, found in present.items()}
    synthetic = there["synthetic"]
    return Replicated(
        whole=_share(real, synthetic),
        sides=(_share(real_left, synthetic), _share(real, there["left"])),
    ).metric(
        "support.recall",
        mean,
        floor=1.0,
        references={name: _share(real, there[name]) for name in others},
        landmark=None,
        n=min(len(tables.fit), len(tables.synthetic)),
        direction="higher",
    )


def _share(common: BoolArray, present: BoolArray) -> FloatArray:
    """Return the share of common levels that are present; last axis of length 1."""
    total = common.sum(axis=-1, keepdims=True)
    kept = (common & present).sum(axis=-1, keepdims=True)
    return np.where(total > 0, kept / np.maximum(1, total), np.nan)
