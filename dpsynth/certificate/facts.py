"""What the custodian adds to a registry draft: facts that a ledger cannot know."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from dpsynth.sections import Fits, Problems, check, parse, read_document


def _is_text(value: str) -> bool:
    return bool(value.strip()) and all(c.isprintable() or c in "\n\t" for c in value)


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


Text = Annotated[str, Fits(_is_text, "that can be shown")]
"""It may have several lines."""

Names = Annotated[tuple[Text, ...], Fits(bool, "(one at least)")]
Date = Annotated[str, Fits(_is_date, "as YYYY-MM-DD", '"2026-01-31"')]
Sector = Literal["Technology", "Healthcare", "Education", "Government", "Energy", "Finance"]
DataSource = Literal["Static", "Dynamic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFacts:
    """The custodian's part of a registry draft. All of it becomes public.

    Parameters
    ----------
    name : str
        Name of the data product.
    curators : tuple of str
        Who publishes it.
    description, intended_use : str
        What it is, and what for.
    region : str
        Region that the data describe, or whose laws apply.
    publication_date : str
        YYYY-MM-DD; of the first publication if there are several.
    registry_authors : tuple of str
        Who filled in the draft.
    data_source : {"Static", "Dynamic"}
        Whether new data come in over time.
    sector : str, optional
        One of the registry's sectors.
    actors, data_domain, unprotected_quantities, preprocessing, justification : str, optional
        Answers of the registry's third tier: who sees what and is trusted with what; which tables
        are eligible for protection; what is published without protection; what was done with the
        data before, and whether it was paid for; why all this was decided as it was. With all
        five the draft is of tier 3, otherwise of tier 2.
    security, post_processing, sources, notes : str, optional
        Further answers.

    Raises
    ------
    UsageError
        If facts are missing or malformed; one error names all of them.
    """

    name: Text
    curators: Names
    description: Text
    intended_use: Text
    region: Text
    publication_date: Date
    registry_authors: Names
    data_source: DataSource
    sector: Sector | None = None
    actors: Text | None = None
    data_domain: Text | None = None
    unprotected_quantities: Text | None = None
    preprocessing: Text | None = None
    justification: Text | None = None
    security: Text | None = None
    post_processing: Text | None = None
    sources: Text | None = None
    notes: Text | None = None

    def __post_init__(self) -> None:
        check(self, name="facts")

    @classmethod
    def required(cls) -> tuple[str, ...]:
        """Return the names of the facts without which there is no draft."""
        return tuple(f.name for f in fields(cls) if f.default is MISSING)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a TOML file whose keys are the fields of this class.

        Parameters
        ----------
        path : path
            The file, UTF-8.

        Raises
        ------
        UsageError
            If there is no such file, it is no TOML, a required fact is missing, or a key is
            unknown; one error names all of them.
        """
        hint = "docs/certificate.md says what it holds"
        document = read_document(Path(path), hint=hint)
        if type(document.get("publication_date")) is date:
            document["publication_date"] = document["publication_date"].isoformat()
        problems = Problems()
        facts = parse(cls, document, where="the file", problems=problems)
        problems.raise_any(str(path))
        assert facts is not None
        return facts
