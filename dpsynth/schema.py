"""The schema: public facts about a table, read from and written to TOML.

Everything in a schema is public, hence not protected by the guarantee. Every bound and every list
of categories names its source; ``source = "data"`` is a draft marker that blocks a release.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w

from dpsynth.errors import SchemaError
from dpsynth.privacy import PrivacyUnit, canonical_sha256

DISCOVER = "discover"
TODO = "TODO"
MAX_LEVELS = 10_000

Discover = Literal["discover"]


class Kind(StrEnum):
    """Kinds of columns."""

    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    REAL = "real"
    DATETIME = "datetime"
    KEY = "key"


SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
"""Units of datetime columns."""

_BOOLEAN_LEVELS = ("false", "true")
# Python refuses to read longer numbers; 640 digits is the least to which it can be set.
_WHOLE = re.compile(r"[+-]?\d{1,640}(\.0+)?")


def canonical_level(text: str, *, whole: bool) -> str:
    """Return the text under which a level is compared.

    Parameters
    ----------
    text : str
        A cell or a declared level.
    whole : bool
        Whether all declared levels are whole numbers: then ``1``, ``1.0`` and ``"1"`` are the same.
    """
    stripped = text.strip()
    if whole and _WHOLE.fullmatch(stripped):
        return str(int(stripped.partition(".")[0]))
    return stripped


_FEW = 8
"""Levels that a description of a column names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Public facts about one column.

    Parameters
    ----------
    name : str
        Name in the table.
    kind : Kind
        Kind of values.
    source : str or None
        Where bounds or categories come from.
    categories : tuple of str, "discover" or None
        Declared levels, in order for ordinals.
    other : str or None
        Level that takes values outside the list; ``None`` for a reserved one.
    bounds : tuple of float, "discover" or None
        Least and greatest value; for datetimes in units since 1970-01-01.
    outside : {"clip", "null"}
        What happens to numbers outside the bounds.
    decimals : int or None
        Decimal places of reals.
    missing : bool
        Whether missing values are possible.
    unit : str or None
        Unit of datetimes.
    role : {"target", "protected"} or None
        What the column is for.
    """

    name: str
    kind: Kind
    source: str | None = None
    categories: tuple[str, ...] | Discover | None = None
    other: str | None = None
    bounds: tuple[float, float] | Discover | None = None
    outside: Literal["clip", "null"] = "clip"
    decimals: int | None = None
    missing: bool = False
    unit: str | None = None
    role: Literal["target", "protected"] | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether values have an order and a distance."""
        return self.kind in (Kind.INTEGER, Kind.REAL, Kind.DATETIME)

    @property
    def is_discrete(self) -> bool:
        """Whether values are levels."""
        return self.kind in (Kind.CATEGORICAL, Kind.ORDINAL, Kind.BOOLEAN)

    @property
    def discovers(self) -> bool:
        """Whether bounds or categories are bought."""
        return DISCOVER in (self.bounds, self.categories)

    @property
    def whole_levels(self) -> bool:
        """Whether all declared levels are whole numbers."""
        return isinstance(self.categories, tuple) and all(
            _WHOLE.fullmatch(level.strip()) for level in self.categories
        )

    @property
    def levels(self) -> tuple[str, ...]:
        """Declared levels in canonical text, followed by the reserved one where there is one."""
        declared = self.categories if isinstance(self.categories, tuple) else ()
        whole = self.whole_levels
        canonical = tuple(canonical_level(level, whole=whole) for level in declared)
        if self.other is not None:
            return canonical
        reserved = "other"
        while reserved in canonical:
            reserved += "_"
        return (*canonical, reserved)

    def domain(self) -> str:
        """Describe the values that are possible, in a few words.

        Privacy
        -------
        Bounds and categories that were read off the rows are not shown.
        """
        if self.source == "data":
            return "read off the rows: not shown"
        if self.discovers:
            return "bought from the budget"
        if isinstance(self.categories, tuple):
            few = ", ".join(self.categories[:_FEW])
            more = "" if len(self.categories) <= _FEW else ", …"
            return f"{len(self.categories)} levels: {few}{more}"
        if self.bounds is None:
            return "–"
        low, high = self._written_bounds()
        decimals = "" if self.decimals is None else f", decimals: {self.decimals}"
        return f"{low} to {high}{decimals}"

    def to_dict(self) -> dict[str, Any]:
        """Return the column's table of the schema file."""
        out: dict[str, Any] = {"kind": str(self.kind)}
        if self.categories is not None:
            default = self.kind == Kind.BOOLEAN and self.categories == _BOOLEAN_LEVELS
            if not default:
                out["categories"] = (
                    DISCOVER if self.categories == DISCOVER else list(self.categories)
                )
        if self.bounds is not None:
            out["bounds"] = DISCOVER if self.bounds == DISCOVER else self._written_bounds()
        for key in ("other", "decimals", "unit", "role", "source"):
            if getattr(self, key) is not None:
                out[key] = getattr(self, key)
        if self.outside != "clip":
            out["outside"] = self.outside
        if self.missing:
            out["missing"] = True
        return out

    def _written_bounds(self) -> list[Any]:
        assert isinstance(self.bounds, tuple)
        if self.kind != Kind.DATETIME:
            return [int(b) if float(b).is_integer() else float(b) for b in self.bounds]
        seconds = SECONDS[self.unit or "day"]
        stamps = [
            datetime.fromtimestamp(b * seconds, UTC).replace(tzinfo=None) for b in self.bounds
        ]
        if self.unit == "day":
            return [stamp.date().isoformat() for stamp in stamps]
        return [stamp.isoformat() for stamp in stamps]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Schema:
    """Public facts about a table.

    Parameters
    ----------
    name : str
        Name of the table.
    columns : tuple of Column
        In the order of the output.
    rows : int or None
        Public number of rows; ``None`` when it is private.
    unit : PrivacyUnit
        Who is protected.
    protected : tuple of str
        Columns whose groups an evaluation looks at.
    formulas : tuple of str
        Regressions that an evaluation compares.

    Privacy
    -------
    Not protected: all of it.
    """

    name: str
    columns: tuple[Column, ...]
    rows: int | None = None
    unit: PrivacyUnit = field(default_factory=PrivacyUnit)
    protected: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()

    # -- reading and writing -------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a schema file.

        Raises
        ------
        SchemaError
            Naming every problem at once, each with its column and fix.
        """
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SchemaError(f"there is no schema file {str(path)!r}.", code="DPS201") from None
        except (OSError, UnicodeDecodeError):
            raise SchemaError(
                f"the schema file {str(path)!r} cannot be read as UTF-8 text.", code="DPS201"
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise SchemaError(
                f"the schema file {str(path)!r} is not valid TOML: {error}.", code="DPS201"
            ) from None
        return cls.from_dict(document)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Build a checked schema from the tables of a schema file."""
        from dpsynth.schema_parser import parse

        parsed = parse(document)
        schema = cls(**parsed)
        schema.check()
        return schema

    def to_dict(self) -> dict[str, Any]:
        """Return the tables of the schema file."""
        table: dict[str, Any] = {
            "name": self.name,
            "rows": "private" if self.rows is None else self.rows,
        }
        if self.unit.column is not None:
            table["unit"] = {"id": self.unit.column, "max_rows": self.unit.max_rows}
        if self.unit.relation != "add_remove":
            table.setdefault("unit", {})["relation"] = str(self.unit.relation)
        out: dict[str, Any] = {
            "table": table,
            "columns": {column.name: column.to_dict() for column in self.columns},
        }
        evaluation = {"protected": list(self.protected), "formulas": list(self.formulas)}
        if any(evaluation.values()):
            out["evaluation"] = {key: value for key, value in evaluation.items() if value}
        return out

    def to_toml(self) -> str:
        """Return the text of a schema file; the same schema gives the same text."""
        return tomli_w.dumps(self.to_dict())

    def write(self, path: str | Path) -> None:
        """Write a schema file; an existing file is not replaced."""
        from dpsynth.files import write_bytes

        write_bytes(Path(path), self.to_toml().encode())

    def check(self) -> None:
        """Raise :class:`SchemaError` naming every problem at once."""
        from dpsynth.schema_parser import problems

        found = problems(self)
        if found:
            raise SchemaError(
                f"{len(found)} problem{'s' if len(found) > 1 else ''}:\n  " + "\n  ".join(found),
                code="DPS202",
                fix="mend the schema file.",
            )

    @staticmethod
    def draft(source: object, *, name: str = "table") -> str:
        """Return the text of a schema file to be completed by a person.

        Parameters
        ----------
        source : path, DataFrame or Arrow table
            Only names and dtypes are read.
        name : str
            Name of the table.

        Privacy
        -------
        No value is read: neither categories nor bounds are proposed.
        """
        from dpsynth.schema_draft import draft

        return draft(source, name=name)

    # -- asking --------------------------------------------------------------------------------

    def column(self, name: str) -> Column:
        """Return a column by name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError("there is no such column in the schema.", column=name, code="DPS203")

    @property
    def modelled(self) -> tuple[Column, ...]:
        """All columns but keys."""
        return tuple(column for column in self.columns if column.kind != Kind.KEY)

    @property
    def keys(self) -> tuple[Column, ...]:
        """Key columns."""
        return tuple(column for column in self.columns if column.kind == Kind.KEY)

    @property
    def target(self) -> Column | None:
        """The column that a model of the released table would predict."""
        return next((column for column in self.columns if column.role == "target"), None)

    @property
    def research(self) -> bool:
        """Whether a fact was read off the rows: nothing made from it can be released."""
        return any(column.source == "data" for column in self.columns)

    def digest(self) -> str:
        """SHA-256 of the canonical content."""
        return canonical_sha256(self.to_dict())

    def __repr__(self) -> str:
        return f"Schema({self.name!r}, {len(self.columns)} columns, unit: {self.unit.describe()})"

    def _repr_html_(self) -> str | None:
        from dpsynth.pages.fragments import Rows, fragment
        from dpsynth.plan_fragment import RELATIONS

        columns = Rows(
            caption="Columns",
            head=("Column", "Kind", "Values", "Missing", "Role", "Source"),
            rows=tuple(
                (
                    column.name,
                    str(column.kind) if column.unit is None else f"{column.kind} ({column.unit})",
                    column.domain(),
                    "possible" if column.missing else "no",
                    self._role(column),
                    "⚠ data" if column.source == "data" else column.source or "–",
                )
                for column in self.columns
            ),
        )
        return fragment(
            f"Schema of {self.name}",
            stamp="RESEARCH ONLY: facts were read off the rows. Nothing made from it is released."
            if self.research
            else "",
            facts=[
                ("Protects", self.unit.describe()),
                ("Neighbours", RELATIONS[self.unit.relation]),
                ("Rows", "private" if self.rows is None else f"{self.rows:,}, public"),
                *(("Regression", formula) for formula in self.formulas),
            ],
            tables=[columns],
            remarks=["Everything in a schema counts as public: the guarantee does not protect it."],
        )

    def _role(self, column: Column) -> str:
        roles = [
            "unit" if column.name == self.unit.column else "",
            column.role or "",
            "protected" if column.name in self.protected and column.role != "protected" else "",
        ]
        return ", ".join(filter(None, roles)) or "–"
