"""A public table in a folder: rows to fit, rows to test, and its schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpsynth.errors import UsageError
from dpsynth.files import read_frame
from dpsynth.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTable:
    """A table for research: anybody may know all of it.

    Parameters
    ----------
    name : str
        Name of its folder.
    train, test : path
        Rows to fit and rows that no fit has seen.
    schema : Schema
        Public facts.
    rows : int
        Number of rows to fit, rounded to two digits: what a custodian would declare.
    """

    name: str
    train: Path
    test: Path
    schema: Schema
    rows: int

    @classmethod
    def read(cls, folder: Path) -> PublicTable:
        """Read a folder with ``train.csv``, ``test.csv`` and ``schema.toml`` or ``spec.json``.

        Raises
        ------
        UsageError
            If one of them is missing.
        """
        train, test = folder / "train.csv", folder / "test.csv"
        facts = folder / "schema.toml", folder / "spec.json"
        if not (train.exists() and test.exists() and any(path.exists() for path in facts)):
            raise UsageError(
                f"{str(folder)!r} is no benchmark table.",
                fix="it needs train.csv, test.csv, and schema.toml or spec.json.",
            )
        if facts[0].exists():
            schema = Schema.read(facts[0])
        else:
            schema = schema_of_spec(folder.name, json.loads(facts[1].read_text("utf-8")))
        rows = len(read_frame(train))
        return cls(
            name=folder.name, train=train, test=test, schema=schema, rows=int(float(f"{rows:.2g}"))
        )


def schema_of_spec(name: str, spec: dict[str, Any]) -> Schema:
    """Return the schema of a table that is described by a ``spec.json``.

    Parameters
    ----------
    name : str
        Name of the table.
    spec : dict
        ``columns`` with kind, bounds or categories, and the ``target``.
    """
    columns: dict[str, dict[str, Any]] = {}
    for column, facts in spec["columns"].items():
        if facts["kind"] == "numeric":
            kind = "integer" if facts.get("integer") else "real"
            stated = {"kind": kind, "bounds": [facts["min"], facts["max"]]}
            if facts.get("nullable"):
                stated["missing"] = True
        else:
            stated = {"kind": "categorical", "categories": facts["categories"]}
        if column == spec["target"]:
            stated["role"] = "target"
        columns[column] = {**stated, "source": "the table's public description"}
    return Schema.from_dict({"table": {"name": name, "rows": "private"}, "columns": columns})
