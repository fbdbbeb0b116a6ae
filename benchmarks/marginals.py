"""Total variation distance of one-, two- and three-way marginals.

The distance between a synthetic table and the rows it was fitted to is never 0, not even for a
fresh sample of the same people. Every figure therefore stands beside its **floor**: what two
samples of these sizes are expected to differ by. ``*.matched`` repeats the mean with the synthetic
table and the holdout cut to one size, so that the holdout itself is the floor. That one to trust
where people have several rows: the analytic floor takes rows as independent. The landmark of two-
and three-way figures is a table of the same size whose columns are right, each by itself, and do
not depend on each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Tables
from benchmarks.report import Metric, Section, Worst
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_PAIRS = 500
MOST_TRIPLES = 300
FLAGGED = 0.1
"""A column this far beyond twice its floor is named in a finding."""

_DENSE = 1 << 18
"""Up to this many cells a marginal is counted in an array that has all of them."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Distance:
    places: tuple[int, ...]
    value: float
    floor: float
    independent: float
    matched: float
    holdout: float


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare marginals of all columns, up to 500 pairs and up to 300 triples.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws pairs, triples and the rows of the matched comparison. Triples with the declared
        target are always among them (up to 300 more).
    """
    d = len(tables.columns)
    metrics: list[Metric] = []
    worst: dict[str, tuple[Worst, ...]] = {}
    families = {
        1: subsets(d, 1, d, rng),
        2: subsets(d, 2, MOST_PAIRS, rng),
        3: _triples(tables, rng),
    }
    matched = min(len(tables.synthetic), len(tables.holdout))
    rows = [rng.permutation(len(t))[:matched] for t in (tables.synthetic, tables.holdout)]
    findings: tuple[Finding, ...] = ()
    for way, chosen in families.items():
        found = [_distance(tables, places, rows, tables.independent.codes) for places in chosen]
        if not found:
            continue
        metrics += _summary(f"tvd{way}", found, tables, matched)
        worst[f"tvd{way}"] = tuple(
            Worst(columns=tables.names(f.places), value=f.value, floor=f.floor)
            for f in sorted(found, key=lambda f: f.floor - f.value)[:_SHOWN]
        )
        if way == 1:
            findings = _flag(tables, found)
    return Section(metrics=tuple(metrics), worst=worst, findings=findings)


def total_variation(p: FloatArray, q: FloatArray) -> float:
    """Return half the l1 distance of two distributions over the same cells."""
    return float(np.abs(p - q).sum() / 2)


def sampling_floor(p: FloatArray, n: int, m: int) -> float:
    """Return the expected distance between samples of ``n`` and ``m`` rows from ``p``.

    Parameters
    ----------
    p : ndarray of float, shape (n_cells,)
        A distribution.
    n, m : int
        Rows of the two samples.

    Notes
    -----
    ½ Σ √(2 p (1 - p) (1/n + 1/m) / π), the normal approximation, and never more than p (1 - p) per
    cell, which bounds the expectation exactly and takes over in cells that are mostly empty.
    """
    spread = p * (1.0 - p)
    normal = np.sqrt(2.0 * spread * (1.0 / n + 1.0 / m) / np.pi)
    return float(np.minimum(normal / 2, spread).sum())


def subsets(d: int, size: int, most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return all sets of ``size`` of ``d`` columns, or ``most`` different ones at random."""
    if math.comb(d, size) <= most:
        return list(combinations(range(d), size))
    chosen: set[tuple[int, ...]] = set()
    while len(chosen) < most:
        chosen.add(tuple(sorted(rng.choice(d, size, replace=False).tolist())))
    return sorted(chosen)


def _triples(tables: Tables, rng: np.random.Generator) -> list[tuple[int, ...]]:
    d, target = len(tables.columns), tables.target
    chosen = set(subsets(d, 3, MOST_TRIPLES, rng))
    if target is not None:
        others = [i for i in range(d) if i != target]
        for pair in subsets(d - 1, 2, MOST_TRIPLES, rng):
            chosen.add(tuple(sorted([target, *(others[i] for i in pair)])))
    return sorted(chosen)


def _distance(
    tables: Tables, places: tuple[int, ...], rows: list[IntArray], independent: IntArray
) -> _Distance:
    sizes = [tables.sizes[i] for i in places]
    four = (tables.fit.codes, tables.synthetic.codes, tables.holdout.codes, independent)
    flat = [_flatten(codes, places, sizes) for codes in four]
    total = math.prod(sizes)
    if total > _DENSE:
        cells, compact = np.unique(np.concatenate(flat), return_inverse=True)
        flat = np.split(compact.reshape(-1), np.cumsum([len(part) for part in flat])[:-1])
        total = len(cells)
    fit, synthetic, holdout, unrelated = flat
    real = np.bincount(fit, minlength=total) / len(fit)
    held = np.bincount(holdout, minlength=total)
    pooled = (real * len(fit) + held) / (len(fit) + len(holdout))
    fewer = [
        np.bincount(part[kept], minlength=total) / len(kept)
        for part, kept in zip((synthetic, holdout), rows, strict=True)
    ]
    return _Distance(
        places,
        value=total_variation(real, np.bincount(synthetic, minlength=total) / len(synthetic)),
        floor=sampling_floor(pooled, len(fit), len(synthetic)),
        independent=total_variation(real, np.bincount(unrelated, minlength=total) / len(unrelated)),
        matched=total_variation(real, fewer[0]),
        holdout=total_variation(real, fewer[1]),
    )


def _flatten(codes: IntArray, places: tuple[int, ...], sizes: list[int]) -> IntArray:
    flat = codes[:, places[0]]
    for place, size in zip(places[1:], sizes[1:], strict=True):
        flat = flat * size + codes[:, place]
    return flat


def _summary(family: str, found: list[_Distance], tables: Tables, matched: int) -> list[Metric]:
    value, floor, independent, cut, holdout = np.array(
        [[f.value, f.floor, f.independent, f.matched, f.holdout] for f in found]
    ).T
    alone = len(found[0].places) == 1  # columns by themselves have no dependence to lose
    n = min(len(tables.synthetic), len(tables.fit))

    def metric(name: str, at: float) -> Metric:
        return Metric(
            name=f"{family}.{name}",
            value=float(np.quantile(value, at)),
            floor=float(np.quantile(floor, at)),
            references={} if alone else {"independent": float(np.quantile(independent, at))},
            landmark=None if alone else "independent",
            direction="lower",
            n=n,
        )

    mean = Metric(
        name=f"{family}.mean",
        value=float(value.mean()),
        floor=float(floor.mean()),
        references={} if alone else {"independent": float(independent.mean())},
        landmark=None if alone else "independent",
        direction="lower",
        n=n,
    )
    fair = Metric(
        name=f"{family}.mean.matched",
        value=float(cut.mean()),
        floor=float(holdout.mean()),
        direction="lower",
        n=matched,
    )
    return [mean, metric("p95", 0.95), metric("max", 1.0), fair]


def _flag(tables: Tables, found: list[_Distance]) -> tuple[Finding, ...]:
    far = [f for f in found if f.value > FLAGGED + 2 * f.floor]
    far.sort(key=lambda f: f.floor - f.value)
    if not far:
        return ()
    names = ", ".join(tables.names([f.places[0] for f in far[:_SHOWN]]))
    more = " and more" if len(far) > _SHOWN else ""
    return (
        Finding(
            "DPS311", Severity.WARNING, f"these columns are distributed otherwise: {names}{more}."
        ),
    )
