"""What only the custodian knows of a release: the section ``[publication]`` of a settings file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, Self

from dpsynth.certificate.facts import DATA_SOURCES, SECTORS, is_text
from dpsynth.errors import UsageError
from dpsynth.sections import Problems, parse

_LISTS = ("curators", "registry_authors")
_CHOICES = {"data_source": DATA_SOURCES, "sector": SECTORS}
_CODE = "DPS524"


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

    title: str
    curators: tuple[str, ...]
    description: str
    intended_use: str
    not_for: str
    population: str
    period: str
    region: str
    contact: str
    licence: str
    maintenance: str
    registry_authors: tuple[str, ...]
    data_source: Literal["Static", "Dynamic"]
    sector: (
        Literal["Technology", "Healthcare", "Education", "Government", "Energy", "Finance"] | None
    ) = None
    collection: str | None = None
    subgroups: str | None = None
    actors: str | None = None
    preprocessing: str | None = None
    justification: str | None = None
    security: str | None = None
    sources: str | None = None

    def __post_init__(self) -> None:
        for name in _LISTS:
            if isinstance(value := getattr(self, name), list | tuple):
                object.__setattr__(self, name, tuple(value))
        required = self.required()
        wrong = [
            f"{f.name} must be {expected}"
            for f in fields(self)
            if (expected := _expected(f.name, getattr(self, f.name), f.name in required))
        ]
        if wrong:
            raise UsageError(f"publication: {'; '.join(wrong)}.", code=_CODE)

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
        stated = {f.name: getattr(self, f.name) for f in fields(self)}
        stated |= {name: list(stated[name]) for name in _LISTS}
        return {name: value for name, value in stated.items() if value is not None}


def _expected(name: str, value: object, is_required: bool) -> str:
    """Return what a fact must be, or nothing if it is that."""
    if value is None and not is_required:
        return ""
    if name in _LISTS:
        fits = isinstance(value, tuple) and value and all(is_text(item) for item in value)
        return "" if fits else "a list of names"
    if name in _CHOICES:
        return "" if value in _CHOICES[name] else f"one of {', '.join(_CHOICES[name])}"
    return "" if is_text(value) else "a text"
