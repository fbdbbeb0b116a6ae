"""What a release must reach, fixed and hashed before a row is read.

Thresholds that are chosen after a result are no thresholds. Their digest stands in the ledger's
verdicts and in the manifest of the release.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.disclosure import BoughtReport
from benchmarks.uses import Thresholds
from dpsynth.errors import UsageError
from dpsynth.evidence import Evidence, Finding, Severity, Verdict
from privacy_audits.attacks import Design
from privacy_audits.canaries import LEAST_CANARIES
from privacy_audits.gate import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """Noisy figures about the released table that may be published, and what they must reach.

    What is bought decides by itself: a table beyond a limit is not released. Figures that were
    not bought never do.

    Parameters
    ----------
    epsilon : float
        ε that they cost, in addition to the budget of the fit; 0 for none.
    one_way : float, optional
        Most that the bought mean distance of single columns may be.
    two_way : float, optional
        Most that the bought mean distance of pairs may be.
    """

    epsilon: float = 0.0
    one_way: float | None = None
    two_way: float | None = None

    def __post_init__(self) -> None:
        # Not a number is not above 0 either: nothing would be bought, and no limit would hold.
        if not 0 <= self.epsilon < math.inf:
            raise UsageError("epsilon must be 0 or more.")
        limits = (self.one_way, self.two_way)
        if any(limit is not None and not 0 < limit <= 1 for limit in limits):
            raise UsageError("one_way and two_way must lie in (0, 1].")
        if self.epsilon == 0 and limits != (None, None):
            raise UsageError(
                "a limit needs a figure, and a figure must be bought.",
                fix="give epsilon, or leave the limits out.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How the released table and its method are attacked.

    Parameters
    ----------
    audited : float
        Chance of every unit to be an audit record, which a fair coin fits or holds out.
    reference : float
        Chance of every unit to be held out for comparison.
    canaries : int
        Canaries in a run of the method on the released table, which spends nothing.
    """

    audited: float = 0.2
    reference: float = 0.1
    canaries: int = 1000

    def __post_init__(self) -> None:
        self.design  # noqa: B018 - its own rules
        if self.canaries < LEAST_CANARIES:
            raise UsageError(f"canaries must be at least {LEAST_CANARIES}.")

    @property
    def design(self) -> Design:
        """The chances."""
        return Design(audited=self.audited, reference=self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """All of them.

    Parameters
    ----------
    audit : Audit
        How the table and its method are attacked.
    policy : Policy
        What an audit may find.
    uses : Thresholds
        What the table must reach to be called fit for a use, in the house.
    purchase : Purchase
        What is bought for the public, and what it must reach.
    """

    audit: Audit = field(default_factory=Audit)
    policy: Policy = field(default_factory=Policy)
    uses: Thresholds = field(default_factory=Thresholds)
    purchase: Purchase = field(default_factory=Purchase)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, of which the manifest states the digest."""
        return asdict(self)


def judged(report: BoughtReport, purchase: Purchase) -> Evidence:
    """Return bought figures as evidence, held against their limits.

    Parameters
    ----------
    report : BoughtReport
        The figures.
    purchase : Purchase
        What they must reach.

    Privacy
    -------
    Post-processing of figures that were paid for: a stop by them costs nothing more.
    """
    evidence = report.evidence()
    limits = {"tvd1.mean": purchase.one_way, "tvd2.mean": purchase.two_way}
    missed = [
        Finding(
            "DPS356",
            Severity.ERROR,
            f"the bought figure {name} does not stay within the limit that was fixed before.",
        )
        for name, limit in limits.items()
        # A figure that the noise hides does not stay within anything.
        if limit is not None and not (name in report and report[name].value <= limit)
    ]
    if not missed:
        return evidence
    return replace(evidence, findings=(*evidence.findings, *missed), verdict=Verdict.FAIL)
