"""What an attacker looks at in a synthetic table.

A feature map turns a synthetic table into numbers: one row that serves all targets, or one row per
target. All of them look at values as they were emitted, those outside the domain included: a value
that the schema does not know is the strongest trace of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from privacy_audits.typed import TypedRows, TypedSpace, nearest

FloatArray = npt.NDArray[np.float64]


class FeatureMap(Protocol):
    """Numbers that an attacker computes from a synthetic table. A frozen dataclass."""

    @property
    def name(self) -> str:
        """What it is called in results."""
        ...

    def __call__(
        self,
        synthetic: TypedRows,
        targets: TypedRows,
        *,
        space: TypedSpace,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return features, shape (1, n_features) or (n_targets, n_features).

        Parameters
        ----------
        synthetic, targets : TypedRows
            The table, and the rows that are attacked.
        space : TypedSpace
            Their coordinates.
        rng : numpy.random.Generator
            In the same state for every shadow: what it draws is the attack's own choice.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean, spread, median and extremes of ordered columns; shares of levels; number of rows.

    References
    ----------
    ``F_naive`` of Stadler, Oprisanu, Troncoso, "Synthetic Data: Anonymisation Groundhog Day",
    USENIX Security 2022, arXiv 2011.07018, §4.
    """

    name: str = "moments"

    def __call__(
        self,
        synthetic: TypedRows,
        targets: TypedRows,
        *,
        space: TypedSpace,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return features, shape (1, n_features)."""
        del targets, rng
        out = [float(len(synthetic))]
        for places in synthetic.places.T:
            present = places[~np.isnan(places)]
            out.append(1 - present.size / max(1, places.size))
            known = present if present.size else np.zeros(1)
            out += [
                known.mean(),
                known.std(),
                float(np.median(known)),
                known.min(),
                known.max(),
            ]
        return np.concatenate([out, *_level_shares(synthetic, space)])[None, :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """Shares of equal bins between the public bounds, below and above them; shares of levels.

    Parameters
    ----------
    bins : int
        Bins of an ordered column.

    References
    ----------
    ``F_hist`` of Stadler et al., see :class:`Moments`.
    """

    name: str = "histograms"
    bins: int = 10

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise UsageError(f"bins must be at least 1, got {self.bins}.")

    def __call__(
        self,
        synthetic: TypedRows,
        targets: TypedRows,
        *,
        space: TypedSpace,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return features, shape (1, n_features)."""
        del targets, rng
        # The last bin holds its upper edge, the public bound itself.
        inner = np.linspace(0, 1, self.bins + 1)
        edges = np.array([-np.inf, *inner[:-1], np.nextafter(1.0, 2.0), np.inf])
        rows = max(1, len(synthetic))
        shares = [
            np.histogram(places[~np.isnan(places)], edges)[0] / rows
            for places in synthetic.places.T
        ]
        return np.concatenate([*shares, *_level_shares(synthetic, space), np.zeros(0)])[None, :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlations:
    """Correlations of all pairs of ordered columns and levels.

    Parameters
    ----------
    most : int
        Most columns and levels; of more, the attack's generator chooses levels.

    References
    ----------
    ``F_corr`` of Stadler et al., see :class:`Moments`.
    """

    name: str = "correlations"
    most: int = 128

    def __post_init__(self) -> None:
        if self.most < 2:
            raise UsageError(f"most must be at least 2, got {self.most}.")

    def __call__(
        self,
        synthetic: TypedRows,
        targets: TypedRows,
        *,
        space: TypedSpace,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return features, shape (1, n_features)."""
        del targets
        ordered = np.where(np.isnan(synthetic.places), 0.5, synthetic.places)
        named = [
            (levels[:, None] == np.arange(size)).astype(np.float64)
            for levels, size in zip(synthetic.levels.T, _sizes(space), strict=True)
        ]
        columns = np.concatenate([ordered, *named], axis=1)
        if columns.shape[1] > self.most:
            rest = ordered.shape[1] + rng.permutation(columns.shape[1] - ordered.shape[1])
            chosen = np.concatenate([np.arange(ordered.shape[1]), rest])[: self.most]
            columns = columns[:, np.sort(chosen)]
        centred = columns - columns.mean(axis=0)
        spread = np.sqrt((centred**2).sum(axis=0))
        scaled = centred / np.where(spread > 0, spread, 1.0)
        return (scaled.T @ scaled)[np.triu_indices(columns.shape[1], k=1)][None, :]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetCounts:
    """Shares of synthetic rows that agree with the target on random subsets of its attributes.

    Parameters
    ----------
    queries : int
        Subsets.
    tolerance : float
        Distance between places, as a share of the public range, that counts as agreement.

    References
    ----------
    Houssiau et al., "TAPAS: a Toolbox for Adversarial Privacy Auditing of Synthetic Data",
    arXiv 2211.06550.
    """

    name: str = "subset counts"
    queries: int = 64
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if self.queries < 1 or not self.tolerance >= 0:
            raise UsageError("queries must be at least 1, and tolerance at least 0.")

    def __call__(
        self,
        synthetic: TypedRows,
        targets: TypedRows,
        *,
        space: TypedSpace,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return features, shape (n_targets, n_features)."""
        del space
        width = targets.places.shape[1] + targets.levels.shape[1]
        subsets = np.zeros((self.queries, width))
        for subset in subsets:
            subset[rng.permutation(width)[: rng.integers(1, width + 1)]] = 1.0
        out = np.zeros((len(targets), self.queries))
        for number, (places, levels) in enumerate(zip(targets.places, targets.levels, strict=True)):
            apart = np.abs(synthetic.places - places) > self.tolerance
            apart |= np.isnan(synthetic.places) != np.isnan(places)
            differs = np.concatenate([apart, synthetic.levels != levels], axis=1)
            out[number] = (differs @ subsets.T == 0).mean(axis=0) if len(synthetic) else 0.0
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """Distances of the target to its nearest synthetic rows, on a logarithmic scale.

    Parameters
    ----------
    k : int
        Neighbours.
    """

    name: str = "nearest rows"
    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k must be at least 1, got {self.k}.")

    def __call__(
        self,
        synthetic: TypedRows,
        targets: TypedRows,
        *,
        space: TypedSpace,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return features, shape (n_targets, k)."""
        del space, rng
        return np.log(_FLOOR + nearest(targets, synthetic, k=self.k))


DEFAULT_MAPS: tuple[FeatureMap, ...] = (
    Moments(),
    Histograms(),
    Correlations(),
    SubsetCounts(),
    Nearest(),
)

_FLOOR = 1e-3
"""Distance below which a row counts as a copy."""


def _sizes(space: TypedSpace) -> list[int]:
    """Return the number of levels of each named column, the one for values outside included."""
    return [len(levels) + 1 for levels in space.named.values()]


def _level_shares(rows: TypedRows, space: TypedSpace) -> list[FloatArray]:
    """Return the share of null and of each level, for each named column."""
    return [
        np.bincount(levels + 1, minlength=size + 1) / max(1, len(rows))
        for levels, size in zip(rows.levels.T, _sizes(space), strict=True)
    ]
