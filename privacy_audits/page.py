"""The audit as one page for the house: ROC curves, caps, bounds against the claim."""

from __future__ import annotations

import math

from dpsynth.evidence import Verdict
from dpsynth.pages import render
from privacy_audits import figures, report
from privacy_audits.estimate import Bound

_LEAST_AXIS = 1.0
_ROOM = 1.15
_DIGITS = 12


def to_html(audit: report.AuditReport) -> str:
    """Return the page.

    Parameters
    ----------
    audit : AuditReport
        What was found. The page is as confidential as it is.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    claim, level = audit.claim, audit.level
    bounds = _bounds(audit)
    top = _top(bounds)
    return render(
        "privacy_audits",
        "audit.html.jinja",
        a=audit,
        verdict=report.VERDICTS[audit.verdict],
        reason=report.REASONS[audit.verdict],
        blocked=audit.verdict == Verdict.FAIL,
        banner=report.BANNER,
        digest="not bound" if audit.table_sha256 is None else audit.table_sha256[:_DIGITS],
        meaning=report.MEANING,
        findings=audit.decision.findings,
        claim=claim,
        level=level,
        roc=[figures.roc_line(attack.name, attack.curve) for attack in audit.table.membership],
        cap=None if claim is None else figures.cap_line(epsilon=claim.epsilon, delta=claim.delta),
        areas=[
            figures.span(
                attack.name,
                low=attack.auc.lower(level),
                high=attack.auc.upper(level),
                mark=attack.auc.point,
                limit=attack.auc_cap,
                axis=_AREAS,
            )
            for attack in audit.table.membership
        ],
        area_axis=_AREAS,
        bounds=bounds,
        spans=[
            figures.span(
                name,
                low=0.0,
                high=bound.lower,
                mark=bound.point,
                limit=bound.ceiling,
                axis=(0, top),
                claim=own,
            )
            for name, bound, own in bounds
        ],
        top=top,
        side=figures.SIDE,
        decades=figures.DECADES,
        finite=math.isfinite,
    )


_AREAS = (0.0, 1.0)

Row = tuple[str, Bound, float | None]
"""Name of an instrument, what it bounds, and the ε that this is held against."""


def _bounds(audit: report.AuditReport) -> list[Row]:
    """Return all lower bounds on ε, those of canaries first."""
    found: list[Row] = []
    if (canaries := audit.canaries) is not None:
        # Canaries sit in one mechanism of the plan, whose own ε is less than that of the whole.
        both = (canaries.conformance, *canaries.bounds)
        found += [(f"canaries: {bound.method}", bound, canaries.claim) for bound in both]
    whole = None if audit.claim is None else audit.claim.epsilon
    found += [(f"table: {a.name}", a.one_run, whole) for a in audit.table.membership]
    return found


def _top(bounds: list[Row]) -> float:
    """Return an end of the ε axis that shows the claims, every bound and every finite ceiling."""
    ends = [_LEAST_AXIS]
    for _, bound, claim in bounds:
        ends += [bound.lower, 0.0 if claim is None else claim]
        ends += [bound.ceiling] if math.isfinite(bound.ceiling) else []
    return _ROOM * max(ends)
