"""The audit as one page for the house: ROC curves, caps, bounds against the claim.

Its short form for a notebook.
"""

from __future__ import annotations

import math

from dpsynth.evidence import Verdict
from dpsynth.pages import render
from dpsynth.pages.drawings import drawings
from dpsynth.pages.fragments import Rows, finding_rows, fragment
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


def to_figures(audit: report.AuditReport) -> dict[str, str]:
    """Return the drawings of the page by name, each an SVG document of its own."""
    return drawings(to_html(audit), package="privacy_audits", style="audit.css.jinja")


def to_fragment(audit: report.AuditReport) -> str | None:
    """Return what a notebook shows of an audit: verdict, attacks, findings; no count of records.

    None without the extra ``report``.
    """
    claim, level = audit.claim, audit.level
    attacks = Rows(
        caption="Membership attacks: area under the ROC curve, bounds that hold together",
        head=("Attack", "AUC", "95 % bounds", "Cap", "ε at least", "Ceiling"),
        rows=tuple(
            (
                attack.name,
                f"{attack.auc.point:.3f}",
                f"[{attack.auc.lower(level):.3f}, {attack.auc.upper(level):.3f}]",
                "–" if attack.auc_cap is None else f"{attack.auc_cap:.3f}",
                f"{attack.one_run.lower:.2f}",
                f"{attack.one_run.ceiling:.2f}",
            )
            for attack in audit.table.membership
        ),
    )
    controlled = Rows(
        caption="Attacks with a held-out control: share that succeeds",
        head=("Attack", "Fitted", "Held out", "Excess", "95 % bounds"),
        rows=tuple(
            (
                gap.name,
                f"{gap.fitted.point:.3f}",
                f"{gap.held_out.point:.3f}",
                f"{gap.difference:+.3f}",
                "[{:+.3f}, {:+.3f}]".format(*gap.limits(level)),
            )
            for gap in audit.table.gaps
        ),
    )
    heuristic = () if audit.table.randomised else (report.HEURISTIC,)
    canaries = () if audit.canaries is None else audit.canaries.sentences()
    return fragment(
        f"Audit of {audit.schema_name}: {report.VERDICTS[audit.verdict]}",
        stamp=f"CONFIDENTIAL: {report.BANNER}",
        facts=[
            ("Verdict", report.REASONS[audit.verdict]),
            ("Claim", "none" if claim is None else f"ε = {claim.epsilon:g}, δ = {claim.delta:g}"),
        ],
        tables=[finding_rows(audit.decision.findings), attacks, controlled],
        remarks=[*heuristic, *canaries, report.MEANING],
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
