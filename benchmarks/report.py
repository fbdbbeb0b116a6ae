"""The utility report: figures with their floors, as text, frame, JSON and evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from benchmarks.dependence import DependenceError
from benchmarks.detection import DetectionScore
from benchmarks.marginals import MarginalError
from benchmarks.prediction import PredictionScore
from dpsynth.errors import UsageError
from dpsynth.evidence import Evidence, Finding, Verdict

BANNER = "computed from real rows: confidential, outside the ε guarantee"

COLUMNS = ("metric", "value", "floor", "reference", "better", "ci_low", "ci_high", "n")


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityReport:
    """What a synthetic table is still good for. Confidential.

    Parameters
    ----------
    validity : float
        Share of columns in which every row fits the schema.
    marginals : tuple of MarginalError
        One-, two- and three-way.
    dependence : DependenceError
        Associations of pairs.
    prediction : tuple of PredictionScore
        One per model class; empty without a usable target.
    detection : tuple of DetectionScore
        One per model class.
    findings : tuple of Finding
        Remarks.
    table_sha256 : str or None
        Digest of the table that was evaluated.
    """

    validity: float
    marginals: tuple[MarginalError, ...]
    dependence: DependenceError
    prediction: tuple[PredictionScore, ...]
    detection: tuple[DetectionScore, ...]
    findings: tuple[Finding, ...]
    table_sha256: str | None

    def frame(self) -> pd.DataFrame:
        """Return one row per metric."""
        rows: list[tuple] = [("validity", self.validity, 1.0, None, "more", None, None, None)]
        for m in self.marginals:
            name = f"{m.order}-way TVD"
            rows.append((name, m.mean, m.floor, None, "less", None, None, m.count))
        d = self.dependence
        rows.append(("dependence lost", d.lost, d.floor_lost, None, "less", None, None, None))
        rows.append(
            ("dependence invented", d.spurious, d.floor_spurious, None, "less", None, None, None)
        )
        for s in self.detection:
            name = f"C2ST AUC, {s.model}"
            rows.append((name, s.auc, s.floor, None, "near 0.5", s.low, s.high, None))
        for p in self.prediction:
            name = f"TSTR {p.measure}, {p.model}"
            # The interval is that of the gap to the model trained on real rows.
            low, high = p.real - p.gap_high, p.real - p.gap_low
            rows.append((name, p.synthetic, p.dummy, p.real, "more", low, high, None))
        return pd.DataFrame(rows, columns=pd.Index(COLUMNS))

    def __str__(self) -> str:
        lines = [
            f"utility ({BANNER})",
            f"{'metric':<28}{'value':>8}{'floor':>8}{'real':>8}  better",
        ]
        for row in self.frame().itertuples():
            cells = [f"{v:8.3f}" if pd.notna(v) else " " * 8 for v in row[2:5]]
            lines.append(f"{row.metric:<28}{''.join(cells)}  {row.better}")
        for score in self.detection:
            if score.features:
                given = ", ".join(f"{name} ({loss:.3f})" for name, loss in score.features)
                lines.append(f"what gives it away ({score.model}): {given}")
        lines += [f"{f.severity} {f.code}: {f.message}" for f in self.findings]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report as JSON."""
        return {"banner": BANNER, **asdict(self)}

    def evidence(self) -> Evidence:
        """Return the report as evidence about the evaluated table.

        Raises
        ------
        UsageError
            If the report was made without the digest of a table.
        """
        if self.table_sha256 is None:
            raise UsageError(
                "evidence needs the digest of the table.", fix="evaluate with table_sha256=..."
            )
        failed = any(finding.severity == "failure" for finding in self.findings)
        warned = any(finding.severity == "warning" for finding in self.findings)
        verdict = Verdict.FAIL if failed else Verdict.REVIEW if warned else Verdict.PASS
        return Evidence(
            kind="utility",
            table_sha256=self.table_sha256,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            metrics={k: v for k, v in self.to_dict().items() if k not in ("findings",)},
            verdict=verdict,
            findings=self.findings,
            disclosure="internal",
        )
