"""From a public table to the files that a run is given: rows to fit and rows held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import datasets
from benchmarks.datasets import PublicTable
from dpsynth.bench.configuration import TableSpec
from dpsynth.errors import UsageError
from dpsynth.files import csv_bytes, read_frame, write_bytes
from dpsynth.schema import Schema
from dpsynth.table import unit_codes
from privacy_audits.attacks import Coins, Design, split_audit

FIT, HOLDOUT, SCHEMA = "fit.csv", "holdout.csv", "schema.toml"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Material:
    """Files of one table under one seed.

    Parameters
    ----------
    label : str
        Name of the table in the results.
    folder : Path
        Holds ``fit.csv``, ``holdout.csv`` and ``schema.toml``.
    schema : Schema
        Public facts.
    coins : Coins or None
        Who was tossed for; None for a table that came with test rows.
    rows : int
        Number of rows to fit, rounded to two digits: what a custodian would declare.
    least : int
        Units on the smallest side of an audit: fitted, held out, and held out as reference.
    digest : str
        SHA-256 of the rows, the schema and the coins.
    """

    label: str
    folder: Path
    schema: Schema
    coins: Coins | None
    rows: int
    least: int
    digest: str

    @property
    def fit(self) -> Path:
        """Rows to fit."""
        return self.folder / FIT

    @property
    def holdout(self) -> Path:
        """Rows that no fit sees."""
        return self.folder / HOLDOUT


def prepare(spec: TableSpec, *, seed: int, folder: Path) -> Material:
    """Load, cut and split a table, and write its files.

    Parameters
    ----------
    spec : TableSpec
        What to load.
    seed : int
        Draws simulated rows, the units that are kept and the coins of the split.
    folder : path
        Receives a folder that is named after the content; files that are there are kept.

    Raises
    ------
    DataError, SchemaError, UsageError
        If a file is no table or does not fit its schema.
    """
    table = _load(spec, seed)
    rng = np.random.default_rng([seed, 1])
    rows = table.rows if spec.rows is None else _some(table.rows, table.schema, spec.rows, rng)
    coins = None
    if table.test is not None:
        fitted, held_out = rows, table.test
    else:
        # Two thirds of what is held out had a coin, and as many fitted rows had one.
        design = Design(audited=4 / 3 * spec.holdout, reference=spec.holdout / 3)
        split = split_audit(rows, table.schema, design=design, rng=rng)
        fitted, held_out, coins = split.fitted, split.held_out, split.coins
    if min(len(fitted), len(held_out)) == 0:
        raise UsageError(
            f"the table {spec.label!r} leaves no rows to fit or none to hold out.",
            fix="take more rows.",
        )
    return _written(spec.label, fitted, held_out, table.schema, coins, folder)


def _load(spec: TableSpec, seed: int) -> PublicTable:
    if spec.kind == "simulator":
        assert spec.n is not None
        return datasets.simulated_table(spec.name, n=spec.n, seed=seed)
    if spec.kind == "sklearn":
        return datasets.sklearn_table(spec.name)
    if spec.kind == "statsmodels":
        return datasets.statsmodels_table(spec.name)
    if spec.kind == "folder":
        assert spec.path is not None
        return datasets.folder_table(spec.path)
    assert spec.schema is not None
    schema = datasets.read_schema(spec.schema)
    if spec.path is not None:
        return PublicTable(schema=schema, rows=read_frame(spec.path))
    assert spec.train is not None
    assert spec.test is not None
    return PublicTable(schema=schema, rows=read_frame(spec.train), test=read_frame(spec.test))


def _some(frame: pd.DataFrame, schema: Schema, most: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return whole units at random, no more rows than asked for."""
    units = unit_codes(frame, schema)
    sizes = np.bincount(units[units >= 0])
    order = rng.permutation(len(sizes))
    kept = np.zeros(len(sizes), dtype=bool)
    kept[order[np.cumsum(sizes[order]) <= most]] = True
    return frame[(units >= 0) & kept[units]].reset_index(drop=True)


def _written(
    label: str,
    fitted: pd.DataFrame,
    held_out: pd.DataFrame,
    schema: Schema,
    coins: Coins | None,
    folder: Path,
) -> Material:
    contents = {FIT: csv_bytes(fitted), HOLDOUT: csv_bytes(held_out)}
    digest = hashlib.sha256(schema.digest().encode())
    for content in contents.values():
        digest.update(hashlib.sha256(content).digest())
    if coins is not None:
        digest.update(coins.members.tobytes() + coins.others.tobytes())
    name = digest.hexdigest()
    place = folder / name[:16]
    place.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        if not (place / file).exists():
            write_bytes(place / file, content)
    if not (place / SCHEMA).exists():
        schema.write(place / SCHEMA)
    return Material(
        label=label,
        folder=place,
        schema=schema,
        coins=coins,
        rows=max(1, int(float(f"{len(fitted):.2g}"))),
        least=_least(fitted, held_out, schema, coins),
        digest=name,
    )


def _least(
    fitted: pd.DataFrame, held_out: pd.DataFrame, schema: Schema, coins: Coins | None
) -> int:
    mine, theirs = unit_codes(fitted, schema), unit_codes(held_out, schema)
    if coins is None:
        # An audit without coins takes half of the units that are held out as reference.
        return min(len(np.unique(mine)), len(np.unique(theirs)) // 2)
    others = np.isin(np.arange(len(theirs)), coins.others)
    sides = mine[coins.members], theirs[others], theirs[~others]
    return min(len(np.unique(side)) for side in sides)
