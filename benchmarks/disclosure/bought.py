"""The report of figures that were bought from the ledger, and what follows from their noise."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report import Metric
from dpsynth.errors import GateError
from dpsynth.evidence import Evidence, Finding, Severity, Verdict, bound_digest

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.disclosure.headline import Noisy

FORMAT = "dpsynth.bought-utility/1"

LEVEL = 1.959964
"""Standard deviations on either side of a 95 % interval."""

WIDE = 0.1
"""A figure that is known to less than plus or minus this says little."""

LABELS = {
    "tvd1.mean": "1-way distance, mean",
    "tvd1.max": "1-way distance, worst column",
    "tvd2.mean": "2-way distance, mean",
    "workload.error": "pairs and triples, mean L1 error",
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BoughtReport:
    """Noisy figures about a synthetic table, with what was paid for them.

    Parameters
    ----------
    schema_name, schema_sha256 : str
        The schema on whose terms the tables were compared.
    table_sha256 : str or None
        Digest of the released file.
    created : str
        ISO 8601 time with its offset.
    metrics : tuple of Metric
        Figures; their intervals cover the noise with probability 95 % each, not sampling.
    findings : tuple of Finding
        What a person should know.
    compared : mapping
        Columns, numbers of marginals and cells: public facts.
    paid : mapping
        ε, δ, unit, relation, plan and ledger entry of the purchase, the noise and whether the
        figures may leave the house.

    Privacy
    -------
    A release of the mechanism of :mod:`benchmarks.disclosure.headline` and post-processing of it.
    Nothing else in it depends on the rows.
    """

    schema_name: str
    schema_sha256: str
    table_sha256: str | None
    created: str
    metrics: tuple[Metric, ...]
    findings: tuple[Finding, ...]
    compared: Mapping[str, Any]
    paid: Mapping[str, Any]

    def __getitem__(self, name: str) -> Metric:
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(metric.name == name for metric in self.metrics)

    @property
    def notice(self) -> str:
        """What stands on every copy."""
        paid = self.paid
        text = (
            f"noisy figures, ε = {paid['epsilon']} at δ = {paid['delta']} for {paid['unit']} "
            f"({paid['relation']}), booked in the ledger beside the fits"
        )
        return text if paid["releasable"] else f"{text}; NOT RELEASABLE"

    @property
    def verdict(self) -> Verdict:
        """What the default gate says: it blocks for a table that does not fit its schema."""
        if any(finding.severity == Severity.ERROR for finding in self.findings):
            return Verdict.FAIL
        if any(finding.code == "DPS351" for finding in self.findings):
            return Verdict.INCONCLUSIVE
        return Verdict.PASS

    def frame(self) -> pd.DataFrame:
        """Return one row per figure: name, value, floor, ci_low, ci_high."""
        import pandas as pd

        names = ["name", "value", "floor", "ci_low", "ci_high"]
        rows = [[getattr(metric, name) for name in names] for metric in self.metrics]
        return pd.DataFrame(rows, columns=pd.Index(names)).astype(
            dict.fromkeys(names[1:], "float64")
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report as plain values for JSON."""
        return {
            "format": FORMAT,
            "table_sha256": self.table_sha256,
            "schema_name": self.schema_name,
            "created": self.created,
            "verdict": str(self.verdict),
            **self._figures(),
            "findings": [
                {"code": f.code, "severity": str(f.severity), "message": f.message}
                for f in self.findings
            ],
        }

    def evidence(self) -> Evidence:
        """Return the report as evidence with disclosure ``dp``, bound to the table.

        Raises
        ------
        GateError
            If the figures were made with recorded noise or with schema facts taken from the data.
        UsageError
            If no digest of the table was given.
        """
        if not self.paid["releasable"]:
            raise GateError(
                "the figures were made with a fixed noise seed, or with schema facts taken from "
                "the data.",
                code="DPS301",
                fix="buy them with operating system entropy and a schema of public facts.",
            )
        return Evidence(
            kind="utility",
            table_sha256=bound_digest(self.table_sha256),
            created=self.created,
            metrics=self._figures(),
            findings=self.findings,
            verdict=self.verdict,
            disclosure="dp",
        )

    def to_html(self) -> str:
        """Return the page.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.
        """
        from benchmarks.disclosure.page import to_html

        return to_html(self)

    def figures(self) -> dict[str, str]:
        """Return the drawings of the page by name, each an SVG document; without legends.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.
        """
        from benchmarks.disclosure.page import to_figures

        return to_figures(self)

    def save(self, path: str | Path) -> None:
        """Write the page; an existing file is not replaced.

        It is for its owner alone where the figures may not leave the house.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.
        IntegrityError
            If the file exists.
        """
        from dpsynth.files import write_bytes

        mode = 0o644 if self.paid["releasable"] else 0o600
        write_bytes(Path(path), self.to_html().encode(), mode=mode)

    def _figures(self) -> dict[str, Any]:
        return {
            "notice": self.notice,
            "schema_sha256": self.schema_sha256,
            "metrics": {metric.name: metric.to_dict() for metric in self.metrics},
            "compared": dict(self.compared),
            "paid": dict(self.paid),
        }

    def __repr__(self) -> str:
        return f"BoughtReport({self.schema_name!r}, ε = {self.paid['epsilon']})"

    def _repr_html_(self) -> str | None:
        from benchmarks.disclosure.page import to_fragment

        return to_fragment(self)

    def __str__(self) -> str:
        lines = [f"Utility of {self.schema_name!r}"]
        lines += textwrap.wrap(self.notice, 96, initial_indent="  ", subsequent_indent="  ")
        lines += ["", f"  {'':<38}{'synthetic':>10}{'floor':>9}  95 % interval of the noise"]
        for metric in self.metrics:
            value = "" if math.isnan(metric.value) else f"{metric.value:.3f}"
            floor = "" if metric.floor is None else f"{metric.floor:.3f}"
            label = f"{LABELS[metric.name]} ↓"
            lines.append(
                f"  {label:<38}{value:>10}{floor:>9}  [{metric.ci_low:.3f}, {metric.ci_high:.3f}]"
            )
        lines += [
            "",
            "  floor: what sampling alone gives two tables of one law. The figures compare with",
            "  the rows that were read for this purchase, as a fit reads them.",
        ]
        for finding in self.findings:
            lines += textwrap.wrap(str(finding), 96, initial_indent="  ", subsequent_indent="    ")
        lines.append(f"  verdict: {self.verdict}")
        return "\n".join(lines)


def figures(
    noisy: Noisy, *, families: Mapping[str, int], floors: Mapping[str, float]
) -> tuple[Metric, ...]:
    """Return the figures that follow from what was released.

    Parameters
    ----------
    noisy : Noisy
        What was released.
    families : mapping of str to int
        Number of marginals by family.
    floors : mapping of str to float
        By query: what sampling alone would give.

    Privacy
    -------
    Post-processing.
    """
    names = {"mean.1": "tvd1.mean", "max.1": "tvd1.max", "mean.2": "tvd2.mean"}
    out = [
        _figure(name, {query: 1.0}, noisy, floors)
        for query, name in names.items()
        if query in noisy.distances
    ]
    # Pairs and triples are bought apart: the noise of their joint mean is less than that of either.
    workload = {f"mean.{way}": families[way] for way in ("2", "3") if way in families}
    if workload:
        total = sum(workload.values())
        # An L1 distance is twice a total variation.
        shares = {query: 2.0 * count / total for query, count in workload.items()}
        out.append(_figure("workload.error", shares, noisy, floors))
    return tuple(out)


def _figure(
    name: str, shares: Mapping[str, float], noisy: Noisy, floors: Mapping[str, float]
) -> Metric:
    """Return a weighted sum of total variations with its interval.

    Proof of the interval: :mod:`benchmarks.disclosure.headline`. A distance that is not known to
    within half of its range is not stated.
    """
    most = sum(shares.values())
    value = sum(share * noisy.distances[query] for query, share in shares.items()) / noisy.rows
    # The noise of the rows moves all distances in the same way, by half of it at most.
    spread = math.hypot(noisy.sigma * math.hypot(*shares.values()), most * noisy.rows_sigma / 2)
    half = (LEVEL * spread + most * noisy.rounding) / noisy.rows
    is_known = half < most / 2
    return Metric(
        name=name,
        value=_within(value, most) if is_known else math.nan,
        direction="lower",
        floor=sum(share * floors[query] for query, share in shares.items()) if is_known else None,
        ci_low=_within(value - half, most) if is_known else 0.0,
        ci_high=_within(value + half, most) if is_known else most,
    )


def _within(value: float, most: float) -> float:
    return min(max(value, 0.0), most)
