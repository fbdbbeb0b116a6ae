"""What an audit of a released table says. All of it is computed from rows: internal evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import hypergeom

from dpsynth.privacy import Budget
from privacy_audits.attacks.proximity import Screening
from privacy_audits.estimate.bound import Bound
from privacy_audits.estimate.guesses import Guesses
from privacy_audits.estimate.one_run import one_run_p_value
from privacy_audits.estimate.roc import Auc, Rate, newcombe

HARD = 1e-7
"""Largest p-value of a hard rule: how often it may block a release that did nothing wrong."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Membership:
    """One membership attack on members and non-members.

    Parameters
    ----------
    name : str
        The attack, and the targets where these were chosen.
    auc : Auc
        Area under its ROC curve.
    curve : tuple of pairs of float
        Corners of that curve: false and true positive rates, ascending.
    rates : mapping of float to Rate or None
        True positive rate at each false positive rate; None where there are too few non-members.
    one_run : Bound
        Lower bound on ε from guesses about the targets.
    auc_cap : float or None
        Largest area under the claim.
    p_value : float or None
        Of the hypothesis that the attack stays within the claim.
    p_exact : float or None
        The same without an estimated variance: weaker, and right far out in the tail.
    p_no_influence : float
        Of the hypothesis that membership has no influence at all (ε = 0).
    """

    name: str
    auc: Auc
    curve: tuple[tuple[float, float], ...]
    rates: Mapping[float, Rate | None]
    one_run: Bound
    auc_cap: float | None
    p_value: float | None
    p_exact: float | None
    p_no_influence: float

    @property
    def violated(self) -> bool:
        """Whether the claim is refuted beyond the level of a hard rule."""
        return self.p_exact is not None and self.p_exact < HARD

    def to_dict(self, *, alpha: float) -> dict[str, Any]:
        """Return plain numbers; bounds are one-sided at level ``alpha``."""
        return {
            "auc": {
                "point": self.auc.point,
                "lower": self.auc.lower(alpha),
                "upper": self.auc.upper(alpha),
                "cap": self.auc_cap,
            },
            "tpr_at_fpr": {
                f"{level:g}": None if rate is None else _rate(rate, alpha)
                for level, rate in self.rates.items()
            },
            "one_run": {
                "lower": self.one_run.lower,
                "point": self.one_run.point if math.isfinite(self.one_run.point) else None,
                "ceiling": self.one_run.ceiling,
                "method": self.one_run.method,
                "assumptions": list(self.one_run.assumptions),
                "delta": self.one_run.delta,
            },
            "p_value": self.p_value,
            "p_exact": self.p_exact,
            "p_no_influence": self.p_no_influence,
            "violated": self.violated,
        }

    def __repr__(self) -> str:
        return f"Membership({self.name!r}, confidential)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Gap:
    """Success of an attack on fitted records and, as a control, on held-out ones.

    Parameters
    ----------
    name : str
        The attack.
    fitted, held_out : Rate
        Successes of the attacks made on each side.
    p_value : float or None
        Of the hypothesis that the successes stay within the claim.
    p_pure : float or None
        Of the hypothesis that they stay within e^ε, δ aside.
    p_no_influence : float
        Of the hypothesis that membership has no influence at all (ε = 0).
    hard : bool
        Whether the attack is a hard rule.
    """

    name: str
    fitted: Rate
    held_out: Rate
    p_value: float | None
    p_pure: float | None
    p_no_influence: float
    hard: bool = False

    @property
    def difference(self) -> float:
        """Success on fitted records minus success on held-out ones."""
        return self.fitted.point - self.held_out.point

    def limits(self, alpha: float) -> tuple[float, float]:
        """Return Newcombe limits of the difference, ``alpha`` in each tail."""
        return newcombe(self.fitted, self.held_out, alpha=alpha)

    @property
    def certain(self) -> bool:
        """Whether membership has an influence, at p < 1e-7; a claim may allow it."""
        return self.p_no_influence < HARD

    @property
    def violated(self) -> bool:
        """Whether a hard rule is broken: an excess that is certain, and larger than e^ε allows."""
        return self.hard and self.certain and (self.p_pure is None or self.p_pure < HARD)

    def to_dict(self, *, alpha: float) -> dict[str, Any]:
        """Return plain numbers; bounds are one-sided at level ``alpha``."""
        low, high = self.limits(alpha)
        return {
            "fitted": _rate(self.fitted, alpha),
            "held_out": _rate(self.held_out, alpha),
            "difference": {"point": self.difference, "lower": low, "upper": high},
            "p_value": self.p_value,
            "p_pure": self.p_pure,
            "p_no_influence": self.p_no_influence,
            "certain": self.certain,
            "hard": self.hard,
            "violated": self.violated,
        }

    def __repr__(self) -> str:
        return f"Gap({self.name!r}, confidential)"


def _rate(rate: Rate, alpha: float) -> dict[str, float]:
    return {
        "point": rate.point,
        "lower": rate.lower(alpha),
        "upper": rate.upper(alpha),
        "trials": rate.trials,
    }


def gap(
    name: str,
    fitted: Rate,
    held_out: Rate,
    *,
    claim: Budget | None,
    guessed: tuple[Rate, Rate] | None = None,
    hard: bool = False,
) -> Gap:
    """Compare two success rates with no influence and with a claim.

    Parameters
    ----------
    name : str
        The attack.
    fitted, held_out : Rate
        What is reported.
    claim : Budget or None
        What the release claims.
    guessed : pair of Rate, optional
        Records that the attack takes for members, of the fitted and of the held-out ones, where
        that is not the same as a success.
    hard : bool
        Whether it is a hard rule.

    Notes
    -----
    No influence: Fisher's exact test. Claim: an attack that guesses "member" where it succeeds,
    and one that also guesses "non-member" where it fails, both as one run of guesses about coins
    with the odds of the two sizes; the smaller p-value counts twice. With m records and δ > 0 no
    such p-value falls below about mδ times a constant: a mechanism that fails with probability δ
    may show everything when it does. The first guess at δ = 0 leaves that case aside.
    """
    mine, theirs = guessed or (fitted, held_out)
    both, total = mine.successes + theirs.successes, mine.trials + theirs.trials
    by_chance = float(hypergeom.sf(mine.successes - 1, total, mine.trials, both))
    p_value = p_pure = None
    if claim is not None:
        # Odds of the sides count as if they were part of the factor that the claim allows.
        odds = math.log(mine.trials / theirs.trials)
        right = mine.successes + theirs.trials - theirs.successes
        p_pure = _p_of(total, both, mine.successes, epsilon=claim.epsilon + odds, delta=0.0)
        p_value = min(
            1.0,
            2 * _p_of(total, both, mine.successes, epsilon=claim.epsilon + odds, delta=claim.delta),
            2 * _p_of(total, total, right, epsilon=claim.epsilon + abs(odds), delta=claim.delta),
        )
    return Gap(
        name=name,
        fitted=fitted,
        held_out=held_out,
        p_value=p_value,
        p_pure=p_pure,
        p_no_influence=min(1.0, by_chance),
        hard=hard,
    )


def _p_of(records: int, made: int, correct: int, *, epsilon: float, delta: float) -> float:
    if not made:
        return 1.0
    guesses = Guesses(canaries=records, made=made, correct=correct)
    return one_run_p_value(guesses, epsilon=epsilon, delta=delta)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TableAudit:
    """What attacks on one released table found.

    Parameters
    ----------
    membership : tuple of Membership
        Membership attacks.
    gaps : tuple of Gap
        Attacks with a held-out control; the exact copies among them are a hard rule.
    outside_domain : tuple of str
        Columns in which the released table leaves the declared public domain: a hard rule without
        chance.
    screening : Screening or None
        Distances; no rule refers to them. None where too few units were held out for any attack.
    randomised : bool
        Whether recorded coins chose the members. Without them a one-run bound is heuristic.
    claim : Budget or None
        What the release claims.
    alpha : float
        One-sided level of the one-run bounds and of :meth:`to_dict`.
    members, others, reference : int
        Targets on each side, and reference rows. Sensitive.

    Privacy
    -------
    Every number is computed from rows and lies outside the guarantee; ``repr`` shows none.
    """

    membership: tuple[Membership, ...]
    gaps: tuple[Gap, ...]
    outside_domain: tuple[str, ...]
    screening: Screening | None
    randomised: bool
    claim: Budget | None
    alpha: float
    members: int
    others: int
    reference: int

    @property
    def hard_violations(self) -> tuple[str, ...]:
        """Names of hard rules that are broken: without chance, or at p < 1e-7."""
        found = ["outside-domain"] if self.outside_domain else []
        found += [m.name for m in self.membership if m.violated]
        found += [g.name for g in self.gaps if g.violated]
        return tuple(found)

    @property
    def certain_copies(self) -> tuple[str, ...]:
        """Names of copy rules with an excess over held-out rows at p < 1e-7.

        Not by itself a violation: a noisy histogram of few cells keeps its claim and shows some of
        the cells that one person alone is in. In a table of many columns nothing but copying
        explains it; a person decides.
        """
        return tuple(g.name for g in self.gaps if g.hard and g.certain)

    @property
    def hard_false_alarms(self) -> float:
        """Bound on the chance that a rule with p < 1e-7 is broken without a cause, δ aside.

        A gate that blocks by itself on real rows is a channel of its own: this chance should not
        exceed a tenth of δ e^(−ε).
        """
        tested = len(self.membership) if self.claim is not None else 0
        return HARD * (tested + sum(g.hard for g in self.gaps))

    @property
    def p_values(self) -> dict[str, float]:
        """P-value of "stays within the claim" per attack; empty without a claim. Soft."""
        results = (*self.membership, *self.gaps)
        return {r.name: r.p_value for r in results if r.p_value is not None}

    @property
    def p_no_influence(self) -> dict[str, float]:
        """P-value of "membership has no influence" per attack. Soft."""
        return {r.name: r.p_no_influence for r in (*self.membership, *self.gaps)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for internal evidence."""
        claim = self.claim
        return {
            "claim": None if claim is None else {"epsilon": claim.epsilon, "delta": claim.delta},
            "randomised": self.randomised,
            "alpha": self.alpha,
            "members": self.members,
            "others": self.others,
            "reference": self.reference,
            "outside_domain": list(self.outside_domain),
            "membership": {m.name: m.to_dict(alpha=self.alpha) for m in self.membership},
            "gaps": {g.name: g.to_dict(alpha=self.alpha) for g in self.gaps},
            "screening": None
            if self.screening is None
            else {
                "closer_to_members": self.screening.closer_to_members,
                "member_ratio": self.screening.member_ratio,
                "other_ratio": self.screening.other_ratio,
            },
            "certain_copies": list(self.certain_copies),
            "hard_violations": list(self.hard_violations),
            "hard_false_alarms": self.hard_false_alarms,
        }

    def __repr__(self) -> str:
        return f"TableAudit({len(self.membership) + len(self.gaps)} attacks, confidential)"
