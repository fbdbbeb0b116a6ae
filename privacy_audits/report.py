"""What an audit says: for a terminal, a gate, a page. Confidential."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpsynth.evidence import Evidence, Finding, Severity, Verdict, bound_digest
from dpsynth.privacy import Budget
from privacy_audits.attacks.rare import EXACT
from privacy_audits.attacks.result import TableAudit
from privacy_audits.canaries.result import CanaryAudit
from privacy_audits.gate import (
    CONFIDENCE,
    Decision,
    Influence,
    Policy,
    Risk,
    Rule,
    Violation,
    decide,
)

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "dpsynth.audit/1"
BANNER = "computed from real rows: confidential, outside the ε guarantee"
PUBLIC_BANNER = (
    "computed from the released table, the schema and canaries alone: post-processing, which costs "
    "nothing"
)
MEANING = (
    "Audits bound leakage from below. They can refute the claim; they cannot confirm it. The "
    "guarantee is the proof and the ledger."
)

HEURISTIC = "ε bounds on the table are HEURISTIC: no coins were recorded."

_TRUE_ALARMS_AT = 0.01

_FEWEST = 200
"""Records on a side below which an AUC of one half is not bounded by 0.6, all bounds together."""

VERDICTS = {
    Verdict.FAIL: "BLOCK",
    Verdict.REVIEW: "REVIEW",
    Verdict.INCONCLUSIVE: "INCONCLUSIVE",
    Verdict.PASS: "NO VIOLATION FOUND",
}

REASONS = {
    Verdict.FAIL: "Something contradicts the claim. The table must not leave the house.",
    Verdict.REVIEW: "Nothing is refuted, but a person has to decide.",
    Verdict.INCONCLUSIVE: "Nothing was found, and the instruments could not have seen everything.",
    Verdict.PASS: "Nothing that was looked at speaks against the claim.",
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AuditReport:
    """What attacks on a released table, and canaries in its method, found. Confidential.

    Parameters
    ----------
    schema_name, schema_sha256 : str
        The schema on whose terms rows were compared.
    table_sha256 : str or None
        Digest of the released file.
    seed : int
        Seed of the attacks.
    created : str
        ISO 8601 time with its offset.
    policy : Policy
        What was accepted beforehand.
    table : TableAudit
        Attacks on the released table.
    method : str or None
        Name of the method, if its model was given.
    canaries : CanaryAudit or None
        Canaries in it; None where there are none for it.

    Privacy
    -------
    Everything but the canaries' part was computed from real rows and lies outside the guarantee.
    The ``repr`` carries no figure.
    """

    schema_name: str
    schema_sha256: str
    table_sha256: str | None
    seed: int
    created: str
    policy: Policy
    table: TableAudit
    method: str | None
    canaries: CanaryAudit | None

    @property
    def claim(self) -> Budget | None:
        """The (ε, δ) that the table was released under."""
        return self.table.claim

    @property
    def decision(self) -> Decision:
        """Verdict and findings by the rule of :mod:`privacy_audits.gate`."""
        return decide(
            policy=self.policy,
            claim=self.claim,
            rules=list(self._rules()),
            violations=list(self._violations()),
            influences=list(self._influences()),
            risks=list(self._risks()),
            silent=list(self._silent()),
        )

    @property
    def verdict(self) -> Verdict:
        """What the gate says."""
        return self.decision.verdict

    @property
    def level(self) -> float:
        """Level of one upper bound, so that all of them hold together."""
        return (1 - CONFIDENCE) / max(1, 2 * len(self.table.membership) + len(self.table.gaps))

    def _rules(self) -> Iterator[Rule]:
        outside = self.table.outside_domain
        yield Rule(
            code="DPS421",
            holds=not outside,
            breach=f"the table leaves the declared domain in {', '.join(outside)}.",
        )

    def _violations(self) -> Iterator[Violation]:
        # Who was held out without a coin may differ in kind, which an attack takes for influence:
        # then a person decides. Only exact copies of unique rows speak for themselves.
        coins = self.table.randomised
        for attack in self.table.membership:
            if attack.p_value is not None:
                yield Violation(
                    code="DPS422",
                    name=f"the attack {attack.name}",
                    p_value=attack.p_value,
                    p_tail=attack.p_exact if coins else 1.0,
                    real_rows=True,
                )
        for gap in self.table.gaps:
            # Copies are held against e^ε alone: with so many rows δ would excuse any number.
            p_value = gap.p_pure if gap.hard else gap.p_value
            if p_value is not None:
                yield Violation(
                    code="DPS423" if gap.hard else "DPS422",
                    name=f"the attack {gap.name}",
                    p_value=max(p_value, gap.p_no_influence),
                    p_tail=None if coins or gap.name == EXACT else 1.0,
                    real_rows=True,
                )
        if self.canaries is not None:
            yield _refuted(self.canaries)

    def _influences(self) -> Iterator[Influence]:
        for attack in (*self.table.membership, *self.table.gaps):
            yield Influence(
                code="DPS434", name=f"the attack {attack.name}", p_value=attack.p_no_influence
            )

    def _risks(self) -> Iterator[Risk]:
        for attack in self.table.membership:
            if attack.auc.groups < _FEWEST:
                # Few records by design: what they show is tested, and not bounded from above.
                continue
            yield Risk(
                code="DPS431",
                name=f"the attack {attack.name}",
                quantity="AUC",
                upper=attack.auc.upper(self.level),
                accepted=self.policy.most_auc,
            )
            rate = attack.rates.get(_TRUE_ALARMS_AT)
            if rate is not None:
                yield Risk(
                    code="DPS432",
                    name=f"the attack {attack.name}",
                    quantity="rate of true alarms at 1% false ones",
                    upper=rate.upper(self.level),
                    accepted=self.policy.most_true_alarms,
                )
        for gap in self.table.gaps:
            yield Risk(
                code="DPS433",
                name=f"the attack {gap.name}",
                quantity="excess on fitted records",
                upper=gap.limits(self.level)[1],
                accepted=self.policy.most_excess,
            )

    def _silent(self) -> Iterator[Finding]:
        if self.claim is None:
            yield _note("DPS441", "no claim was given: no attack has a cap to be compared with.")
        if self.table.others < self.policy.least_holdout:
            yield _note(
                "DPS442", "too few records were held out for upper bounds that mean something."
            )
        yield from self._instruments(self.canaries)

    def _instruments(self, canaries: CanaryAudit | None) -> Iterator[Finding]:
        if self.method is None:
            yield _note(
                "DPS443", "no model was given, so that its method was not audited with canaries."
            )
        elif canaries is None:
            yield _note(
                "DPS443",
                f"there are no canaries for {self.method} under this schema: "
                "the method was not audited with any.",
            )
        else:
            yield from self._weak(canaries)

    def _weak(self, canaries: CanaryAudit) -> Iterator[Finding]:
        if canaries.ceiling < max(canaries.claim, self.claim.epsilon if self.claim else 0.0):
            yield _note("DPS444", "the canary audit could not have certified the claimed ε.")
        above = any(b.lower > canaries.claim for b in (canaries.conformance, *canaries.bounds))
        if above and canaries.p_value >= self.policy.alpha:
            yield _note(
                "DPS445",
                "a single 95% bound of the canary audit lies above what is claimed, which one in "
                "twenty does by chance; their joint test refutes nothing.",
            )

    # -- output --------------------------------------------------------------------------------

    def frame(self) -> pd.DataFrame:
        """Return one row per attack.

        Returns
        -------
        DataFrame
            Columns attack, kind, value, lower, upper, cap, p_value: AUC of membership attacks,
            difference of success rates of the others, bounds that hold together.
        """
        import pandas as pd

        rows: list[tuple[object, ...]] = [
            (a.name, "AUC", a.auc.point, a.auc.lower(self.level), a.auc.upper(self.level),
             a.auc_cap, a.p_value)
            for a in self.table.membership
        ]  # fmt: skip
        rows += [
            (g.name, "difference", g.difference, *g.limits(self.level), None, g.p_value)
            for g in self.table.gaps
        ]
        names = ["attack", "kind", "value", "lower", "upper", "cap", "p_value"]
        frame = pd.DataFrame(rows, columns=pd.Index(names))
        return frame.astype(dict.fromkeys(names[2:], "float64"))

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report as plain values for JSON."""
        return {
            "format": FORMAT,
            "notice": BANNER,
            "meaning": MEANING,
            "schema": {"name": self.schema_name, "sha256": self.schema_sha256},
            "table_sha256": self.table_sha256,
            "created": self.created,
            "verdict": str(self.verdict),
            **self._figures(),
            "findings": [
                {"code": f.code, "severity": str(f.severity), "message": f.message}
                for f in self.decision.findings
            ],
        }

    def _figures(self) -> dict[str, Any]:
        policy = self.policy
        return {
            "seed": self.seed,
            "policy": {name: getattr(policy, name) for name in policy.__slots__},
            "table": self.table.to_dict(),
            "method": self.method,
            "canaries": None if self.canaries is None else self.canaries.to_dict(),
        }

    def evidence(self) -> Evidence:
        """Return the report as evidence bound to the table.

        Raises
        ------
        UsageError
            If no digest of the table was given.
        """
        return Evidence(
            kind="audit",
            table_sha256=bound_digest(self.table_sha256),
            created=self.created,
            metrics={
                **self._figures(),
                "notice": BANNER,
                "meaning": MEANING,
                "schema_sha256": self.schema_sha256,
            },
            findings=self.decision.findings,
            verdict=self.verdict,
            disclosure="internal",
        )

    def public_evidence(self) -> Evidence:
        """Return what of the report may leave the house, bound to the table.

        Returns
        -------
        Evidence
            Of disclosure ``post-processing``: bounds and ceilings of the canaries, and whether
            the table keeps to the declared domain. Its verdict goes by these alone.

        Raises
        ------
        UsageError
            If no digest of the table was given.

        Privacy
        -------
        A function of the released table, the schema and the coins of the canaries. No attack on
        real rows enters it, nor canaries that were planted among real rows (``in-situ``), nor the
        verdict of the whole report.
        """
        canaries = self.canaries
        if canaries is not None and canaries.mode != "surrogate":
            canaries = None
        decision = decide(
            policy=self.policy,
            claim=self.claim,
            rules=list(self._rules()),
            violations=[] if canaries is None else [_refuted(canaries)],
            influences=[],
            risks=[],
            silent=list(self._instruments(canaries)),
        )
        return Evidence(
            kind="audit",
            table_sha256=bound_digest(self.table_sha256),
            created=self.created,
            metrics={
                "notice": PUBLIC_BANNER,
                "meaning": MEANING,
                "schema_sha256": self.schema_sha256,
                "method": self.method,
                "alpha": self.policy.alpha,
                "canaries": None if canaries is None else canaries.to_dict(),
                "sentences": [] if canaries is None else list(canaries.sentences()),
            },
            findings=decision.findings,
            verdict=decision.verdict,
            disclosure="post-processing",
        )

    def figures(self) -> dict[str, str]:
        """Return the drawings of the page by name, each an SVG document; without legends.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.

        Privacy
        -------
        As confidential as the page.
        """
        from privacy_audits.page import to_figures

        return to_figures(self)

    def save(self, path: str | Path) -> None:
        """Write the confidential page for its owner alone; an existing file is not replaced.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.
        IntegrityError
            If the file exists.
        """
        from dpsynth.files import write_bytes
        from privacy_audits.page import to_html

        write_bytes(Path(path), to_html(self).encode(), mode=0o600)

    def __repr__(self) -> str:
        return f"AuditReport({self.schema_name!r}, verdict={VERDICTS[self.verdict]}, confidential)"

    def _repr_html_(self) -> str | None:
        from privacy_audits.page import to_fragment

        return to_fragment(self)

    def __str__(self) -> str:
        claim = self.claim
        claimed = "none" if claim is None else f"ε = {claim.epsilon:g}, δ = {claim.delta:g}"
        lines = [
            f"Audit of {self.schema_name!r}: {VERDICTS[self.verdict]}",
            f"  {BANNER}",
            f"  {REASONS[self.verdict]}",
            "",
            f"  claim: {claimed}",
            "",
            f"  {'attack on the table':<28}{'AUC':>7}{'95 % bounds, jointly':>24}{'cap':>8}"
            f"{'ε ≥':>8}{'ceiling':>9}",
        ]
        for attack in self.table.membership:
            low, high = attack.auc.lower(self.level), attack.auc.upper(self.level)
            cap = "–" if attack.auc_cap is None else f"{attack.auc_cap:.3f}"
            lines.append(
                f"  {attack.name:<28}{attack.auc.point:>7.3f}{f'[{low:.3f}, {high:.3f}]':>24}"
                f"{cap:>8}{attack.one_run.lower:>8.2f}{attack.one_run.ceiling:>9.2f}"
            )
        lines += [
            "",
            f"  {'with a held-out control':<28}{'fitted':>7}{'held out':>10}{'excess':>9}",
        ]
        for gap in self.table.gaps:
            low, high = gap.limits(self.level)
            lines.append(
                f"  {gap.name:<28}{gap.fitted.point:>7.3f}{gap.held_out.point:>10.3f}"
                f"{gap.difference:>+9.3f}  [{low:+.3f}, {high:+.3f}]"
            )
        if self.table.screening is not None:
            lines += [
                "",
                "  closer to fitted than to held-out rows: "
                f"{self.table.screening.closer_to_members:.3f} (SCREENING, no evidence)",
            ]
        if not self.table.randomised:
            lines.append(f"  {HEURISTIC}")
        if self.canaries is not None:
            lines += ["", "  canaries in the method"]
            for sentence in self.canaries.sentences():
                lines += textwrap.wrap(
                    sentence, 92, initial_indent="    ", subsequent_indent="      "
                )
        lines.append("")
        for finding in self.decision.findings:
            lines += textwrap.wrap(str(finding), 96, initial_indent="  ", subsequent_indent="    ")
        lines += textwrap.wrap(MEANING, 96, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)


def _refuted(canaries: CanaryAudit) -> Violation:
    return Violation(
        code="DPS424",
        name="the canary audit of the method",
        p_value=canaries.p_value,
        real_rows=canaries.mode != "surrogate",
    )


def _note(code: str, message: str) -> Finding:
    return Finding(code, Severity.INFO, message)
