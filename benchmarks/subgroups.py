"""Are small groups still there, and still themselves? Groups of protected columns.

Noise moves the sizes of groups both ways: small ones vanish or swell while every average looks
fine. Each group of the protected columns is compared by its size, by the two-way marginals of its
rows, and by how a model of the synthetic table treats it. The figures are those of the **worst**
group; choosing the worst among many finds one in a perfect table too, which is why each stands
beside the worst group of a comparison in which nothing is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from benchmarks import group_scores, jackknife
from benchmarks.counting import subsets
from benchmarks.discretise import GROUPS, Conformed, Tables
from benchmarks.groups import Partition, partitions, protected
from benchmarks.marginals import sampling_floor, total_variation
from benchmarks.report import Metric, Section, Worst, finite
from benchmarks.training import Trained
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_PAIRS = 60
"""Pairs of other columns that the rows of a group are compared in."""
FLAGGED = 1.25
"""A group that grew or shrank by more than this factor, and more than chance, is a finding."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Size:
    """Sizes of the groups of a partition: logarithms of ratios of shares."""

    value: FloatArray
    deviation: FloatArray
    surprise: FloatArray
    holdout: FloatArray
    uniform: FloatArray
    independent: FloatArray


@dataclass(frozen=True, slots=True)
class _Marginals:
    """Two-way distances inside the groups of a partition, each minus its own floor."""

    pairs: list[tuple[int, ...]]
    value: FloatArray
    holdout: FloatArray
    independent: FloatArray


def measure(tables: Tables, *, rng: np.random.Generator, trained: Trained | Finding) -> Section:
    """Compare groups of protected columns, and of pairs of them, with at least 50 fitted rows.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws pairs of columns, and rows and bootstrap weights of the holdout.
    trained : Trained or Finding
        What :func:`benchmarks.training.train` returned.

    Returns
    -------
    Section
        ``subgroups.size.worst``: the largest |log ratio| of the shares of a group in the synthetic
        table and among the fitted rows (0.1 is about 10 %). ``subgroups.tvd2.worst``: the largest
        mean two-way distance inside a group, minus what sampling alone gives it.
        ``subgroups.tstr.worst_gap`` and its neighbours: :mod:`benchmarks.group_scores`. Details
        ``subgroups`` by group, those whose size is most wrong first.

    Notes
    -----
    Intervals are those of the group that came out worst; that it was chosen is not in them. Half a
    row is added to each count, so that a lost group has a finite ratio. A group without synthetic
    rows is at distance 1.

    Floors put the holdout in the place of the synthetic table; where it has fewer rows, they are
    a little high.

    References
    ----------
    Ganev, Oprisanu and De Cristofaro 2022, "Robin Hood and Matthew effects".
    """
    if not protected(tables):
        message = "groups were not measured: the schema protects no column."
        return Section(findings=(Finding("DPS321", Severity.INFO, message),))
    chosen, cut = partitions(tables)
    findings = []
    if cut:
        message = "only the largest groups of the protected columns were looked at."
        findings.append(Finding("DPS337", Severity.INFO, message))
    if not chosen:
        message = "groups were not measured: all of them are too small."
        return Section(findings=(*findings, Finding("DPS321", Severity.INFO, message)))
    sizes = [_sizes(tables, partition) for partition in chosen]
    inside = [_inside(tables, partition, rng) for partition in chosen]
    metrics = [_size_metric(tables, sizes)]
    distance = _distance_metric(tables, chosen, inside)
    if distance is not None:
        metrics.append(distance)
    judged = group_scores.measure(tables, chosen, rng=rng, trained=trained)
    rows, worst = _details(chosen, sizes, inside, judged.rows)
    return Section(
        metrics=(*metrics, *judged.metrics),
        worst={"subgroups": worst},
        findings=(*findings, *_flag(chosen, sizes), *judged.findings),
        tables={"subgroups": rows},
    )


def _sizes(tables: Tables, partition: Partition) -> _Size:
    fit, synthetic = tables.fit, tables.synthetic
    held = partition.counts(tables.fit)
    share = _log_share(held, len(fit))
    left = jackknife.leave_out(partition.of(fit) + 1, fit.groups, len(partition) + 1)
    spread = jackknife.variance(_log_share(left[:, 1:], left.sum(axis=1, keepdims=True)))
    # Twenty groups tell a variance roughly: never less than that of as many single rows.
    spread = np.maximum(spread, (1.0 - held / len(fit)) / held)
    count = partition.counts(synthetic)
    drawn = (1.0 - count / len(synthetic)) / (count + 0.5)
    expected = len(synthetic) * np.exp(share)
    chance = expected * (1.0 - np.exp(share)) + expected**2 * np.nan_to_num(spread, nan=np.inf)

    def ratio(table: Conformed) -> FloatArray:
        return _log_share(partition.counts(table), len(table)) - share

    return _Size(
        value=ratio(synthetic),
        deviation=np.sqrt(spread + drawn),
        surprise=np.abs(count - expected) / np.sqrt(np.maximum(chance, 1e-12)),
        holdout=ratio(tables.holdout),
        uniform=ratio(tables.uniform),
        independent=ratio(tables.independent),
    )


def _log_share(counts: npt.NDArray, rows: int | FloatArray) -> FloatArray:
    return np.log((counts + 0.5) / (rows + 1.0))


def _size_metric(tables: Tables, sizes: list[_Size]) -> Metric:
    value, deviation = (
        np.concatenate([getattr(size, name) for size in sizes]) for name in ("value", "deviation")
    )
    at = int(np.abs(value).argmax())
    low, high = absolute_interval(*_interval(value[at], deviation[at]))
    return Metric(
        name="subgroups.size.worst",
        value=float(np.abs(value[at])),
        floor=_largest([np.abs(size.holdout) for size in sizes]),
        references={
            "uniform": _largest([np.abs(size.uniform) for size in sizes]),
            "independent": _largest([np.abs(size.independent) for size in sizes]),
        },
        landmark="uniform",
        direction="lower",
        ci_low=low,
        ci_high=high,
        n=min(len(tables.fit), len(tables.synthetic)),
    )


def _interval(value: float, deviation: float) -> tuple[float, float]:
    half = float(t.ppf(0.975, GROUPS - 1)) * deviation
    return value - half, value + half


def absolute_interval(low: float, high: float) -> tuple[float, float]:
    """Return the interval of a size from that of a signed figure."""
    far = max(abs(low), abs(high))
    return (0.0, far) if low <= 0.0 <= high else (min(abs(low), abs(high)), far)


def _largest(parts: list[FloatArray]) -> float:
    values = np.concatenate(parts)
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")


def _inside(tables: Tables, partition: Partition, rng: np.random.Generator) -> _Marginals:
    """Compare pairs of columns that do not make the groups."""
    others = [i for i in range(len(tables.columns)) if i not in partition.places]
    pairs = [tuple(others[i] for i in pair) for pair in subsets(len(others), 2, MOST_PAIRS, rng)]
    four = (tables.fit, tables.synthetic, tables.holdout, tables.independent)
    groups = [partition.of(table) for table in four]
    sums = np.zeros((3, len(partition)))
    for pair in pairs:
        cells, size = _flat(tables, pair, four)
        fit, *rest = (
            _by_group(group, cell, len(partition), size)
            for group, cell in zip(groups, cells, strict=True)
        )
        for number, found in enumerate(rest):
            sums[number] += [_excess(*both) for both in zip(fit, found, strict=True)]
    mean = sums / max(1, len(pairs))
    return _Marginals(pairs, value=mean[0], holdout=mean[1], independent=mean[2])


def _flat(
    tables: Tables, pair: tuple[int, ...], some: tuple[Conformed, ...]
) -> tuple[list[IntArray], int]:
    """Return the cell of each row, numbered among those that occur."""
    width = tables.sizes[pair[1]]
    flat = [table.codes[:, pair[0]] * width + table.codes[:, pair[1]] for table in some]
    seen = np.unique(np.concatenate([np.unique(cells) for cells in flat]))
    return [np.searchsorted(seen, cells) for cells in flat], len(seen)


def _by_group(group: IntArray, cell: IntArray, n_groups: int, size: int) -> IntArray:
    counts = np.bincount((group + 1) * size + cell, minlength=(n_groups + 1) * size)
    return counts.reshape(n_groups + 1, size)[1:]


def _excess(fit: npt.NDArray, other: npt.NDArray) -> float:
    """Return a distance minus what two samples of these sizes are expected to differ by."""
    n, m = int(fit.sum()), int(other.sum())
    if not m:
        return 1.0
    floor = sampling_floor((fit + other) / (n + m), n, m)
    return float(total_variation(fit / n, other / m)) - floor


def _distance_metric(
    tables: Tables, chosen: list[Partition], inside: list[_Marginals]
) -> Metric | None:
    if not any(found.pairs for found in inside):
        return None
    owner = np.repeat(np.arange(len(chosen)), [len(partition) for partition in chosen])
    value = np.concatenate(
        [found.value if found.pairs else np.full(len(found.value), -1.0) for found in inside]
    )
    at = int(value.argmax())
    number = int(owner[at])
    group = at - int(np.flatnonzero(owner == number)[0])
    low, high = _distance_interval(tables, chosen[number], group, inside[number].pairs, value[at])
    return Metric(
        name="subgroups.tvd2.worst",
        value=float(value[at]),
        floor=_largest([found.holdout for found in inside if found.pairs]),
        references={
            "independent": _largest([found.independent for found in inside if found.pairs])
        },
        landmark="independent",
        direction="lower",
        ci_low=low,
        ci_high=high,
        n=int(min(chosen[number].counts(table)[group] for table in (tables.fit, tables.synthetic))),
    )


def _distance_interval(
    tables: Tables,
    partition: Partition,
    group: int,
    pairs: list[tuple[int, ...]],
    value: float,
) -> tuple[float, float]:
    """Leave out one group of units of either table at a time, in the worst group alone."""
    fit, synthetic = (
        table.take(np.flatnonzero(partition.of(table) == group))
        for table in (tables.fit, tables.synthetic)
    )
    if not len(synthetic):
        return value, value
    sides = [0.0, 0.0]
    for pair in pairs:
        cells, size = _flat(tables, pair, (fit, synthetic))
        whole = [np.bincount(cell, minlength=size) for cell in cells]
        for side, table in enumerate((fit, synthetic)):
            left = jackknife.leave_out(cells[side], table.groups, size)
            shares = left / np.maximum(left.sum(axis=1, keepdims=True), 1)
            other = whole[1 - side] / whole[1 - side].sum()
            sides[side] = sides[side] + np.abs(shares - other).sum(axis=1) / 2 / len(pairs)
    low, high = jackknife.interval(
        value, *(np.atleast_1d(np.asarray(side)) for side in sides), bounds=(-1.0, 1.0)
    )
    return low, high


def _details(
    chosen: list[Partition],
    sizes: list[_Size],
    inside: list[_Marginals],
    judged: dict[str, dict[str, float]],
) -> tuple[tuple[dict[str, float | str | None], ...], tuple[Worst, ...]]:
    rows: list[tuple[float, dict[str, float | str | None]]] = []
    for partition, size, found in zip(chosen, sizes, inside, strict=True):
        for number, label in enumerate(partition.labels):
            value = float(size.value[number])
            low, high = _interval(value, float(size.deviation[number]))
            row: dict[str, float | str | None] = {
                "group": label,
                "ratio": float(np.exp(value)),
                "ratio_low": finite(np.exp(low)),
                "ratio_high": finite(np.exp(high)),
                "tvd2": float(found.value[number]) if found.pairs else None,
            }
            row |= {name: finite(x) for name, x in judged.get(label, {}).items()}
            rows.append((abs(value), row))
    rows.sort(key=lambda item: -item[0])
    worst = tuple(Worst(columns=(str(row["group"]),), value=by) for by, row in rows[:_SHOWN])
    return tuple(row for _, row in rows), worst


def _flag(chosen: list[Partition], sizes: list[_Size]) -> list[Finding]:
    """Name the columns of groups that grew or shrank; a share of 2.5 % of false alarms in all."""
    limit = float(norm.ppf(1.0 - 0.0125 / sum(len(size.value) for size in sizes)))
    names = [
        " × ".join(partition.columns)
        for partition, size in zip(chosen, sizes, strict=True)
        if ((np.abs(size.value) > np.log(FLAGGED)) & (size.surprise > limit)).any()
    ]
    if not names:
        return []
    more = " and more" if len(names) > _SHOWN else ""
    message = (
        f"groups of {', '.join(names[:_SHOWN])}{more} are lost, or shrink or grow more than chance"
        " explains."
    )
    return [Finding("DPS322", Severity.WARNING, message)]
