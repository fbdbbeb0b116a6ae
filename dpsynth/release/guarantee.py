"""The guarantee of a release in numbers and in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dpsynth.accountant import Accountant
from dpsynth.certificate import Meaning
from dpsynth.certificate.figures import chance, factor, power, up
from dpsynth.privacy import Budget, Mechanism, NeighbouringRelation, PrivacyUnit

DELTAS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.5)

_GATE_SHARE = 10
_LARGEST = 700.0


@lru_cache(maxsize=32)
def epsilon_at(mechanisms: tuple[Mechanism, ...], delta: float) -> float:
    """Return ε at δ of mechanisms together, rounded up."""
    return Accountant(mechanisms).certificate(delta)


@lru_cache(maxsize=32)
def _figures(mechanisms: tuple[Mechanism, ...], delta: float) -> tuple[Any, ...]:
    accountant = Accountant(mechanisms)
    epsilon = accountant.certificate(delta)
    missed = [float(rate) for rate in accountant.tradeoff(FALSE_POSITIVE_RATES)]
    advantage = min(1.0, max(0.0, accountant.advantage()))
    detected = {
        rate: min(1.0, max(rate, 1 - miss))
        for rate, miss in zip(FALSE_POSITIVE_RATES, missed, strict=True)
    }
    meaning = Meaning(
        odds_factor=math.exp(min(epsilon, _LARGEST)),
        best_guess=(1 + advantage) / 2,
        advantage=advantage,
        tpr_at_1_percent=detected[0.01],
        tpr_at_0_1_percent=detected[0.001],
    )
    deltas = sorted({*DELTAS, delta}, reverse=True)
    pairs = [(other, accountant.certificate(other)) for other in deltas]
    return (
        epsilon,
        [{"delta": d, "epsilon": e} for d, e in pairs if math.isfinite(e)],
        [
            {"false_positive_rate": rate, "false_negative_rate": miss}
            for rate, miss in zip(FALSE_POSITIVE_RATES, missed, strict=True)
        ],
        meaning.to_dict(),
    )


def figures(mechanisms: tuple[Mechanism, ...], delta: float) -> dict[str, Any]:
    """Return what a manifest says about the strength of mechanisms together.

    Parameters
    ----------
    mechanisms : tuple of Mechanism
        Everything that ran for a release; all for one neighbouring relation.
    delta : float
        δ of the headline.

    Returns
    -------
    dict
        ``epsilon``, ``delta``, ``epsilon_at_delta``, ``tradeoff`` and ``meaning``.
    """
    epsilon, pairs, tradeoff, meaning = _figures(mechanisms, delta)
    return {
        "epsilon": epsilon,
        "delta": delta,
        "epsilon_at_delta": [dict(pair) for pair in pairs],
        "tradeoff": [dict(point) for point in tradeoff],
        "meaning": dict(meaning),
    }


def gate_terms(claim: Budget, epsilon: float) -> dict[str, float]:
    """Return how often rules that read real rows may stop a sound release, and what that costs.

    Parameters
    ----------
    claim : Budget
        What the fit was calibrated to, by which the gate goes.
    epsilon : float
        ε of everything in the release, at the same δ.

    Notes
    -----
    The gate stops a sound release with probability at most β = δ e^-ε / 10 at the claim's ε. "The
    release or nothing" is then (ε, δ + e^ε β)-differentially private.
    """
    beta = claim.delta * math.exp(-min(claim.epsilon, _LARGEST)) / _GATE_SHARE
    excess = claim.delta * math.exp(min(epsilon - claim.epsilon, _LARGEST)) / _GATE_SHARE
    return {"beta": beta, "delta_with_gate": min(1.0, claim.delta + excess)}


def unit_of(manifest: Mapping[str, Any]) -> PrivacyUnit:
    """Return who is protected."""
    return PrivacyUnit(**manifest["privacy"]["plan"]["unit"])


def unit_words(unit: PrivacyUnit) -> str:
    """Name the unit of privacy in plain words."""
    if unit.column is None:
        return "one row"
    rows = "the row" if unit.max_rows == 1 else f"all rows (at most {unit.max_rows})"
    return f"{rows} of one “{unit.column}”"


def sentences(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what the guarantee of a manifest means, in plain words with its numbers."""
    privacy, unit = manifest["privacy"], unit_of(manifest)
    meaning = privacy["meaning"]
    rows = unit_words(unit)
    if unit.relation is NeighbouringRelation.ADD_REMOVE:
        change = f"Adding or removing {rows}"
        question = "whether a given one is in the data"
    else:
        change = f"Exchanging {rows} for another’s"
        question = "which of two candidates is in the data"
    return (
        f"{change} changes the probability of anything that this release could show by at most a "
        f"factor e^ε = {factor(meaning['odds_factor'])}, except with probability "
        f"δ = {power(privacy['delta'])}.",
        "Somebody who knows everybody else’s rows, sees everything in this release and thinks both "
        f"cases equally likely guesses {question} correctly at most "
        f"{chance(meaning['best_guess'])} of the time; a coin does so 50% of the time.",
        "A cautious attacker who accuses 1% of those who are not in the data finds at most "
        f"{chance(meaning['tpr_at_1_percent'])} of those who are.",
    )


def text(manifest: Mapping[str, Any]) -> str:
    """Return the guarantee on one page of plain text."""
    privacy, ledger = manifest["privacy"], manifest["ledger"]
    together = ledger["cumulative"]
    said = "\n\n".join(sentences(manifest))
    return (
        "This table is synthetic: its rows were not copied, but drawn from a model that was fitted "
        "with differential privacy.\n\n"
        f"Release: {manifest['name']}, {manifest['id']}\n"
        f"Protected: {privacy['unit']}; neighbouring relation {privacy['neighbouring_relation']}.\n"
        f"Guarantee: ε = {up(privacy['epsilon'])} at δ = {power(privacy['delta'])}.\n\n"
        f"{said}\n\n"
        "All releases about these people together, this one included, have cost "
        f"ε = {up(together['epsilon'])} of ε = {up(ledger['budget']['epsilon'])} at "
        f"δ = {power(ledger['budget']['delta'])}.\n\n"
        f"Not protected: {'; '.join(manifest['unprotected_quantities'])}.\n"
    )
