"""Public tables for research: those inside scikit-learn and statsmodels, simulators, and folders.

Anybody may know all of their rows. Nothing is downloaded. The schemas under ``benchmarks/data``
hold what the descriptions of the tables say, and round numbers; no fact was read off the rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dpsynth.errors import UsageError, require_extra
from dpsynth.files import read_frame
from dpsynth.schema import Schema

SKLEARN = ("breast_cancer", "diabetes", "digits")
"""Tables inside scikit-learn."""

STATSMODELS = ("anes96", "fair", "randhie")
"""Tables inside statsmodels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PublicTable:
    """A table for research.

    Parameters
    ----------
    schema : Schema
        Public facts.
    rows : DataFrame
        Rows to fit, or to be split where there are no test rows.
    test : DataFrame, optional
        Rows that no fit may see.
    """

    schema: Schema
    rows: pd.DataFrame
    test: pd.DataFrame | None = None

    def __repr__(self) -> str:
        return f"PublicTable({self.schema.name!r})"


def sklearn_table(name: str) -> PublicTable:
    """Return a table that comes inside scikit-learn.

    Parameters
    ----------
    name : str
        One of :data:`SKLEARN`.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    datasets: Any = require_extra(
        "sklearn.datasets", extra="benchmarks", purpose=f"The table {name!r}"
    )
    options = {"scaled": False} if name == "diabetes" else {}
    frame = getattr(datasets, f"load_{name}")(as_frame=True, **options).frame
    schema = _packaged("benchmarks", name)
    return PublicTable(schema=schema, rows=frame[[column.name for column in schema.columns]])


def statsmodels_table(name: str) -> PublicTable:
    """Return a table that comes inside statsmodels.

    Parameters
    ----------
    name : str
        One of :data:`STATSMODELS`.

    Raises
    ------
    MissingExtraError
        If statsmodels is not installed.
    UsageError
        If this statsmodels does not carry the table.
    """
    module = require_extra(
        f"statsmodels.datasets.{name}", extra="demo", purpose=f"The table {name!r}"
    )
    if name == "randhie":
        # The package's own loader leaves out who a row is about. The demonstration ships with the
        # library, and so does its schema.
        path = Path(str(module.__file__)).parent / "src" / "randhie.csv"
        if not path.is_file():
            raise UsageError(
                f"this statsmodels does not carry {path.name}.", fix="pip install -U statsmodels"
            )
        schema, frame = _packaged("dpsynth", name), read_frame(path)
    else:
        schema, frame = _packaged("benchmarks", name), module.load_pandas().data
    return PublicTable(schema=schema, rows=frame[[column.name for column in schema.columns]])


def simulated_table(name: str, *, n: int, seed: int) -> PublicTable:
    """Return rows of a simulator with known truth.

    Parameters
    ----------
    name : str
        One of :data:`benchmarks.simulators.SIMULATORS`.
    n : int
        Rows.
    seed : int
        Other rows for every seed.
    """
    from benchmarks.simulators import SIMULATORS

    simulator = SIMULATORS[name]
    return PublicTable(schema=simulator.schema, rows=simulator.draw(n, np.random.default_rng(seed)))


def folder_table(folder: Path) -> PublicTable:
    """Return the table of a folder with ``train.csv``, ``test.csv`` and a schema.

    Parameters
    ----------
    folder : path
        The schema is ``schema.toml`` or ``spec.json``.

    Raises
    ------
    UsageError
        If one of them is missing.
    """
    train, test = folder / "train.csv", folder / "test.csv"
    facts = [path for path in (folder / "schema.toml", folder / "spec.json") if path.is_file()]
    if not (train.is_file() and test.is_file() and facts):
        raise UsageError(
            f"{str(folder)!r} is no benchmark table.",
            fix="it needs train.csv, test.csv, and schema.toml or spec.json.",
        )
    return PublicTable(schema=read_schema(facts[0]), rows=read_frame(train), test=read_frame(test))


def read_schema(path: Path) -> Schema:
    """Read a schema file, or the ``spec.json`` that describes a benchmark table.

    Parameters
    ----------
    path : path
        A spec is named after its folder.

    Raises
    ------
    SchemaError
        If it is no schema.
    UsageError
        If a spec cannot be read.
    """
    if path.suffix != ".json":
        return Schema.read(path)
    try:
        return schema_of_spec(path.parent.name, json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{str(path)!r} does not describe a table.",
            fix="it needs target and columns with kind, bounds or categories.",
        ) from None


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


def _packaged(package: str, name: str) -> Schema:
    with resources.as_file(resources.files(package) / "data" / f"{name}.toml") as path:
        return Schema.read(path)
