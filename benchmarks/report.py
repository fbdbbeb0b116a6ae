"""The utility report: metrics with their yard-sticks, for a terminal, a frame or a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.scorecard import Line, scorecard
from benchmarks.uses import Thresholds, Use, judge
from dpsynth.errors import UsageError
from dpsynth.evidence import Evidence, Finding, Severity, Verdict, bound_digest

if TYPE_CHECKING:
    import pandas as pd

    from dpsynth.privacy import Budget

FORMAT = "dpsynth.utility/1"
BANNER = "computed from real rows: confidential, outside the ε guarantee"

Direction = Literal["lower", "higher"]
Row = Mapping[str, "float | int | str | None"]
"""A line of a table of details; numbers are finite or None."""

Tier = Literal["A", "B"]
"""A figure that a release is judged by, or one for a closer look."""

_NUMBERS = ("value", "ci_low", "ci_high", "floor", "reference", "skill")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure and what to compare it with.

    Parameters
    ----------
    name : str
        Stable, dotted: family, model or statistic, score.
    value : float
        The figure; NaN where it is not defined.
    direction : {"lower", "higher"}
        Which way is better.
    floor : float, optional
        What a perfect table would give: sampling alone for distances, the score of as many real
        rows for predictions.
    references : mapping of str to float
        The same figure of other tables or learners, by name: ``independent``, ``uniform``,
        ``holdout``, ``dummy``, ``dp-trained``.
    landmark : str, optional
        The reference that stands for no skill.
    ci_low, ci_high : float, optional
        Ends of a 95 % interval.
    n : int, optional
        Rows that the figure rests on (of the smaller side).
    tier : {"A", "B"}
        Whether a release is judged by it.
    """

    name: str
    value: float
    direction: Direction
    floor: float | None = None
    references: Mapping[str, float] = field(default_factory=dict, hash=False)
    landmark: str | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    tier: Tier = "A"

    @property
    def reference(self) -> float | None:
        """The figure of the landmark."""
        return None if self.landmark is None else self.references.get(self.landmark)

    @property
    def skill(self) -> float | None:
        """Return the part of the way from landmark to floor that was gone; in [-1, 1].

        1 is as good as a perfect table, 0 no better than the landmark. None where a part is not
        defined or the landmark itself reaches the floor.
        """
        value, floor, landmark = map(finite, (self.value, self.floor, self.reference))
        if value is None or floor is None or landmark is None:
            return None
        way = landmark - floor
        if way == 0 or (way > 0) != (self.direction == "lower"):
            return None
        return max(-1.0, min(1.0, 1.0 - (value - floor) / way))

    @property
    def interval(self) -> tuple[float, float] | None:
        """Ends of the 95 % interval; None where one is not defined."""
        low, high = finite(self.ci_low), finite(self.ci_high)
        return None if low is None or high is None else (low, high)

    def defined(self, name: str) -> float | None:
        """Return one of the numbers by its name; None where it is not finite."""
        return finite(getattr(self, name))

    def to_dict(self) -> dict[str, Any]:
        """Return what is known; figures that are not defined are left out."""
        numbers = {name: self.defined(name) for name in _NUMBERS if name != "reference"}
        out: dict[str, Any] = {name: n for name, n in numbers.items() if n is not None}
        references = {name: finite(n) for name, n in self.references.items()}
        references = {name: n for name, n in references.items() if n is not None}
        return {
            **out,
            **({"references": references} if references else {}),
            **({} if self.landmark is None else {"landmark": self.landmark}),
            "direction": self.direction,
            "tier": self.tier,
            **({} if self.n is None else {"n": self.n}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """A column, pair or triple of columns that does badly.

    Parameters
    ----------
    columns : tuple of str
        Names.
    value : float
        Its figure.
    floor : float, optional
        What sampling alone would give.
    """

    columns: tuple[str, ...]
    value: float
    floor: float | None = None

    def __str__(self) -> str:
        floor = "" if self.floor is None else f", floor {self.floor:.3f}"
        return f"{' × '.join(self.columns)} ({self.value:.3f}{floor})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one family of measurements hands to the report.

    Parameters
    ----------
    metrics : tuple of Metric
        Its figures.
    worst : mapping of str to tuple of Worst
        Worst first.
    findings : tuple of Finding
        What a person should know.
    tables : mapping of str to tuple of mapping
        Details by name, one mapping per row: for the page, the JSON and
        :meth:`UtilityReport.frame`.
    """

    metrics: tuple[Metric, ...] = ()
    worst: Mapping[str, tuple[Worst, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    tables: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UtilityReport:
    """What a synthetic table is still good for. Confidential.

    Parameters
    ----------
    schema_name, schema_sha256 : str
        The schema on whose terms the tables were compared.
    table_sha256 : str or None
        Digest of the released file.
    seed : int
        Seed of the evaluation.
    created : str
        ISO 8601 time with its offset.
    metrics : tuple of Metric
        All figures.
    worst : mapping of str to tuple of Worst
        Worst first: columns, pairs and triples by family, and the features that give the table
        away.
    findings : tuple of Finding
        What a person should know.
    tables : mapping of str to tuple of mapping
        Details of the families, by name.
    thresholds : Thresholds
        What the curator accepted before the evaluation.
    budget : Budget or None
        What the release is said to have spent; None where nobody said.
    unit : str
        Who is protected, in a phrase.

    Privacy
    -------
    Computed from real rows: not differentially private, however the table was made. It is stamped
    so wherever it is shown; its ``repr`` carries no figure.
    """

    schema_name: str
    schema_sha256: str
    table_sha256: str | None
    seed: int
    created: str
    metrics: tuple[Metric, ...]
    worst: Mapping[str, tuple[Worst, ...]]
    findings: tuple[Finding, ...]
    tables: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)
    budget: Budget | None = None
    unit: str = ""

    def __getitem__(self, name: str) -> Metric:
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(metric.name == name for metric in self.metrics)

    @property
    def verdict(self) -> Verdict:
        """What the default gate says.

        It blocks for a table that does not fit its schema, and for nothing else: a gate that acts
        on figures computed from real rows is a channel out of them that the budget does not pay
        for. Those figures go to a person (``review``).
        """
        severities = {finding.severity for finding in self.findings}
        if Severity.ERROR in severities:
            return Verdict.FAIL
        if Severity.WARNING in severities:
            return Verdict.REVIEW
        if any(finding.code == "DPS317" for finding in self.findings):
            return Verdict.INCONCLUSIVE
        return Verdict.PASS

    @property
    def scorecard(self) -> tuple[Line, ...]:
        """Eight numbers, also those that were not measured; there is no sum of them."""
        return scorecard(self.metrics)

    @property
    def uses(self) -> tuple[Use, ...]:
        """What the table is fit for by the thresholds. The verdict does not depend on it."""
        return judge(self.metrics, self.thresholds)

    def frame(self, table: str | None = None) -> pd.DataFrame:
        """Return one row per metric, or a table of details.

        Parameters
        ----------
        table : str, optional
            Name of the details, a key of ``tables``.

        Returns
        -------
        DataFrame
            Columns name, value, ci_low, ci_high, floor, reference, skill, direction, tier, n. NaN
            where something is not defined.

        Raises
        ------
        UsageError
            If there are no such details.
        """
        import pandas as pd

        if table is not None:
            if table not in self.tables:
                known = ", ".join(sorted(self.tables)) or "none"
                raise UsageError(f"there are no details {table!r}.", fix=f"there are: {known}.")
            return pd.DataFrame([dict(row) for row in self.tables[table]])
        names = ["name", *_NUMBERS, "direction", "tier", "n"]
        rows = [[getattr(metric, name) for name in names] for metric in self.metrics]
        frame = pd.DataFrame(rows, columns=pd.Index(names))
        numbers = dict.fromkeys(_NUMBERS, "float64")
        return frame.astype({**numbers, "n": "Int64"})

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report as plain values for JSON."""
        return {
            "format": FORMAT,
            "notice": BANNER,
            "schema": {"name": self.schema_name, "sha256": self.schema_sha256},
            "table_sha256": self.table_sha256,
            "seed": self.seed,
            "created": self.created,
            "versions": versions(),
            "verdict": str(self.verdict),
            **self._figures(),
            "findings": [
                {"code": f.code, "severity": str(f.severity), "message": f.message}
                for f in self.findings
            ],
        }

    def evidence(self) -> Evidence:
        """Return the report as evidence bound to the table.

        Raises
        ------
        UsageError
            If no digest of the table was given.
        """
        return Evidence(
            kind="utility",
            table_sha256=bound_digest(self.table_sha256),
            created=self.created,
            metrics={
                **self._figures(),
                "notice": BANNER,
                "seed": self.seed,
                "schema_sha256": self.schema_sha256,
                "versions": versions(),
            },
            findings=self.findings,
            verdict=self.verdict,
            disclosure="internal",
        )

    def to_html(self) -> str:
        """Return the confidential page: one file without scripts and requests, for print as well.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.
        """
        from benchmarks.page import to_html

        return to_html(self)

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
        from benchmarks.page import to_figures

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

        write_bytes(Path(path), self.to_html().encode(), mode=0o600)

    def _figures(self) -> dict[str, Any]:
        return {
            "metrics": {metric.name: metric.to_dict() for metric in self.metrics},
            "worst": {
                name: [
                    {
                        "columns": list(row.columns),
                        "value": finite(row.value),
                        "floor": finite(row.floor),
                    }
                    for row in rows
                ]
                for name, rows in self.worst.items()
            },
            "tables": {name: [dict(row) for row in rows] for name, rows in self.tables.items()},
            "thresholds": self.thresholds.to_dict(),
            "uses": [use.to_dict() for use in self.uses],
            "budget": None
            if self.budget is None
            else {"epsilon": self.budget.epsilon, "delta": self.budget.delta},
        }

    def __repr__(self) -> str:
        return f"UtilityReport({self.schema_name!r}, verdict={str(self.verdict)!r}, confidential)"

    def __str__(self) -> str:
        from benchmarks.text import to_text

        return to_text(self, BANNER)

    def _repr_html_(self) -> str | None:
        from benchmarks.page import to_fragment

        return to_fragment(self, stamp=f"CONFIDENTIAL: {BANNER}")


def finite(number: float | None) -> float | None:
    """Return a number as JSON has it; None where it is not defined."""
    return None if number is None or not math.isfinite(number) else float(number)


def versions() -> dict[str, str]:
    """Return the versions of what figures depend on."""
    from importlib import metadata

    names = {item.metadata["Name"] for item in metadata.distributions()}
    wanted = ("dpsynth", "numpy", "pandas", "scikit-learn", "scipy")
    return {name: metadata.version(name) for name in wanted if name in names}
