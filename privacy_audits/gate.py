"""The rule by which an audit blocks, sends to a person, or finds nothing.

Pure: it takes what the parts of an audit found and returns a verdict with the findings behind it.

A gate that acts by itself is a channel. Whether a table came out tells something about the real
rows if real rows decided it, and no budget pays for that. So what was computed from real rows
blocks only where a mechanism that keeps its claim would be stopped with probability β or less:
releasing the table or nothing is then (ε, δ + e^ε β)-DP, and :func:`automatic_alpha` keeps
e^ε β below a tenth of δ. Whatever is weaker goes to a person. What was computed from the released
table and canaries alone is post-processing and may block at any level.

β leaves out what δ stands for: areas and copies are held against e^ε alone. That is right where δ
is the far tail of noise, as it is in all methods here. A mechanism that shows many records at once
with a chance in proportion to δ is stopped when it does, and the stop then costs more than a tenth
of δ.

References
----------
Papernot, Steinke, "Hyperparameter Tuning with Renyi Differential Privacy", arXiv 2110.03620.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dpsynth.errors import UsageError
from dpsynth.evidence import Finding, Severity, Verdict
from dpsynth.privacy import Budget
from privacy_audits.estimate import holm

CONFIDENCE = 0.95
"""Joint confidence of all upper bounds on risks together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the custodian accepts, fixed before the data are touched.

    Parameters
    ----------
    alpha : float
        Chance that the tests of an audit together suspect a mechanism that keeps its claim.
    most_auc : float
        An attack whose AUC may be higher (upper bound) goes to a person.
    most_true_alarms : float
        The same for its rate of true alarms at 1% false ones.
    most_excess : float
        The same for the excess of guesses that come true on members over non-members.
    least_holdout : int
        Held-out records below which an audit cannot say anything.
    """

    alpha: float = 0.01
    most_auc: float = 0.60
    most_true_alarms: float = 0.05
    most_excess: float = 0.05
    least_holdout: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise UsageError(f"alpha must lie in (0, 0.5), got {self.alpha}.")
        for name in ("most_auc", "most_true_alarms", "most_excess"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie in (0, 1].")
        if self.least_holdout < 1:
            raise UsageError("least_holdout must be at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Something that must hold, whatever the data.

    Parameters
    ----------
    code : str
        Finding code of its breach.
    holds : bool
        Whether it does.
    breach : str
        One sentence from public names that says what is wrong where it does not hold.
    """

    code: str
    holds: bool
    breach: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Violation:
    """A test of "this does no better than the claim allows".

    Parameters
    ----------
    code, name : str
        Finding code, and the attack or canary audit, as the subject of a sentence.
    p_value : float
        Chance of a result at least this strong under a mechanism that keeps its claim.
    real_rows : bool
        Whether real rows went into it: a canary audit on a released table has none.
    p_tail : float, optional
        The same by a test that is right far out in the tail as well, where an estimated variance
        is not; on real rows it decides about an automatic stop. ``p_value`` by default; 1 where no
        test is.
    """

    code: str
    name: str
    p_value: float
    real_rows: bool
    p_tail: float | None = None

    @property
    def stopping(self) -> float:
        """The p-value that an automatic stop goes by."""
        return self.p_value if self.p_tail is None else self.p_tail


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Influence:
    """A test of "being fitted or held out makes no difference".

    A release that keeps its claim may fail it: ε is not 0. What is seen goes to a person.

    Parameters
    ----------
    code, name : str
        Finding code, and the attack, as the subject of a sentence.
    p_value : float
        Chance of a difference at least this large if there is none.
    """

    code: str
    name: str
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Risk:
    """An upper bound on what an attacker gains, and what the policy accepts.

    Parameters
    ----------
    code, name : str
        Finding code, and the attack, as the subject of a sentence.
    quantity : str
        What is bounded, for example ``"AUC"``.
    upper : float
        Upper bound, at a level that makes all of an audit's hold together.
    accepted : float
        From the policy.
    """

    code: str
    name: str
    quantity: str
    upper: float
    accepted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Verdict and the findings behind it, the gravest first."""

    verdict: Verdict
    findings: tuple[Finding, ...]


def automatic_alpha(claim: Budget) -> float:
    """Return the chance of a false stop at which acting on real rows costs nearly nothing.

    Parameters
    ----------
    claim : Budget
        The (ε, δ) that the table was released under.

    Returns
    -------
    float
        δ e^-ε / 10.
    """
    return claim.delta * math.exp(-claim.epsilon) / 10


def decide(
    *,
    policy: Policy,
    claim: Budget | None,
    rules: Sequence[Rule],
    violations: Sequence[Violation],
    influences: Sequence[Influence],
    risks: Sequence[Risk],
    silent: Iterable[Finding] = (),
) -> Decision:
    """Apply the rule.

    Parameters
    ----------
    policy : Policy
        Thresholds.
    claim : Budget or None
        What the table was released under; without one no attack has a cap and nothing but rules
        and risks can speak.
    rules : sequence of Rule
        Any breach blocks.
    violations : sequence of Violation
        Those with and those without real rows have half of the level each; adjusted after Holm.
    influences : sequence of Influence
        Adjusted together after Holm; what is left goes to a person.
    risks : sequence of Risk
        A bound above what is accepted: no violation was found, and none of that size excluded.
    silent : iterable of Finding
        Reasons for which the instruments could not have seen a violation.

    Returns
    -------
    Decision
        The first that applies of block, review, inconclusive, no violation found. No verdict says
        that a table is safe.

    Privacy
    -------
    The verdict is a function of real rows wherever rules, violations or risks are: keep it in the
    house, but for what the module says about automatic stops.
    """
    blocking = [_error(rule.code, rule.breach) for rule in rules if not rule.holds]
    doubtful: list[Finding] = []
    stop = 0.0 if claim is None else automatic_alpha(claim) / max(1, len(violations))
    # Half of the level each: a dozen attacks on real rows would leave canaries without power.
    families = [[t for t in violations if t.real_rows == real] for real in (False, True)]
    adjusted = [
        (t, p) for f in families for t, p in zip(f, holm([t.p_value for t in f]), strict=True)
    ]
    for test, p_value in adjusted:
        if p_value >= policy.alpha / 2:
            continue
        if not test.real_rows or test.stopping < stop:
            blocking.append(_error(test.code, f"{test.name} does better than the claim allows."))
        else:
            doubtful.append(
                _warning(
                    test.code,
                    f"{test.name} does better than the claim allows, at a level at which a person "
                    "decides.",
                )
            )
    seen = holm([influence.p_value for influence in influences])
    doubtful += [
        _warning(influence.code, f"{influence.name} tells fitted records from held-out ones.")
        for influence, p_value in zip(influences, seen, strict=True)
        if p_value < policy.alpha
    ]
    unable = [
        *silent,
        *(
            Finding(
                risk.code,
                Severity.INFO,
                f"{risk.name}: its {risk.quantity} is not bounded by the {risk.accepted:g} that "
                "the policy accepts.",
            )
            for risk in risks
            if not risk.upper <= risk.accepted
        ),
    ]
    if blocking:
        verdict = Verdict.FAIL
    elif doubtful:
        verdict = Verdict.REVIEW
    elif unable:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASS
    return Decision(verdict=verdict, findings=(*blocking, *doubtful, *unable))


def _error(code: str, message: str) -> Finding:
    return Finding(code, Severity.ERROR, message)


def _warning(code: str, message: str) -> Finding:
    return Finding(code, Severity.WARNING, message)
