"""The public page: what a recipient should know before using the table, in one file.

Made from the manifest, the schema and the evidence that may be published; it holds no other figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from dpsynth.certificate import figures, wording
from dpsynth.errors import IntegrityError
from dpsynth.evidence import Evidence, Verdict
from dpsynth.pages import render
from dpsynth.release import guarantee, layout, limits
from dpsynth.release.croissant import describe
from dpsynth.release.facts import PublicationFacts
from dpsynth.release.registry import statement_of
from dpsynth.schema import Schema

_TEMPLATE = "release.html.jinja"

_VERDICTS = {
    Verdict.PASS: "No violation was found by the audits that may be published.",
    Verdict.INCONCLUSIVE: (
        "The audits that may be published found nothing, and could not have seen everything."
    ),
    Verdict.REVIEW: "An audit that may be published asks a person to decide; its findings say why.",
}
_NO_AUDIT = "No audit that may be published is part of this release."

_USES = (
    ("Shares within single columns", "tvd1.mean"),
    ("Relations of two columns", "tvd2.mean"),
    ("Counts over two and three columns", "workload.mean"),
    ("Training a predictor", "tstr.boosting.auroc"),
    ("Inference: intervals and tests", None),
)

_PLACES = 3
_FACTS = tuple(field.name for field in fields(PublicationFacts))


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityFigure:
    """One published figure of utility.

    Parameters
    ----------
    name : str
        Its stable name.
    value, ci_low, ci_high, floor : float or None
        The figure, its 95 % interval, and what a perfect table would give.
    better : str
        Which way is better.
    """

    name: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    floor: float | None
    better: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditBound:
    """One lower bound of a canary audit.

    Parameters
    ----------
    method : str
        Name of the estimator.
    lower, ceiling : float, float or None
        ε is at least ``lower``; the most that could have been shown, None without a limit.
    confidence : float
        Of the bound, one-sided.
    assumptions : tuple of str
        What must hold.
    """

    method: str
    lower: float | None
    ceiling: float | None
    confidence: float
    assumptions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryFigures:
    """What a published audit says of its canaries.

    Parameters
    ----------
    canaries : int
        Their number.
    claim, delta : float
        ε that is claimed of the mechanism in which they sit, and its δ.
    bounds : tuple of AuditBound
        The one by d′ first.
    """

    canaries: int
    claim: float
    delta: float
    bounds: tuple[AuditBound, ...]


def to_html(manifest: Mapping[str, Any], schema: Schema, evidence: Sequence[Evidence]) -> str:
    """Return the page.

    Parameters
    ----------
    manifest : mapping
        The manifest of the release.
    schema : Schema
        The released schema.
    evidence : sequence of Evidence
        What may be published, in the order of the manifest.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    IntegrityError
        If evidence does not have the form in which validators write it.
    """
    statement = statement_of(manifest)
    audits = [item for item in evidence if item.kind == "audit"]
    utility = [(item, utility_figures(item)) for item in evidence if item.kind == "utility"]
    return render(
        "dpsynth.release",
        _TEMPLATE,
        m=manifest,
        facts={**dict.fromkeys(_FACTS), **(manifest["publication"] or {})},
        schema=schema,
        bars=figures.waterfall(statement),
        statement=statement,
        sentences=guarantee.sentences(manifest),
        unit=guarantee.unit_words(guarantee.unit_of(manifest)),
        verdict=_verdict(audits),
        audits=[(item, canary_figures(item)) for item in audits],
        utility=[(item, _notice(item), found) for item, found in utility],
        uses=_uses([figure for _, found in utility for figure in found]),
        limits=limits.known(manifest),
        describe=describe,
        say=wording,
        show=figures,
        number=number,
        layout=layout,
    )


def number(value: float | None) -> str:
    """Print a figure with three decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.{_PLACES}f}"


def utility_figures(item: Evidence) -> list[UtilityFigure]:
    """Return the figures of one utility evidence, by name."""
    found = item.metrics.get("metrics", {})
    if not isinstance(found, Mapping):
        return []
    return [
        UtilityFigure(
            name=name,
            value=_real(metric.get("value")),
            ci_low=_real(metric.get("ci_low")),
            ci_high=_real(metric.get("ci_high")),
            floor=_real(metric.get("floor")),
            better=str(metric.get("direction", "–")),
        )
        for name, metric in sorted(found.items())
        if isinstance(metric, Mapping)
    ]


def canary_figures(item: Evidence) -> CanaryFigures | None:
    """Return what one audit says of its canaries; None without any.

    Raises
    ------
    IntegrityError
        If they do not have the form in which an audit writes them.
    """
    canaries = item.metrics.get("canaries")
    if canaries is None:
        return None
    try:
        return CanaryFigures(
            canaries=int(canaries["canaries"]),
            claim=float(canaries["claim"]),
            delta=float(canaries["delta"]),
            bounds=tuple(map(_bound, (canaries["conformance"], *canaries["bounds"]))),
        )
    except (KeyError, TypeError, ValueError):
        raise IntegrityError(
            "the evidence of an audit does not have its form.",
            code="DPS610",
            fix="validate the table anew.",
        ) from None


def _bound(found: Mapping[str, Any]) -> AuditBound:
    return AuditBound(
        method=str(found["method"]),
        lower=_real(found["lower"]),
        ceiling=_real(found["ceiling"]),
        confidence=float(found["confidence"]),
        assumptions=tuple(map(str, found["assumptions"])),
    )


def _notice(item: Evidence) -> str | None:
    notice = item.metrics.get("notice")
    return notice if isinstance(notice, str) else None


def _verdict(audits: Sequence[Evidence]) -> str:
    if not audits:
        return _NO_AUDIT
    order = (Verdict.REVIEW, Verdict.INCONCLUSIVE, Verdict.PASS)
    worst = next((v for v in order if any(item.verdict is v for item in audits)), None)
    if worst is None:
        raise IntegrityError("a table that an audit blocks cannot be a release.", code="DPS610")
    return _VERDICTS[worst]


def _uses(found: Sequence[UtilityFigure]) -> list[tuple[str, str, str]]:
    """Return uses with the figure that speaks about each, and what it says."""
    by_name = {figure.name: figure for figure in found}
    rows = []
    for use, name in _USES:
        figure = by_name.get(name) if name is not None else None
        if figure is None or figure.value is None:
            rows.append((use, "not stated", "no figure is published"))
            continue
        floor = figure.floor
        if floor is None or floor <= 0 or figure.better != "lower":
            rest = "" if floor is None else f"real rows reach {number(floor)}"
        else:
            rest = f"{figure.value / floor:.1f} times what sampling alone gives"
        rows.append((use, f"{figure.name} = {number(figure.value)}", rest or "–"))
    return rows


def _real(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
