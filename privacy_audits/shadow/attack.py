"""What a shadow attack found: areas, rates, and bounds on ε from shadows kept apart."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from privacy_audits.estimate import (
    Bound,
    Confusion,
    Guesses,
    auc_cap,
    best_of,
    clopper_pearson,
    gaussian,
    numbers_of_guesses,
    one_run,
)
from privacy_audits.shadow.pooled import Guessing, Interval, PooledRoc, guessing
from privacy_audits.shadow.runs import ShadowRuns
from privacy_audits.shadow.scoring import GaussianRatio, Scores

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

FORMAT = "privacy_audits.shadow-attack/1"
STAMP = "CONFIDENTIAL: computed from real rows, outside the ε guarantee; for research"
RATES = (0.01, 0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The guarantee that is put to the test.

    Parameters
    ----------
    epsilon, delta : float
        As booked; an infinite ε stands for no guarantee.
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if not self.epsilon >= 0 or not 0 <= self.delta < 1:
            raise UsageError("a claim has an ε of at least 0 and a δ in [0, 1).")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ShadowAttack:
    """Result of an attack: confidential.

    Parameters
    ----------
    generator : str
        What was attacked.
    claim : Claim
        What it promises.
    shadows, targets : int
        Size of the attack.
    level : float
        Of all intervals and bounds, each by itself.
    auc : Interval
        Area of all targets together, cross-fitted.
    cap : float
        Largest area under the claim, in expectation.
    guessing : Guessing
        The area on the half of the shadows that was kept apart, beside that of guessing.
    tpr : mapping of float to Interval or None
        True positive rates, cross-fitted; ``None`` where there are too few non-members.
    target_aucs : ndarray, shape (n_targets,)
        Area of each target, cross-fitted.
    best_maps : mapping of str to int
        How many targets each feature map was the best for.
    curve : tuple of ndarray
        False and true positive rates for a log–log plot.
    bounds : tuple of Bound
        Bounds on ε.
    """

    generator: str
    claim: Claim
    shadows: int
    targets: int
    level: float
    auc: Interval
    cap: float
    guessing: Guessing
    tpr: Mapping[float, Interval | None]
    target_aucs: FloatArray
    best_maps: Mapping[str, int]
    curve: tuple[FloatArray, FloatArray]
    bounds: tuple[Bound, ...]

    @property
    def exceeds_claim(self) -> bool:
        """Whether a bound lies above the claimed ε, of those that assume no form of the curve."""
        return any(
            bound.lower > self.claim.epsilon
            for bound in self.bounds
            if "Gaussian trade-off curve" not in bound.assumptions
        )

    def summary(self) -> str:
        """Return a page for the custodian's eyes."""
        known = self.target_aucs[~np.isnan(self.target_aucs)]
        worst = f", worst target {known.max():.3f}" if known.size else ""
        lines = [
            STAMP,
            f"shadow attack on {self.generator}: {self.shadows} shadows, {self.targets} targets",
            f"AUC {self.auc.value:.3f} [{self.auc.low:.3f}, {self.auc.high:.3f}], cap "
            f"{self.cap:.3f}{worst}",
            f"on shadows kept apart: AUC {self.guessing.auc:.3f}, guessing gives "
            f"[{self.guessing.low:.3f}, {self.guessing.high:.3f}], p = {self.guessing.p_value:.2g}",
        ]
        for fpr, rate in self.tpr.items():
            found = "too few non-members" if rate is None else _shown(rate)
            lines.append(f"TPR at {100 * fpr:g}% FPR: {found}")
        for bound in self.bounds:
            lines.append(
                f"ε ≥ {bound.lower:.2f} at δ = {bound.delta:g} ({100 * bound.confidence:g}%, "
                f"{bound.method}; at most {bound.ceiling:.2f} can be shown)"
            )
        if math.isinf(self.claim.epsilon):
            lines.append("no ε is claimed")
        else:
            verdict = "a bound EXCEEDS it" if self.exceeds_claim else "no bound exceeds it"
            lines.append(f"claimed: ε = {self.claim.epsilon:g}; {verdict}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return everything as JSON."""
        fpr, tpr = self.curve
        document: dict[str, Any] = {
            "format": FORMAT,
            "disclosure": "internal",
            "stamp": STAMP,
            "generator": self.generator,
            "claim": asdict(self.claim),
            "shadows": self.shadows,
            "targets": self.targets,
            "level": self.level,
            "auc": asdict(self.auc),
            "cap": self.cap,
            "guessing": asdict(self.guessing),
            "tpr": {str(at): rate and asdict(rate) for at, rate in self.tpr.items()},
            "target_aucs": self.target_aucs.tolist(),
            "best_maps": dict(self.best_maps),
            "curve": {"fpr": fpr.tolist(), "tpr": tpr.tolist()},
            "bounds": [asdict(bound) for bound in self.bounds],
        }
        return json.dumps(_finite(document), indent=1, ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        return f"ShadowAttack({self.generator!r}, confidential)"


def attack(
    runs: ShadowRuns,
    *,
    claim: Claim,
    scoring: GaussianRatio | None = None,
    folds: int = 5,
    level: float = 0.95,
    rng: np.random.Generator,
) -> ShadowAttack:
    """Score all shadows and say what that shows.

    Parameters
    ----------
    runs : ShadowRuns
        The shadows.
    claim : Claim
        What the generator promises.
    scoring : GaussianRatio, optional
        How scores are learned.
    folds : int
        Folds of the cross-fitting, at least 2.
    level : float
        Of intervals and bounds, each by itself.
    rng : numpy.random.Generator
        Bootstrap, tosses, ties.

    Notes
    -----
    Areas and rates are cross-fitted: every shadow is scored by a model learned on the other folds.
    Rates put all targets on one scale, across folds: they describe the attack, they bound nothing.

    Bounds come from one split: scores, the target and its threshold are chosen on the first half of
    the shadows, errors are counted on the second. Clopper–Pearson and the Gaussian bound concern
    that one target, whose trials are independent fits. The bound from guesses pools all targets:
    every pair of a shadow and a target has a fair coin of its own, which enters one fit only, so
    that all fits together are one mechanism and the coins its canaries. It needs ``coins="fair"``.
    """
    scoring = scoring or GaussianRatio()
    pairs = np.arange(runs.design.shadows) // 2
    if not 2 <= folds <= pairs[-1] + 1:
        raise UsageError(f"folds must lie between 2 and half the shadows, got {folds}.")
    alpha = 1 - level
    first, second = np.flatnonzero(pairs <= pairs[-1] // 2), np.flatnonzero(pairs > pairs[-1] // 2)
    split = scoring.learn(runs, first, second)
    pooled = _cross_fitted(runs, scoring, pairs % folds)
    names = [*runs.features, "none"]
    return ShadowAttack(
        generator=runs.design.generator,
        claim=claim,
        shadows=runs.design.shadows,
        targets=runs.members.shape[1],
        level=level,
        auc=pooled.auc(level=level, rng=rng),
        cap=auc_cap(epsilon=claim.epsilon, delta=claim.delta),
        guessing=guessing(split.scored, runs.members[second], runs.design, level=level, rng=rng),
        tpr={at: pooled.tpr_at(at, level=level, rng=rng) for at in RATES},
        target_aucs=pooled.target_aucs(),
        best_maps={
            name: int(np.count_nonzero(split.best_map == place))
            for place, name in zip([*range(len(runs.features)), -1], names, strict=True)
        },
        curve=pooled.log_points(),
        bounds=tuple(_bounds(runs, split, first, second, delta=claim.delta, alpha=alpha, rng=rng)),
    )


def _cross_fitted(runs: ShadowRuns, scoring: GaussianRatio, folds: IntArray) -> PooledRoc:
    scores = np.zeros(runs.members.shape)
    for fold in np.unique(folds):
        scored = np.flatnonzero(folds == fold)
        scores[scored] = scoring.learn(runs, np.flatnonzero(folds != fold), scored).scored
    return PooledRoc(scores=scores, members=runs.members, folds=folds)


def _bounds(
    runs: ShadowRuns,
    split: Scores,
    first: IntArray,
    second: IntArray,
    *,
    delta: float,
    alpha: float,
    rng: np.random.Generator,
) -> list[Bound]:
    learned, counted = runs.members[first], runs.members[second]
    out = []
    chosen = _choose(split, learned, counted, delta=delta, alpha=alpha)
    if chosen is not None:
        target, threshold = chosen
        scores, inside = split.scored[:, target], counted[:, target]
        confusion = Confusion.at(threshold, inside=scores[inside], outside=scores[~inside])
        out.append(clopper_pearson(confusion, delta=delta, alpha=alpha))
        if delta > 0:  # no ε bounds a Gaussian curve at δ = 0
            out.append(gaussian(confusion, alpha=alpha).at(delta))
    if runs.design.coins == "fair" and counted.size >= 10:
        declared = [
            Guesses.by_rank(split.scored.ravel(), counted.ravel(), made=made, rng=rng)
            for made in numbers_of_guesses(counted.size)
        ]
        out.append(
            best_of(
                lambda each, level: one_run(each, delta=delta, alpha=level), declared, alpha=alpha
            )
        )
    return out


def _choose(
    split: Scores, learned: BoolArray, counted: BoolArray, *, delta: float, alpha: float
) -> tuple[int, float] | None:
    """Choose a target and a threshold on the learning shadows; ``None`` if no target can be used.

    Notes
    -----
    Whether the coins of a target fell on both sides does not depend on its scores: it may be asked
    of the shadows whose errors are counted, too.
    """
    bound = partial(clopper_pearson, delta=delta, alpha=alpha)
    best: tuple[tuple[float, float], int, float] | None = None
    for target in range(learned.shape[1]):
        inside, usable = learned[:, target], counted[:, target]
        if inside.all() or not inside.any() or usable.all() or not usable.any():
            continue
        scores = split.learned[:, target]
        for threshold in _thresholds(scores):
            found = Confusion.at(threshold, inside=scores[inside], outside=scores[~inside])
            worth = bound(found).lower, float(split.separation[target])
            if best is None or worth > best[0]:
                best = worth, target, threshold
    return None if best is None else (best[1], best[2])


def _thresholds(scores: FloatArray) -> list[float]:
    """Return the middles between neighbouring scores, those near even odds first."""
    different = np.unique(scores)
    middles = (different[1:] + different[:-1]) / 2 if len(different) > 1 else different
    return middles[np.argsort(np.abs(middles), kind="stable")].tolist()


def _shown(rate: Interval) -> str:
    return f"{rate.value:.4f} [{rate.low:.4f}, {rate.high:.4f}]"


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Replace numbers that JSON does not know by ``null``."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
