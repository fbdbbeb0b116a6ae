"""From the tables of a schema file to a schema, with every problem named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from dpsynth.errors import SchemaError, UsageError
from dpsynth.presets import PRESETS
from dpsynth.privacy import NeighbouringRelation, PrivacyUnit
from dpsynth.schema import (
    DISCOVER,
    MAX_LEVELS,
    SECONDS,
    TODO,
    Column,
    Kind,
    Schema,
    canonical_level,
)

_COLUMN_KEYS = {
    "kind",
    "source",
    "categories",
    "other",
    "bounds",
    "outside",
    "decimals",
    "missing",
    "unit",
    "role",
}


_MOST_SPAN = 2.0**1000
_LARGEST_INTEGER = 2.0**61
"""Positions between two such bounds are numbered with 64 bits."""


_NO_COLUMN = ("the schema names no column.", "add [columns.NAME].")


class _Problems:
    """Collects problems, so that one reading names them all."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, column: str | None, what: str, fix: str) -> None:
        where = f"column {column!r}: " if column else ""
        self.found.append(f"{where}{what} Fix: {fix}")


def parse(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a schema.

    Raises
    ------
    SchemaError
        Naming every problem of form at once.
    """
    problems = _Problems()
    unknown = set(document) - {"table", "columns", "evaluation"}
    for key in sorted(unknown):
        problems.add(None, f"unknown section [{key}].", "use [table], [columns], [evaluation].")
    table = _mapping(document.get("table", {}), "table", problems)
    for key in sorted(set(table) - {"name", "rows", "unit"}):
        problems.add(None, f"unknown key {key!r} in [table].", "use name, rows, unit.")
    evaluation = _mapping(document.get("evaluation", {}), "evaluation", problems)
    for key in sorted(set(evaluation) - {"protected", "formulas"}):
        problems.add(None, f"unknown key {key!r} in [evaluation].", "use protected, formulas.")
    columns = _mapping(document.get("columns", {}), "columns", problems)
    if not columns:
        problems.add(None, *_NO_COLUMN)
    fields = {
        "name": str(table.get("name", "table")),
        "rows": _rows(table.get("rows", "private"), problems),
        "unit": _unit(table.get("unit", {}), problems),
        "columns": tuple(
            column
            for name, entry in columns.items()
            if (column := _column(str(name), entry, problems)) is not None
        ),
        "protected": _strings(evaluation.get("protected", []), "protected", problems),
        "formulas": _strings(evaluation.get("formulas", []), "formulas", problems),
    }
    if problems.found:
        # What could be read is checked as well, so that one run names everything.
        rest = [p for p in _semantic(fields) if p not in problems.found]
        everything = problems.found + rest
        raise SchemaError(
            f"{len(everything)} problem{'s' if len(everything) > 1 else ''}:\n  "
            + "\n  ".join(everything),
            code="DPS202",
            fix="mend the schema file.",
        )
    return fields


def problems(schema: Schema) -> list[str]:
    """Return what is wrong with a schema, one line each."""
    found = _semantic(
        {
            name: getattr(schema, name)
            for name in ("name", "rows", "unit", "columns", "protected", "formulas")
        }
    )
    if not schema.columns:
        none = _Problems()
        none.add(None, *_NO_COLUMN)
        found = [*none.found, *found]
    return found


# -- form ---------------------------------------------------------------------------------------


def _mapping(value: object, name: str, problems: _Problems) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    problems.add(None, f"[{name}] must be a table.", f"write [{name}] with keys below it.")
    return {}


def _strings(value: object, name: str, problems: _Problems) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    problems.add(None, f"{name} must be a list of texts.", f'write {name} = ["..."].')
    return ()


def _rows(value: object, problems: _Problems) -> int | None:
    if value == "private":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    problems.add(None, "table.rows is neither private nor a whole number.", 'write "private".')
    return None


def _unit(value: object, problems: _Problems) -> PrivacyUnit:
    entry = _mapping(value, "table.unit", problems)
    for key in sorted(set(entry) - {"id", "max_rows", "relation"}):
        problems.add(None, f"unknown key {key!r} in table.unit.", "use id, max_rows, relation.")
    relation = entry.get("relation", "add_remove")
    if not isinstance(relation, str) or relation not in set(NeighbouringRelation):
        problems.add(None, "table.unit.relation is unknown.", "use add_remove or replace_one.")
        relation = "add_remove"
    try:
        return PrivacyUnit(
            column=entry.get("id"),
            max_rows=entry.get("max_rows", 1),
            relation=NeighbouringRelation(relation),
        )
    except (UsageError, TypeError, ValueError, OverflowError) as error:
        what = error.message if isinstance(error, UsageError) else "table.unit is malformed."
        problems.add(None, what, "write unit = { id = COLUMN, max_rows = NUMBER }.")
        return PrivacyUnit()


def _column(name: str, entry: object, problems: _Problems) -> Column | None:
    entry = _mapping(entry, f"columns.{name}", problems)
    for key in sorted(set(entry) - _COLUMN_KEYS):
        problems.add(name, f"unknown key {key!r}.", f"use {', '.join(sorted(_COLUMN_KEYS))}.")
    kinds = ", ".join(Kind)
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in set(Kind):
        what = "kind is missing or left TODO." if kind in (None, TODO) else "unknown kind."
        problems.add(name, what, f"use one of {kinds}.")
        return None
    kind = Kind(kind)
    source = entry.get("source")
    if source is not None and not isinstance(source, str):
        problems.add(name, "source must be a text.", 'write source = "...".')
        source = None
    unit = entry.get("unit", "day" if kind == Kind.DATETIME else None)
    if kind == Kind.DATETIME and not (isinstance(unit, str) and unit in SECONDS):
        problems.add(name, "unknown unit of a datetime.", f"use one of {', '.join(SECONDS)}.")
        unit = "day"
    column = Column(
        name=name,
        kind=kind,
        source=source,
        categories=_categories(name, kind, entry.get("categories"), problems),
        other=None if entry.get("other") is None else str(entry["other"]),
        bounds=_bounds(name, kind, entry.get("bounds"), source, unit, problems),
        outside=_choice(name, "outside", entry.get("outside", "clip"), ("clip", "null"), problems),
        decimals=_decimals(name, entry.get("decimals"), problems),
        missing=_flag(name, entry.get("missing", False), problems),
        unit=unit,
        role=_choice(name, "role", entry.get("role"), ("target", "protected", None), problems),
    )
    if column.other is None:
        return column
    return replace(column, other=canonical_level(column.other, whole=column.whole_levels))


def _choice(
    name: str, key: str, value: object, allowed: tuple[Any, ...], problems: _Problems
) -> Any:  # noqa: ANN401 - one of the allowed values, whatever their type
    if value in allowed:
        return value
    problems.add(name, f"unknown {key}.", f"use {' or '.join(str(a) for a in allowed if a)}.")
    return allowed[0]


def _flag(name: str, value: object, problems: _Problems) -> bool:
    if isinstance(value, bool):
        return value
    problems.add(name, "missing must be true or false.", "write missing = true.")
    return False


def _decimals(name: str, value: object, problems: _Problems) -> int | None:
    if value is None or (
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 16
    ):
        return value
    problems.add(name, "decimals must be a whole number from 0 to 15.", "write decimals = 2.")
    return None


def _categories(name: str, kind: Kind, value: object, problems: _Problems) -> Any:  # noqa: ANN401
    if value is None:
        return ("false", "true") if kind == Kind.BOOLEAN else None
    if value == DISCOVER:
        return DISCOVER
    if isinstance(value, list | tuple) and all(
        isinstance(v, str | int | float | bool) for v in value
    ):
        levels = tuple(str(v).lower() if isinstance(v, bool) else str(v) for v in value)
        if kind == Kind.BOOLEAN and {v.strip().lower() for v in levels} == {"false", "true"}:
            # The spelling of Python and of R is the level that a cell is read as.
            return tuple(v.strip().lower() for v in levels)
        return levels
    problems.add(
        name,
        "categories are left TODO." if value == TODO else "categories must be a list.",
        'list the levels, or write categories = "discover" with source = "dp".',
    )
    return None


def _bounds(
    name: str, kind: Kind, value: object, source: str | None, unit: str | None, problems: _Problems
) -> Any:  # noqa: ANN401
    fix = 'write bounds = [LOW, HIGH], or bounds = "discover" with source = "dp".'
    if value is None and source and source.startswith("preset:"):
        if source[7:] in PRESETS:
            return PRESETS[source[7:]]
        problems.add(name, "unknown preset.", f"use one of {', '.join(sorted(PRESETS))}.")
        return None
    if value is None or value == DISCOVER:
        return value
    if not isinstance(value, list | tuple) or len(value) != 2:
        what = "bounds are left TODO." if value == TODO else "bounds must be two values."
        problems.add(name, what, fix)
        return None
    numbers = []
    for item in value:
        number = _stamp(item, unit or "day") if kind == Kind.DATETIME else _number(item)
        if number is None:
            what = (
                "bounds are not ISO dates." if kind == Kind.DATETIME else "bounds are no numbers."
            )
            problems.add(name, what, fix)
            return None
        numbers.append(number)
    return (numbers[0], numbers[1])


def _number(item: object) -> float | None:
    if isinstance(item, bool) or not isinstance(item, int | float):
        return None
    try:
        return float(item)
    except OverflowError:
        return math.inf


def _stamp(item: object, unit: str) -> float | None:
    try:
        if isinstance(item, datetime | date):
            stamp = datetime.fromisoformat(item.isoformat())
        else:
            stamp = datetime.fromisoformat(str(item))
    except ValueError:
        return None
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    return float(math.floor(stamp.timestamp() / SECONDS[unit]))


# -- meaning ------------------------------------------------------------------------------------


def _semantic(fields: Mapping[str, Any]) -> list[str]:
    problems = _Problems()
    columns: tuple[Column, ...] = fields["columns"]
    names = [column.name for column in columns]
    for column in columns:
        if column.kind == Kind.KEY:
            if column.role == "target":
                problems.add(column.name, "a key cannot be the target.", "give it another role.")
            continue
        _check_source(column, problems)
        if column.is_numeric:
            _check_numeric(column, problems)
        else:
            _check_discrete(column, problems)
    unit: PrivacyUnit = fields["unit"]
    if unit.column is not None:
        keys = [column.name for column in columns if column.kind == Kind.KEY]
        if unit.column not in names:
            problems.add(unit.column, "the unit's column is not in the schema.", 'kind = "key".')
        elif unit.column not in keys:
            problems.add(unit.column, "the unit's column is no key.", 'write kind = "key".')
    targets = [column.name for column in columns if column.role == "target"]
    if len(targets) > 1:
        problems.add(targets[1], "there is more than one target.", "keep one role = 'target'.")
    for name in fields["protected"]:
        if name not in names:
            problems.add(name, "protected, but not in the schema.", "name a column.")
    keys = {column.name for column in columns if column.kind == Kind.KEY}
    for formula in fields["formulas"]:
        _check_formula(formula, names, keys, problems)
    return problems.found


def _check_formula(text: str, names: list[str], keys: set[str], problems: _Problems) -> None:
    left, tilde, right = text.partition("~")
    used = [left.strip(), *(name.strip() for name in right.split("+"))]
    if not tilde or "~" in right or "" in used or len(set(used)) < len(used):
        fix = "write 'outcome ~ covariate + covariate', every column once."
        problems.add(None, f"{text!r} is no formula.", fix)
        return
    for name in used:
        if name not in names:
            problems.add(name, "in a formula, but not in the schema.", "name a column.")
        elif name in keys:
            problems.add(name, "a key stands in a formula.", "use columns that are modelled.")


def _check_source(column: Column, problems: _Problems) -> None:
    if column.source in (None, "", TODO):
        problems.add(
            column.name,
            "source is missing or left TODO.",
            'say where the facts come from: source = "codebook v3".',
        )
    if column.discovers and column.source != "dp":
        problems.add(column.name, "what is discovered is bought.", 'write source = "dp".')


def _check_numeric(column: Column, problems: _Problems) -> None:
    name, bounds = column.name, column.bounds
    if column.categories is not None or column.other is not None:
        problems.add(name, f"categories do not go with kind {column.kind}.", "remove them.")
    if column.decimals is not None and column.kind != Kind.REAL:
        problems.add(name, f"decimals do not go with kind {column.kind}.", "remove them.")
    if bounds is None:
        problems.add(name, "bounds are missing.", 'write bounds = [LOW, HIGH] or "discover".')
    elif bounds != DISCOVER:
        low, high = float(bounds[0]), float(bounds[1])
        if not (math.isfinite(low) and math.isfinite(high)):
            problems.add(name, "bounds must be finite.", "give numbers.")
        elif low > high:
            problems.add(name, "bounds are reversed.", "write the smaller one first.")
        elif low == high:
            problems.add(name, "bounds are equal: the column is constant.", "leave it out.")
        elif not _MOST_SPAN**-1 <= high - low <= _MOST_SPAN:
            problems.add(name, "bounds are too near or too far apart.", "use another unit.")
        elif column.kind != Kind.REAL and max(-low, high) > _LARGEST_INTEGER:
            problems.add(name, "bounds are beyond 2^61.", "use another unit.")
        elif column.kind == Kind.INTEGER and not (low.is_integer() and high.is_integer()):
            problems.add(name, "bounds of an integer must be whole.", "round them outwards.")


def _check_discrete(column: Column, problems: _Problems) -> None:
    name, categories = column.name, column.categories
    if column.bounds is not None or column.decimals is not None:
        problems.add(
            name, f"bounds and decimals do not go with kind {column.kind}.", "remove them."
        )
    if categories is None:
        problems.add(name, "categories are missing.", 'list them, or write "discover".')
        return
    if categories == DISCOVER:
        if column.kind != Kind.CATEGORICAL:
            problems.add(name, f"kind {column.kind} needs declared levels.", "list them.")
        if column.other is not None:
            problems.add(name, "other does not go with discovered levels.", "remove it.")
        return
    whole = column.whole_levels
    canonical = [canonical_level(level, whole=whole) for level in categories]
    if len(set(canonical)) < len(canonical):
        problems.add(name, "categories repeat a level.", "list every level once.")
    if len(categories) < 2:
        problems.add(name, "fewer than two categories: the column is constant.", "leave it out.")
    if len(categories) > MAX_LEVELS:
        problems.add(
            name, f"more than {MAX_LEVELS} categories.", 'group levels, or use "discover".'
        )
    if column.kind == Kind.BOOLEAN and len(categories) != 2:
        problems.add(name, "a boolean has two levels.", "use kind categorical.")
    if column.other is not None and column.other not in canonical:
        problems.add(name, "other is not among the categories.", "name a listed level.")
