"""Compare a synthetic table with rows that were published, and make sure that they were."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.evaluate import evaluate
from benchmarks.report import BANNER, Metric, UtilityReport
from dpsynth.errors import GateError, UsageError
from dpsynth.evidence import Evidence, Verdict
from dpsynth.evidence import table_sha256 as file_sha256

if TYPE_CHECKING:
    import pandas as pd

    from dpsynth.identity import CustodianKey
    from dpsynth.ledger import Ledger
    from dpsynth.schema import Schema
    from dpsynth.table import Source

HALF = 0.5
"""Chance of every unit of the reference to stand where rows that were held out stand."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PublicReport:
    """What a synthetic table is good for, by rows that everybody may see.

    Made by :func:`evaluate_public` alone; :class:`~benchmarks.report.UtilityReport` always stays
    confidential.

    Parameters
    ----------
    measured : UtilityReport
        The figures. "Real" rows in it are those of the reference.
    source : str
        Where the reference was published.
    reference_sha256 : str
        Digest of its file.

    Privacy
    -------
    A function of the synthetic table and of public rows: post-processing.
    """

    measured: UtilityReport
    source: str
    reference_sha256: str

    def __getitem__(self, name: str) -> Metric:
        return self.measured[name]

    def __contains__(self, name: object) -> bool:
        return name in self.measured

    @property
    def notice(self) -> str:
        """What stands on every copy."""
        return (
            f"compared with public rows ({self.source}; SHA-256 {self.reference_sha256}), not with "
            "the rows that were fitted"
        )

    @property
    def verdict(self) -> Verdict:
        """What the default gate says."""
        return self.measured.verdict

    def frame(self, table: str | None = None) -> pd.DataFrame:
        """Return one row per metric, or a table of details."""
        return self.measured.frame(table)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report as plain values for JSON."""
        return {**self.measured.to_dict(), "notice": self.notice, "reference": self._reference()}

    def evidence(self) -> Evidence:
        """Return the report as evidence with disclosure ``public-reference``.

        Raises
        ------
        UsageError
            If no digest of the table was given.
        """
        found = self.measured.evidence()
        metrics = {**found.metrics, "notice": self.notice, "reference": self._reference()}
        return replace(found, metrics=metrics, disclosure="public-reference")

    def to_html(self) -> str:
        """Return the page, which may be published.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.
        """
        from benchmarks.page import to_html

        return to_html(self.measured, notice=self.notice)

    def figures(self) -> dict[str, str]:
        """Return the drawings of the page by name; see :meth:`UtilityReport.figures`."""
        return self.measured.figures()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; an existing file is not replaced.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.
        IntegrityError
            If the file exists.
        """
        from dpsynth.files import write_bytes

        write_bytes(Path(path), self.to_html().encode())

    def _reference(self) -> dict[str, str]:
        return {"source": self.source, "sha256": self.reference_sha256}

    def __repr__(self) -> str:
        return f"PublicReport({self.measured.schema_name!r}, verdict={str(self.verdict)!r})"

    def _repr_html_(self) -> str | None:
        from benchmarks.page import to_fragment

        return to_fragment(self.measured, stamp="", notice=self.notice)

    def __str__(self) -> str:
        return str(self.measured).replace(BANNER, self.notice)


def evaluate_public(
    synthetic: Source,
    reference: str | os.PathLike[str],
    schema: Schema,
    *,
    source: str,
    sensitive: Sequence[str | os.PathLike[str]],
    ledger: Ledger | None = None,
    key: CustodianKey | None = None,
    seed: int = 0,
    table_sha256: str | None = None,
) -> PublicReport:
    """Compare a synthetic table with a public one; the report may be published.

    Parameters
    ----------
    synthetic : path, DataFrame or Arrow table
        The table to be released.
    reference : path
        File of the public table. Its rows are cut in two at random: one half stands where the
        fitted rows stand in an internal evaluation, the other where those held out do.
    schema : Schema
        Public facts. Where the reference has no column of the unit, every row is a unit.
    source : str
        Where the reference was published; stands in the report.
    sensitive : sequence of path
        Every file with rows that the model was fitted to or that were held out. The reference must
        be none of them.
    ledger : Ledger, optional
        Its datasets must not be the reference either.
    key : CustodianKey, optional
        Recognises the datasets of the ledger.
    seed : int
        Governs the cut and everything that :func:`benchmarks.evaluate` draws.
    table_sha256 : str, optional
        Digest of the file that will be released; by default that of ``synthetic`` where it is a
        path.

    Raises
    ------
    GateError
        If the reference holds the sensitive rows (``DPS352``): by its file, as a dataset of the
        ledger, or because one of the two tables contains the other, whatever the order, the format
        or the keys.
    UsageError
        If no source or no sensitive file is named (``DPS353``), the reference is no file, or the
        ledger recognises its datasets by a key and none is given.

    Privacy
    -------
    The report depends on the synthetic table and the reference alone. That it was refused depends
    on the sensitive rows: keep refusals in the house. A part of the sensitive rows that is in none
    of the named files cannot be noticed, nor can a false source.
    """
    if not isinstance(reference, str | os.PathLike):
        raise UsageError(
            "the reference must be a file, so that the report can say which.",
            code="DPS353",
            fix="write the public table to a file.",
        )
    if not source.strip() or not sensitive:
        raise UsageError(
            "a public reference needs the place where it was published, and the sensitive files "
            "that it must not be.",
            code="DPS353",
            fix="give source and sensitive.",
        )
    _refuse_sensitive(Path(reference), schema, sensitive, ledger, key)
    fit, held, terms = _halves(Path(reference), schema, seed)
    measured = evaluate(synthetic, fit, held, terms, seed=seed, table_sha256=table_sha256)
    return PublicReport(
        measured=replace(measured, schema_sha256=schema.digest()),
        source=source.strip(),
        reference_sha256=file_sha256(reference),
    )


def _halves(
    reference: Path, schema: Schema, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, Schema]:
    import numpy as np

    from dpsynth.table import read_frame, split

    frame = read_frame(reference)
    terms = schema if schema.unit.column in frame else _without_units(schema)
    rng = np.random.default_rng([seed, 0x7265666572])
    return *split(frame, terms, holdout=HALF, rng=rng), terms


def _without_units(schema: Schema) -> Schema:
    from dpsynth.privacy import PrivacyUnit

    return replace(schema, columns=schema.modelled, unit=PrivacyUnit())


def _refuse_sensitive(
    reference: Path,
    schema: Schema,
    sensitive: Sequence[str | os.PathLike[str]],
    ledger: Ledger | None,
    key: CustodianKey | None,
) -> None:
    digest = file_sha256(reference)
    if any(file_sha256(path) == digest for path in sensitive):
        raise _held_back("its file is one of the sensitive ones")
    if ledger is not None:
        from dpsynth.identity import content_hmac

        known = ledger.find(None if key is None else content_hmac(reference, key))
        if known is not None:
            raise _held_back(f"the ledger knows it as the dataset {known!r}")
    for path in sensitive:
        if _one_contains_the_other(reference, Path(path), schema):
            raise _held_back("it has the rows of a sensitive file, or is a part of one")


def _held_back(why: str) -> GateError:
    return GateError(
        f"the reference is not public: {why}.",
        code="DPS352",
        fix="name a table that was published, or evaluate internally.",
    )


def _one_contains_the_other(first: Path, second: Path, schema: Schema) -> bool:
    """Tell whether all rows of one file stand in the other, as often; keys are left out."""
    import pandas as pd

    from dpsynth.table import conform

    bare = _without_units(schema)
    one, other = (
        pd.util.hash_pandas_object(pd.DataFrame(conform(path, bare)), index=False).value_counts()
        for path in (first, second)
    )
    if one.sum() > other.sum():
        one, other = other, one
    return bool((other.reindex(one.index, fill_value=0) >= one).all())
