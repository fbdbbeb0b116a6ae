"""Twins of partition selection, the codec and the loading of a table."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from dpsynth.codec import Codec, CodecSettings, codec_charges
from dpsynth.counts import discover_levels, release_counts, selection_threshold
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Plan, PlannedCharge
from dpsynth.schema import Column, Schema
from dpsynth.table import Table, load


def no_threshold(
    values: np.ndarray, *, noise: NoiseSource, most: int, event
) -> tuple[tuple[str, ...], np.ndarray]:
    """Shows every level that occurs, with a noisy count."""
    levels, exact = np.unique(values.astype(str), return_counts=True)
    return tuple(levels[:most]), release_counts(exact, sigma=event.sigma, noise=noise)[:most]


def threshold_on_exact_counts(
    values: np.ndarray, *, noise: NoiseSource, most: int, event
) -> tuple[tuple[str, ...], np.ndarray]:
    """ "Rare" is decided before the noise: the k-anonymity habit."""
    levels, exact = np.unique(values.astype(str), return_counts=True)
    common = exact >= 3
    noisy = release_counts(exact[common], sigma=event.sigma, noise=noise)
    return tuple(levels[common][:most]), noisy[:most]


def threshold_for_one_row(
    values: np.ndarray, *, noise: NoiseSource, most: int, event
) -> tuple[tuple[str, ...], np.ndarray]:
    """Forgets that a unit brings up to four rows."""
    single = dataclasses.replace(event, sensitivity=1)
    low = selection_threshold(event) - selection_threshold(single)
    assert low > 0
    return discover_levels(values, event=single, noise=noise, most=most)


def half_noise_on_levels(
    values: np.ndarray, *, noise: NoiseSource, most: int, event
) -> tuple[tuple[str, ...], np.ndarray]:
    less = dataclasses.replace(event, sigma=event.sigma / 2)
    return discover_levels(values, event=less, noise=noise, most=most)


def bounds_from_the_data(
    table: Table, *, plan: Plan, settings: CodecSettings, noise: NoiseSource
) -> tuple[Codec, tuple[PlannedCharge, ...]]:
    """Replaces declared bounds by the smallest and the largest value."""

    def fitted(column: Column) -> Column:
        if not column.is_numeric:
            return column
        values = table.values[column.name]
        return dataclasses.replace(
            column, bounds=(float(np.nanmin(values)), float(np.nanmax(values)))
        )

    schema = dataclasses.replace(
        table.schema, columns=tuple(fitted(column) for column in table.schema.columns)
    )
    charges = codec_charges(schema, settings, sigma=4.0, failure_delta=1e-6)
    codec, _ = Codec.fit(
        dataclasses.replace(table, schema=schema),
        plan=dataclasses.replace(plan, charges=charges),
        settings=settings,
        noise=noise,
    )
    return codec, plan.charges


def exact_number_of_rows(
    table: Table, *, plan: Plan, settings: CodecSettings, noise: NoiseSource
) -> tuple[Codec, tuple[PlannedCharge, ...]]:
    """Keeps how many rows there were."""
    codec, ran = Codec.fit(table, plan=plan, settings=settings, noise=noise)
    return dataclasses.replace(codec, rows=float(table.n_rows)), ran


def all_rows_of_a_unit(source: pd.DataFrame, schema: Schema, *, rng: np.random.Generator) -> Table:
    """Loads without bounding the rows per unit."""
    unit = dataclasses.replace(schema.unit, max_rows=10**6)
    table = load(source, dataclasses.replace(schema, unit=unit), rng=rng)
    return dataclasses.replace(table, schema=schema)


def as_many_rows_as_before(
    source: pd.DataFrame, schema: Schema, *, rng: np.random.Generator
) -> Table:
    """Cuts the table to a round number: one unit more pushes others out."""
    return load(source.sort_values("age", ascending=False).head(240), schema, rng=rng)
