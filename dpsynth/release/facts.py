"""What only the custodian knows of a release: the section ``[publication]`` of a settings file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

from dpsynth.certificate.facts import DataSource, Names, Sector, Text
from dpsynth.sections import Problems, check, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationFacts:
    """What only the custodian knows; all of it is published as it is.

    Parameters
    ----------
    title : str
        Name of the published table.
    curators : tuple of str
        Who publishes it.
    description : str
        What it is.
    intended_use : str
        What it may be used for.
    not_for : str
        What it must not be used for.
    population : str
        Whom the rows describe.
    period : str
        From when they are.
    region : str
        From where they are.
    contact : str
        Whom to ask, and to tell of problems.
    licence : str
        Terms of use, or the address where they stand.
    maintenance : str
        How long it is kept, how it is mended and withdrawn.
    registry_authors : tuple of str
        Who filled in the registry's draft.
    data_source : {"Static", "Dynamic"}
        Whether new rows come in over time.
    sector : str, optional
        One of the registry's sectors.
    collection : str, optional
        How the rows were collected, and on what legal ground.
    subgroups : str, optional
        What is known about small groups.
    actors : str, optional
        Who sees what, and is trusted with what.
    preprocessing : str, optional
        What was done with the rows before, and whether it was paid for.
    justification : str, optional
        Why the budget is what it is.
    security : str, optional
        How rows and ledger are kept.
    sources : str, optional
        Papers and links.

    Raises
    ------
    UsageError
        If facts are missing or malformed; one error names all of them.
    """

    title: Text
    curators: Names
    description: Text
    intended_use: Text
    not_for: Text
    population: Text
    period: Text
    region: Text
    contact: Text
    licence: Text
    maintenance: Text
    registry_authors: Names
    data_source: DataSource
    sector: Sector | None = None
    collection: Text | None = None
    subgroups: Text | None = None
    actors: Text | None = None
    preprocessing: Text | None = None
    justification: Text | None = None
    security: Text | None = None
    sources: Text | None = None

    def __post_init__(self) -> None:
        check(self, name="publication")

    @classmethod
    def required(cls) -> tuple[str, ...]:
        """Return the names of the facts without which there are none."""
        return tuple(f.name for f in fields(cls) if f.default is MISSING)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Take the facts from a table of a configuration or from a manifest.

        Raises
        ------
        UsageError
            If facts are missing, malformed or unknown; one error names all of them.
        """
        problems = Problems()
        found = parse(cls, document, where="[publication]", problems=problems)
        problems.raise_any("facts of the publication")
        assert found is not None
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object with what was stated."""
        stated = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in stated
            if value is not None
        }
