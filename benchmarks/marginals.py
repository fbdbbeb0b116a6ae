"""Total variation distance of one-, two- and three-way marginals.

The distance between a synthetic table and the rows it was fitted to is never 0, not even for a
fresh sample of the same people. Every figure therefore stands beside its **floor**: what two
samples of these sizes are expected to differ by. ``*.matched`` repeats the mean with the synthetic
table and the holdout cut to one size, so that the holdout itself is the floor. That one to trust
where people have several rows: the analytic floor takes rows as independent. The landmark of
one-way figures is a table that is uniform over the schema; of two- and three-way figures it is a
table whose columns are right, each by itself, and do not depend on each other.

Intervals hold the figure that other people and another draw would give on average, and are wide:
leaving out a group takes the slope of |x| as ±1 everywhere, so that cells at sampling noise count
with their full variance. Simulated with a thousand rows, they cover in 98 to 100 of 100 samples,
at the floor and above, also where people have several rows. Those of ``p95`` and ``max`` are
approximate, as which marginal is the worst changes with the sample; there they were as wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.counting import Counter, Marginal, subsets
from benchmarks.discretise import Tables
from benchmarks.equivalent import SubsampleCurve
from benchmarks.replicates import Replicated, high, mean, most
from benchmarks.report import Metric, Section, Worst
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]

MOST_PAIRS = 500
MOST_TRIPLES = 300
FLAGGED = 0.1
"""A column this far beyond twice its floor is named in a finding."""
LEAST_SHARE = 0.01
"""A table that errs more than this share of the fitted rows gets a finding."""

_SHOWN = 5


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare marginals of all columns, up to 500 pairs and up to 300 triples.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws pairs, triples and the rows of the matched comparison. Triples with the declared
        target are always among them (up to 300 more).

    Notes
    -----
    ``tvdN.equivalent_share`` is the share of the fitted rows whose random part errs as much
    (:mod:`benchmarks.equivalent`); its interval is that of the mean distance, carried over.
    The reference ``holdout`` is given where as many rows are held out as the figure rests on.
    """
    d = len(tables.columns)
    matched = min(len(tables.synthetic), len(tables.holdout))
    compared = Compared(tables, matched, rng)
    metrics: list[Metric] = []
    worst: dict[str, tuple[Worst, ...]] = {}
    findings: list[Finding] = []
    for way, chosen in enumerate(
        (subsets(d, 1, d, rng), subsets(d, 2, MOST_PAIRS, rng), _triples(tables, rng)), start=1
    ):
        if not chosen:
            continue
        distances = compared.distances(chosen)
        metrics += _summary(f"tvd{way}", distances, tables, matched)
        value, floor = distances.value.whole, distances.floor
        order = np.argsort(floor - value, kind="stable")
        worst[f"tvd{way}"] = tuple(
            Worst(columns=tables.names(chosen[k]), value=float(value[k]), floor=float(floor[k]))
            for k in order[:_SHOWN]
        )
        if way == 1:
            far = [k for k in order if value[k] > FLAGGED + 2 * floor[k]]
            findings += _flag(tables, [chosen[k][0] for k in far])
        else:
            metrics.append(_equivalent(f"tvd{way}", metrics[-4], distances.curve))
    shares = [m for m in metrics if m.name.endswith("equivalent_share")]
    # Of fewer rows there is no such part.
    if LEAST_SHARE * len(tables.fit) >= 1 and any(m.value < LEAST_SHARE for m in shares):
        findings.append(
            Finding(
                "DPS325",
                Severity.INFO,
                "marginals err more than those of one in a hundred of the fitted rows would.",
            )
        )
    return Section(metrics=tuple(metrics), worst=worst, findings=tuple(findings))


def total_variation(p: FloatArray, q: FloatArray) -> FloatArray:
    """Return half the l1 distance of distributions over the same cells, the last axis."""
    gap = p - q
    return np.abs(gap, out=gap).sum(axis=-1) / 2


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
    cell, which bounds the expectation exactly and takes over in cells that are mostly empty. Where
    ``p`` itself is estimated and most cells hold a row or two, it is low by up to a tenth.
    """
    spread = p * (1.0 - p)
    normal = np.sqrt(2.0 * spread * (1.0 / n + 1.0 / m) / np.pi)
    return float(np.minimum(normal / 2, spread).sum())


def pooled_floor(marginal: Marginal, held: str, n_synthetic: int) -> float:
    """Return the floor of a marginal; fitted and ``held`` rows stand for the distribution."""
    n = len(marginal.flat["fit"])
    pooled = marginal.counts("fit") + marginal.counts(held)
    return sampling_floor(pooled / (n + len(marginal.flat[held])), n, n_synthetic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Distances:
    """Distances of many marginals from those of the fitted rows.

    Parameters
    ----------
    value, matched : Replicated
        Of the synthetic table, whole and cut.
    floor : ndarray of float, shape (n_marginals,)
        Analytic floor of ``value``.
    references, matched_references : mapping of str to ndarray of float, shape (n_marginals,)
        Of other tables with as many rows.
    curve : SubsampleCurve
        What parts of the fitted rows would do.
    """

    value: Replicated
    matched: Replicated
    floor: FloatArray
    references: Mapping[str, FloatArray]
    matched_references: Mapping[str, FloatArray]
    curve: SubsampleCurve


class Compared:
    """All tables that marginals are compared of.

    Parameters
    ----------
    tables : Tables
        The tables.
    matched : int
        Rows of the matched comparison.
    rng : numpy.random.Generator
        Draws them.
    """

    def __init__(self, tables: Tables, matched: int, rng: np.random.Generator) -> None:
        every = {
            "synthetic": tables.synthetic,
            "holdout": tables.holdout,
            "independent": tables.independent,
            "uniform": tables.uniform,
        }
        cut = {name: table.draw(matched, rng) for name, table in every.items()}
        # A table that is not cut need not be counted twice.
        self._cut = {
            name: name if table is every[name] else f"{name}, cut" for name, table in cut.items()
        }
        counted = {self._cut[name]: table for name, table in cut.items()}
        self._counter = Counter({"fit": tables.fit} | every | counted, sizes=tables.sizes)
        self._n, self._n_synthetic = len(tables.fit), len(tables.synthetic)
        self._whole = {name: name for name in every}
        if self._cut["synthetic"] == "synthetic":
            self._whole["holdout"] = self._cut["holdout"]
        else:
            del self._whole["holdout"]  # too few rows are held out

    def __repr__(self) -> str:
        return "Compared()"

    def distances(self, chosen: list[tuple[int, ...]]) -> Distances:
        """Return the distances of marginals, given by the places of their columns."""
        curve = SubsampleCurve(self._n)
        names = {*self._whole.values(), *self._cut.values()}
        gaps: dict[str, list[float]] = {name: [] for name in names}
        floor: list[float] = []
        made = dict.fromkeys((self._whole["synthetic"], self._cut["synthetic"]))
        sides: dict[str, list[tuple[FloatArray, FloatArray]]] = {name: [] for name in made}
        for places in chosen:
            marginal = self._counter.marginal(places)
            curve.add(marginal.counts("fit"))
            floor.append(pooled_floor(marginal, "holdout", self._n_synthetic))
            fit, fit_left = marginal.shares("fit"), marginal.shares_left_out("fit")
            shares = {name: marginal.shares(name) for name in names}
            for name in names:
                gaps[name].append(float(total_variation(fit, shares[name])))
            for name in made:
                left = marginal.shares_left_out(name)
                sides[name].append(
                    (total_variation(fit_left, shares[name]), total_variation(left, fit))
                )

        def gathered(names: Mapping[str, str]) -> tuple[Replicated, dict[str, FloatArray]]:
            figures = {name: np.array(gaps[counted]) for name, counted in names.items()}
            real, made = zip(*sides[names["synthetic"]], strict=True)
            whole = figures.pop("synthetic")
            return Replicated(whole=whole, sides=(np.array(real).T, np.array(made).T)), figures

        value, references = gathered(self._whole)
        matched, matched_references = gathered(self._cut)
        return Distances(
            value=value,
            matched=matched,
            floor=np.array(floor),
            references=references,
            matched_references=matched_references,
            curve=curve,
        )


def _triples(tables: Tables, rng: np.random.Generator) -> list[tuple[int, ...]]:
    chosen = set(subsets(len(tables.columns), 3, MOST_TRIPLES, rng))
    return sorted(chosen | set(target_triples(tables, MOST_TRIPLES, rng)))


def target_triples(tables: Tables, most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return the triples that hold the declared target, at most ``most`` of them."""
    if tables.target is None:
        return []
    others = [i for i in range(len(tables.columns)) if i != tables.target]
    return [
        tuple(sorted((tables.target, *(others[i] for i in pair))))
        for pair in subsets(len(others), 2, most, rng)
    ]


def _summary(family: str, found: Distances, tables: Tables, matched: int) -> list[Metric]:
    landmark = "uniform" if family == "tvd1" else "independent"
    n = min(len(tables.synthetic), len(tables.fit))
    metrics = [
        found.value.metric(
            f"{family}.{name}",
            of,
            floor=found.floor,
            references=found.references,
            landmark=landmark,
            n=n,
        )
        for name, of in (("mean", mean), ("p95", high), ("max", most))
    ]
    fair = found.matched.metric(
        f"{family}.mean.matched",
        mean,
        floor=found.matched_references["holdout"],
        references=found.matched_references,
        landmark=landmark,
        n=matched,
    )
    return [*metrics, fair]


def _equivalent(family: str, distance: Metric, curve: SubsampleCurve) -> Metric:
    references = dict(distance.references)
    ends = [np.nan if end is None else end for end in (distance.ci_high, distance.ci_low)]
    assert distance.floor is not None
    errors = [distance.value, distance.floor, *ends, *references.values()]
    value, floor, low, top, *others = curve.share(np.array(errors)).tolist()
    return Metric(
        name=f"{family}.equivalent_share",
        value=value,
        direction="higher",
        floor=floor,
        references=dict(zip(references, others, strict=True)),
        ci_low=low,
        ci_high=top,
        n=distance.n,
    )


def _flag(tables: Tables, far: list[int]) -> tuple[Finding, ...]:
    if not far:
        return ()
    names = ", ".join(tables.names(far[:_SHOWN]))
    more = " and more" if len(far) > _SHOWN else ""
    return (
        Finding(
            "DPS311", Severity.WARNING, f"these columns are distributed otherwise: {names}{more}."
        ),
    )
