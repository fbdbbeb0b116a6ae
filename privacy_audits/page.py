"""The audit as one page for the house: ROC curves, caps, bounds against the claim."""

from __future__ import annotations

import math

from dpsynth.evidence import Verdict
from dpsynth.pages import render
from privacy_audits import figures, report
from privacy_audits.estimate import Bound

_LEAST_AXIS = 1.0
_ROOM = 1.15


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
    top = _top(audit, bounds)
    return render(
        "privacy_audits",
        "audit.html.jinja",
        a=audit,
        verdict=report.VERDICTS[audit.verdict],
        reason=report.REASONS[audit.verdict],
        blocked=audit.verdict == Verdict.FAIL,
        banner=report.BANNER,
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
            )
            for name, bound in bounds
        ],
        claimed=None if claim is None else claim.epsilon / top,
        top=top,
        side=figures.SIDE,
        decades=figures.DECADES,
        finite=math.isfinite,
    )


_AREAS = (0.4, 1.0)


def _bounds(audit: report.AuditReport) -> list[tuple[str, Bound]]:
    """Return all lower bounds on ε, those of canaries first."""
    found: list[tuple[str, Bound]] = []
    if audit.canaries is not None:
        both = (audit.canaries.conformance, *audit.canaries.bounds)
        found += [(f"canaries: {bound.method}", bound) for bound in both]
    found += [(f"table: {attack.name}", attack.one_run) for attack in audit.table.membership]
    return found


def _top(audit: report.AuditReport, bounds: list[tuple[str, Bound]]) -> float:
    """Return an end of the ε axis that shows the claim, every bound and every finite ceiling."""
    ends = [_LEAST_AXIS, *(bound.lower for _, bound in bounds)]
    ends += [bound.ceiling for _, bound in bounds if math.isfinite(bound.ceiling)]
    if audit.claim is not None:
        ends.append(audit.claim.epsilon)
    return _ROOM * max(ends)
