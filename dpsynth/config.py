"""``dpsynth.toml``: everything that a release needs, in one file that is fixed before it begins.

A value comes from a flag, else from the environment (``DPSYNTH_<SECTION>_<KEY>``), else from the
file, else it is the default. Every section is a frozen dataclass that the library uses as it is;
its docstring is the comment that ``dpsynth init`` writes above a key.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Self, get_type_hints

from benchmarks.uses import Thresholds
from dpsynth.criteria import Audit, Criteria, Purchase
from dpsynth.errors import UsageError
from dpsynth.privacy import Budget
from dpsynth.release import PublicationFacts
from dpsynth.sections import Problems, explain, parse, read_document, render
from privacy_audits.gate import Policy

PREFIX = "DPSYNTH_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What is read. Paths are taken from the folder of this file.

    Parameters
    ----------
    table : path
        CSV or Parquet file with the sensitive rows.
    schema : path
        Schema file: public facts, each with its source.
    """

    table: Path
    schema: Path


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Book:
    """The ledger that pays.

    Parameters
    ----------
    address : str
        Ledger file (from the folder of this file), or the URL of its database.
    dataset : str
        Name of the dataset in the ledger.
    key : path, optional
        Custodian's key, which recognises the table as the one that was entered.
    """

    address: str
    dataset: str
    key: Path | None = None

    def __repr__(self) -> str:
        return f"Book({_without_password(self.address)!r}, dataset={self.dataset!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodChoice:
    """How the table is made.

    Parameters
    ----------
    name : str
        A method, or auto: chosen from the budget, the declared rows and the schema.
    rows : int, optional
        Public guess of the number of rows of the table, where the schema declares none. It sets
        scales, never the guarantee.
    sample : int, optional
        Synthetic rows; by default the noisy number of fitted rows.
    """

    name: str = "auto"
    rows: int | None = None
    sample: int | None = None

    def __post_init__(self) -> None:
        for key in ("rows", "sample"):
            if (value := getattr(self, key)) is not None and value < 1:
                raise UsageError(f"{key} must be at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseConfig:
    """A release as it was configured.

    Parameters
    ----------
    files : Files
        What is read.
    ledger : Book
        What pays.
    budget : Budget
        What the fit may spend.
    method : MethodChoice
        How the table is made.
    audit : Audit
        How it is attacked.
    policy : Policy
        What an audit may find.
    uses : Thresholds
        What the table must reach to be called fit for a use, in the house.
    purchase : Purchase
        What is bought for the public, and what it must reach.
    publication : PublicationFacts, optional
        What only the custodian knows; a file states it.
    origins : mapping of str to str
        Where a value comes from, by ``section.key``; what is not named is a default.
    """

    files: Files
    ledger: Book
    budget: Budget
    publication: PublicationFacts | None = None
    method: MethodChoice = field(default_factory=MethodChoice)
    audit: Audit = field(default_factory=Audit)
    policy: Policy = field(default_factory=Policy)
    uses: Thresholds = field(default_factory=Thresholds)
    purchase: Purchase = field(default_factory=Purchase)
    origins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        path: Path | None,
        *,
        environment: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
    ) -> Self:
        """Read a file, the environment and flags.

        Parameters
        ----------
        path : path, optional
            The TOML file; without one all comes from the environment and flags.
        environment : mapping of str to str, optional
            That of the process by default.
        flags : mapping of str to object, optional
            Values by ``section.key``; ``None`` stands for a flag that was not given.

        Raises
        ------
        UsageError
            Naming every problem with its fix (``DPS520``), or that there is no such file.
        """
        document = {} if path is None else read_document(path, hint="dpsynth init writes one")
        problems = Problems()
        given = {name: dict(part) for name, part in document.items() if isinstance(part, Mapping)}
        for name, part in document.items():
            if name not in SECTIONS:
                problems.add(f"[{name}]", "unknown section.", f"use {', '.join(SECTIONS)}.")
            elif not isinstance(part, Mapping):
                problems.add(name, "it must be a section.", f"write [{name}] and its keys below.")
        origins = {f"{name}.{key}": "file" for name, part in given.items() for key in part}
        layers = (
            ("environment", _from_environment(os.environ if environment is None else environment)),
            ("flag", {key: value for key, value in (flags or {}).items() if value is not None}),
        )
        for origin, values in layers:
            for place, value in values.items():
                name, _, key = place.partition(".")
                given.setdefault(name, {})[key] = value
                origins[place] = origin
        stated = path is not None or "publication" in given
        parsed = {
            name: parse(kind, given.get(name, {}), where=f"[{name}]", problems=problems)
            for name, kind in SECTIONS.items()
            if name != "publication" or stated
        }
        problems.raise_any("the command" if path is None else str(path))
        config = cls(**parsed, origins=origins)  # type: ignore[arg-type]
        return config if path is None else config._placed(path.parent)

    def _placed(self, folder: Path) -> Self:
        """Return the same with paths taken from a folder; flags are taken from where one stands."""

        def near(place: str, path: Path) -> Path:
            return path if self.origins.get(place) == "flag" else folder / path

        files = Files(
            table=near("files.table", self.files.table),
            schema=near("files.schema", self.files.schema),
        )
        book = self.ledger
        if "://" not in book.address:
            address = str(near("ledger.address", Path(book.address)))
            book = replace(book, address=address)
        if book.key is not None:
            book = replace(book, key=near("ledger.key", book.key))
        return replace(self, files=files, ledger=book)

    @property
    def criteria(self) -> Criteria:
        """What is fixed before the data is touched."""
        return Criteria(
            audit=self.audit, policy=self.policy, uses=self.uses, purchase=self.purchase
        )

    def to_toml(self) -> str:
        """Return the effective configuration, each value with where it comes from.

        Passwords in the address of a database are not shown.
        """
        parts = []
        for name in SECTIONS:
            if getattr(self, name) is None:
                continue
            origins = {
                place.partition(".")[2]: origin
                for place, origin in self.origins.items()
                if place.partition(".")[0] == name
            }
            section = getattr(self, name)
            if isinstance(section, Book):
                section = replace(section, address=_without_password(section.address))
            parts.append(render(section, name=name, origins=origins))
        return "\n".join(parts)


SECTIONS: Mapping[str, type] = {
    "files": Files,
    "ledger": Book,
    "budget": Budget,
    "method": MethodChoice,
    "audit": Audit,
    "policy": Policy,
    "uses": Thresholds,
    "purchase": Purchase,
    "publication": PublicationFacts,
}


def template(schema: Path, *, table: Path, ledger: str, dataset: str, folder: Path) -> str:
    """Return a commented file for a schema.

    Parameters
    ----------
    schema, table : path
        The schema file, and the file with the sensitive rows.
    ledger : str
        Ledger file or address.
    dataset : str
        Name of the dataset in the ledger.
    folder : path
        Folder that the file will stand in.
    """

    def near(path: Path) -> str:
        return os.path.relpath(path.absolute(), folder.absolute())

    given: dict[str, dict[str, object]] = {
        "files": {"table": near(table), "schema": near(schema)},
        "ledger": {
            "address": ledger if "://" in ledger else near(Path(ledger)),
            "dataset": dataset,
        },
        "budget": {"epsilon": 1.0, "delta": 1e-6},
    }
    head = (
        "# A release: dpsynth release dpsynth.toml -o release\n"
        "# Everything here is fixed before the data is read; its digest stands in the release.\n"
        "# Flags come first, then DPSYNTH_<SECTION>_<KEY>, then this file, then the defaults.\n"
    )
    parts = [explain(kind, name=name, given=given.get(name, {})) for name, kind in SECTIONS.items()]
    return "\n".join([head, *parts])


_PASSWORDS = (
    (re.compile(r"(?<=://)([^/?#]*?:)[^/?#]*(?=@)"), r"\1***"),
    (re.compile(r"(?i)([?&][^=&]*(?:password|passwd|pwd|sslkey)[^=&]*=)[^&]*"), r"\1***"),
)


def _without_password(address: str) -> str:
    if "://" in address:
        for pattern, masked in _PASSWORDS:
            address = pattern.sub(masked, address)
    return address


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    """Return values by ``section.key``; texts stay texts, the rest is read as TOML reads it."""
    out: dict[str, object] = {}
    for name, kind in SECTIONS.items():
        hints = get_type_hints(kind)
        for item in fields(kind):
            text = environment.get(f"{PREFIX}{name}_{item.name}".upper())
            if text is None:
                continue
            is_text = hints[item.name] in (str, str | None, Path, Path | None)
            out[f"{name}.{item.name}"] = text if is_text else _read_value(text)
    return out


def _read_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
