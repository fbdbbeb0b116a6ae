"""What the custodian adds to a registry draft: facts that a ledger cannot know."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Self

from dpsynth.errors import UsageError

SECTORS = ("Technology", "Healthcare", "Education", "Government", "Energy", "Finance")
DATA_SOURCES = ("Static", "Dynamic")
_LISTS = ("curators", "registry_authors")
_CODE = "DPS522"


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

    name: str
    curators: tuple[str, ...]
    description: str
    intended_use: str
    region: str
    publication_date: str
    registry_authors: tuple[str, ...]
    data_source: str
    sector: str | None = None
    actors: str | None = None
    data_domain: str | None = None
    unprotected_quantities: str | None = None
    preprocessing: str | None = None
    justification: str | None = None
    security: str | None = None
    post_processing: str | None = None
    sources: str | None = None
    notes: str | None = None

    def __post_init__(self) -> None:
        for name in _LISTS:
            if isinstance(value := getattr(self, name), list | tuple):
                object.__setattr__(self, name, tuple(value))
        wrong = [
            f"{f.name} must be {expected}"
            for f in fields(self)
            if (expected := _expected(f.name, getattr(self, f.name), f.name in self.required()))
        ]
        if wrong:
            raise UsageError(f"facts: {'; '.join(wrong)}.", code=_CODE)

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
        try:
            document: Mapping[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError:
            raise UsageError(
                f"there is no readable file {str(path)!r}.",
                code=_CODE,
                fix="check path and rights.",
            ) from None
        except ValueError:
            raise UsageError(
                f"{str(path)!r} is no TOML file in UTF-8.",
                code=_CODE,
                fix="see docs/certificate.md.",
            ) from None
        missing = [name for name in cls.required() if name not in document]
        unknown = sorted(set(document) - {f.name for f in fields(cls)})
        if missing or unknown:
            said = [f"missing: {', '.join(missing)}"] * bool(missing)
            said += [f"unknown: {', '.join(unknown)}"] * bool(unknown)
            raise UsageError(
                f"facts of the deployment are incomplete; {'; '.join(said)}.",
                code=_CODE,
                fix="see docs/certificate.md for what each of them means.",
            )
        stated = dict(document)
        if type(stated["publication_date"]) is date:
            stated["publication_date"] = stated["publication_date"].isoformat()
        return cls(**stated)


def _expected(name: str, value: object, is_required: bool) -> str:
    """Return what a fact must be, or nothing if it is that."""
    if value is None and not is_required:
        return ""
    if name in _LISTS:
        fits = isinstance(value, tuple) and value and all(is_text(item) for item in value)
        return "" if fits else "a list of names"
    if name == "publication_date":
        return "" if _is_date(value) else "a date, YYYY-MM-DD"
    for field_name, words in (("sector", SECTORS), ("data_source", DATA_SOURCES)):
        if name == field_name:
            return "" if value in words else f"one of {', '.join(words)}"
    return "" if is_text(value) else "a text"


def is_text(value: object) -> bool:
    """Return whether a text can be shown; it may have several lines."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and all(character.isprintable() or character in "\n\t" for character in value)
    )


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
