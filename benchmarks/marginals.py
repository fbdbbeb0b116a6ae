"""Total variation distance of one-, two- and three-way marginals, with what sampling alone gives."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Bins

IntArray = npt.NDArray[np.int64]
Codes = Mapping[str, IntArray]

MOST_PAIRS = 500
TRIPLES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalError:
    """Distances of all marginals of one order.

    Parameters
    ----------
    order : int
        Columns per marginal.
    mean, p95, largest : float
        Over the marginals, each in [0, 1]; 0 is best.
    floor : float
        Mean distance of the holdout from the fit rows, scaled to the size of the synthetic table.
    analytic_floor : float
        Mean distance that sampling alone is expected to cause.
    worst : tuple
        Up to five (columns, distance), worst first.
    count : int
        Number of marginals.
    """

    order: int
    mean: float
    p95: float
    largest: float
    floor: float
    analytic_floor: float
    worst: tuple[tuple[tuple[str, ...], float], ...]
    count: int


def marginal_error(
    fit: Codes,
    holdout: Codes,
    synthetic: Codes,
    bins: Bins,
    *,
    order: int,
    target: str | None,
    rng: np.random.Generator,
) -> MarginalError:
    """Compare all marginals of one order.

    Parameters
    ----------
    fit, holdout, synthetic : mapping of str to ndarray
        Bin numbers.
    bins : Bins
        The shared bins.
    order : int
        1, 2 or 3.
    target : str or None
        Column that every kind of triple should meet.
    rng : numpy.random.Generator
        Chooses marginals where there are too many, and the rows of the floor.

    Notes
    -----
    The floor draws as many fit and holdout rows as both tables have in common, so that neither is
    flattered by its size. Expected distance of two samples of one law:
    ½ Σ sqrt(2 p (1 - p) (1/n₁ + 1/n₂) / π).
    """
    subsets = choose_subsets(list(bins.edges) + list(bins.levels), order, target, rng)
    sizes = {name: bins.size(name) for name in (*bins.edges, *bins.levels)}
    matched = min(_rows(holdout), _rows(synthetic), max(1, _rows(fit) // 2))
    part = _take(fit, rng.permutation(_rows(fit))[:matched])
    held = _take(holdout, rng.permutation(_rows(holdout))[:matched])
    n_fit, n_synthetic = _rows(fit), _rows(synthetic)
    distances, floors, expected = [], [], []
    for subset in subsets:
        real = histogram(fit, subset, sizes)
        distances.append(total_variation(real, histogram(synthetic, subset, sizes)))
        floors.append(
            total_variation(histogram(part, subset, sizes), histogram(held, subset, sizes))
        )
        share = real[1]
        spread = 2 * share * (1 - share) * (1 / n_fit + 1 / n_synthetic) / np.pi
        expected.append(0.5 * float(np.sqrt(spread).sum()))
    # Sampling error falls with the root of the harmonic size of the two tables.
    scale = np.sqrt((1 / n_fit + 1 / n_synthetic) / (2 / matched))
    ranked = sorted(zip(subsets, distances, strict=True), key=lambda pair: -pair[1])[:5]
    return MarginalError(
        order=order,
        mean=float(np.mean(distances)),
        p95=float(np.quantile(distances, 0.95)),
        largest=float(np.max(distances)),
        floor=float(np.mean(floors) * scale),
        analytic_floor=float(np.mean(expected)),
        worst=tuple(ranked),
        count=len(subsets),
    )


def choose_subsets(
    names: Sequence[str], order: int, target: str | None, rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """Return the column subsets that are compared: all of them where there are few."""
    subsets = list(itertools.combinations(names, order))
    most = {2: MOST_PAIRS, 3: TRIPLES}.get(order, len(subsets))
    if len(subsets) <= most:
        return subsets
    chosen = {subsets[i] for i in rng.permutation(len(subsets))[:most]}
    if order == 3 and target is not None:
        with_target = [subset for subset in subsets if target in subset]
        chosen |= {with_target[i] for i in rng.permutation(len(with_target))[:most]}
    return sorted(chosen)


def histogram(
    codes: Codes, subset: Sequence[str], sizes: Mapping[str, int]
) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Return the cells that occur and their shares."""
    flat = np.ravel_multi_index([codes[name] for name in subset], [sizes[n] for n in subset])
    cells, counts = np.unique(flat, return_counts=True)
    return cells, counts / counts.sum()


def total_variation(
    a: tuple[IntArray, npt.NDArray[np.float64]], b: tuple[IntArray, npt.NDArray[np.float64]]
) -> float:
    """Return ½ Σ |p - q|."""
    _, at_a, at_b = np.intersect1d(a[0], b[0], assume_unique=True, return_indices=True)
    return float(1 - np.minimum(a[1][at_a], b[1][at_b]).sum())


def _rows(codes: Codes) -> int:
    return len(next(iter(codes.values())))


def _take(codes: Codes, rows: npt.NDArray[np.intp]) -> Codes:
    return {name: values[rows] for name, values in codes.items()}
