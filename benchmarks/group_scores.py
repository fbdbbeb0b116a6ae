"""How models of the synthetic table treat groups, beside models of as many real rows.

Boosted trees stand for all learners. What counts is the difference to TRTR: a model of real rows
can do badly for a group too, and that is not the synthetic table's doing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.discretise import Tables
from benchmarks.groups import Partition
from benchmarks.report import Metric
from benchmarks.scores import Classified, Outcome, percentile_interval, unit_weights
from benchmarks.training import FEWEST, Trained
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MOST_ROWS = 20_000
"""Holdout rows that groups are scored on."""
DRAWS = 200
"""Bootstrap draws over the units of these rows."""
FLAGGED = 0.05
"""A loss of a group that is surely above this becomes a finding."""

_FEWEST_ROWS = 30
_MODEL = "boosting"
_KEYS = {"tstr": ("tstr", _MODEL), "trtr": ("trtr", _MODEL), "dummy": ("trtr", "dummy")}


@dataclass(frozen=True, slots=True)
class Judged:
    """Figures of all groups.

    Parameters
    ----------
    metrics : list of Metric
        Of the worst group.
    rows : mapping of str to mapping of str to float
        Details by label of the group.
    findings : list of Finding
        Groups that a model does clearly worse for.
    """

    metrics: list[Metric] = field(default_factory=list)
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def measure(
    tables: Tables,
    chosen: list[Partition],
    *,
    rng: np.random.Generator,
    trained: Trained | Finding,
) -> Judged:
    """Score the learners in each group.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    chosen : list of Partition
        Groups. Those that the target itself makes are left out.
    rng : numpy.random.Generator
        Draws rows and bootstrap weights of the holdout.
    trained : Trained or Finding
        What :func:`benchmarks.training.train` returned.

    Returns
    -------
    Judged
        ``subgroups.tstr.worst_gap``: the largest loss of a group against TRTR, in AUROC; for
        numbers in mean absolute error, relative to that of a constant on all rows. For targets
        with two classes ``subgroups.tpr_gap`` and ``subgroups.fpr_gap``, the largest difference of
        a rate of true or false positives (threshold 0.5), and ``subgroups.parity_gap``, the
        largest difference of how far the shares of predicted positives lie apart between the
        groups of one column.

    Notes
    -----
    The floor is what the worst group is expected to show where both models are alike, from the
    paired bootstrap: the mean, over draws, of the largest deviation from the figure itself. It is 0
    where they agree on every row.
    """
    if isinstance(trained, Finding):
        return Judged()
    chosen = [partition for partition in chosen if trained.task.place not in partition.places]
    if not chosen:
        return Judged()
    kept = np.sort(rng.permutation(len(trained.task.test))[:MOST_ROWS])
    test = trained.task.test.take(kept)
    outcomes = {name: trained.outcomes[key].take(kept) for name, key in _KEYS.items()}
    # The first weighting is the figure, the others are the bootstrap.
    weights = np.vstack([np.ones((1, len(test))), unit_weights(test.units, DRAWS, rng)])
    masks = {
        label: group == number
        for partition in chosen
        for group in [partition.of(test)]
        for number, label in enumerate(partition.labels)
    }
    scored = dict(_scored(outcomes, masks, weights))
    out = Judged()
    if scored:
        _add_losses(out, chosen, scored, outcomes, len(test))
    positive = trained.task.classes[0] if len(trained.task.classes) == 1 else None
    if positive is not None:
        _add_rates(out, chosen, masks, outcomes, positive, weights)
    return out


def _scored(
    outcomes: dict[str, Outcome], masks: dict[str, BoolArray], weights: FloatArray
) -> Iterator[tuple[str, dict[str, FloatArray]]]:
    """Yield the scores of each group by learner, shape (n_weightings,); higher is better."""
    score = "auroc" if isinstance(outcomes["dummy"], Classified) else "mae"
    unit = 1.0
    if score == "mae":
        unit = -max(float(outcomes["dummy"].scores(weights[:1])["mae"][0]), 1e-300)
    for label, mask in masks.items():
        rows = np.flatnonzero(mask)
        if len(rows) < _FEWEST_ROWS:
            continue
        with np.errstate(invalid="ignore"):  # a draw can miss a group
            found = {
                name: outcome.take(rows).scores(weights[:, rows])[score] / unit
                for name, outcome in outcomes.items()
            }
        if np.isfinite(found["trtr"][0]):
            yield label, found


def _add_losses(
    out: Judged,
    chosen: list[Partition],
    scored: dict[str, dict[str, FloatArray]],
    outcomes: dict[str, Outcome],
    n: int,
) -> None:
    labels = list(scored)
    losses = {label: found["trtr"] - found["tstr"] for label, found in scored.items()}
    point = np.array([losses[label][0] for label in labels])
    at = int(point.argmax())
    low, high = _around(float(point[at]), losses[labels[at]][1:])
    metric = Metric(
        name="subgroups.tstr.worst_gap",
        value=float(point[at]),
        floor=_chance([losses[label] for label in labels]),
        references={"dummy": max(float((f["trtr"] - f["dummy"])[0]) for f in scored.values())},
        landmark="dummy",
        direction="lower",
        ci_low=low,
        ci_high=high,
        n=n,
    )
    out.metrics.append(metric)
    sign = 1.0 if isinstance(outcomes["dummy"], Classified) else -1.0
    for label, found in scored.items():
        out.rows.setdefault(label, {}).update(
            tstr=sign * float(found["tstr"][0]),
            trtr=sign * float(found["trtr"][0]),
            gap=float(losses[label][0]),
        )
    if low > FLAGGED:
        owner = next(partition for partition in chosen if labels[at] in partition.labels)
        message = (
            "a model trained on the synthetic table does clearly worse for a group of"
            f" {' × '.join(owner.columns)}."
        )
        out.findings.append(Finding("DPS323", Severity.WARNING, message))


def _add_rates(
    out: Judged,
    chosen: list[Partition],
    masks: dict[str, BoolArray],
    outcomes: dict[str, Outcome],
    positive: int,
    weights: FloatArray,
) -> None:
    said: dict[str, BoolArray] = {}
    for name, outcome in outcomes.items():
        assert isinstance(outcome, Classified)
        said[name] = outcome.probabilities[:, positive] >= 0.5
    first = outcomes["dummy"]
    assert isinstance(first, Classified)
    true = first.truth == positive
    members = np.column_stack(list(masks.values())).astype(np.float64)
    for rate, of in (("tpr_gap", true), ("fpr_gap", ~true)):
        rates = {name: _shares(weights, of, yes, members) for name, yes in said.items()}
        enough = (of @ members) >= FEWEST
        differences = rates["tstr"] - rates["trtr"]
        metric = _largest(
            f"subgroups.{rate}",
            differences[:, enough],
            (rates["dummy"] - rates["trtr"])[0, enough],
            int(of.sum()),
        )
        if metric is not None:
            out.metrics.append(metric)
        for number, label in enumerate(masks):
            if enough[number]:
                out.rows.setdefault(label, {})[rate] = float(differences[0, number])
    everyone = np.ones(len(true), dtype=bool)
    rates = {name: _shares(weights, everyone, yes, members) for name, yes in said.items()}
    large = members.sum(axis=0) >= _FEWEST_ROWS
    order = list(masks)
    apart = []
    for partition in chosen:
        mine = [order.index(label) for label in partition.labels if large[order.index(label)]]
        if len(partition.places) == 1 and len(mine) > 1:
            apart.append({name: np.ptp(found[:, mine], axis=1) for name, found in rates.items()})
    if apart:
        differences = np.column_stack([spread["tstr"] - spread["trtr"] for spread in apart])
        dummy = np.array([spread["dummy"][0] - spread["trtr"][0] for spread in apart])
        metric = _largest("subgroups.parity_gap", differences, dummy, len(true))
        if metric is not None:
            out.metrics.append(metric)


def _shares(weights: FloatArray, of: BoolArray, yes: BoolArray, members: FloatArray) -> FloatArray:
    """Return, among rows ``of`` each group, the share of ``yes``; (n_weightings, n_groups)."""
    with np.errstate(invalid="ignore"):
        return ((weights * (of & yes)) @ members) / ((weights * of) @ members)


def _largest(name: str, differences: FloatArray, dummy: FloatArray, n: int) -> Metric | None:
    """Return the largest difference in size; the first row holds the figures."""
    if not differences.shape[1]:
        return None
    at = int(np.abs(differences[0]).argmax())
    value = float(np.abs(differences[0, at]))
    signed = percentile_interval(differences[1:, at])
    inside = signed[0] <= 0.0 <= signed[1]
    low = 0.0 if inside else min(abs(end) for end in signed)
    return Metric(
        name=name,
        value=value,
        floor=_chance(list(differences.T), size=True),
        references={"dummy": float(np.nanmax(np.abs(dummy)))},
        landmark="dummy",
        direction="lower",
        ci_low=min(low, value),
        ci_high=max(value, *(abs(end) for end in signed)),
        n=n,
    )


def _around(value: float, draws: FloatArray) -> tuple[float, float]:
    low, high = percentile_interval(draws)
    return min(low, value), max(high, value)


def _chance(found: list[FloatArray], *, size: bool = False) -> float:
    """Return what the worst group shows where models are alike: deviations from the figures."""
    moved = np.column_stack([values[1:] - values[0] for values in found])
    moved = np.nan_to_num(np.abs(moved) if size else moved)
    return float(moved.max(axis=1).mean())
