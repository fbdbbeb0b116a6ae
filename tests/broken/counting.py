"""Twins of partition selection, the codec and the loading of a table."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from dpsynth.codec import Codec, CodecSettings, codec_charges
from dpsynth.columns import NumericCodes
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


def categories_from_the_data(
    table: Table, *, plan: Plan, settings: CodecSettings, noise: NoiseSource
) -> tuple[Codec, tuple[PlannedCharge, ...]]:
    """Replaces declared categories by those that occur."""

    def fitted(column: Column) -> Column:
        if column.is_numeric or column.name != "ward":
            return column
        occurring = sorted({str(value) for value in table.values[column.name] if value is not None})
        return dataclasses.replace(column, categories=tuple(occurring), missing=True)

    columns = tuple(fitted(column) for column in table.schema.columns)
    schema = dataclasses.replace(table.schema, columns=columns)
    codec, _ = Codec.fit(
        dataclasses.replace(table, schema=schema), plan=plan, settings=settings, noise=noise
    )
    return codec, plan.charges


def modes_from_the_data(
    table: Table, *, plan: Plan, settings: CodecSettings, noise: NoiseSource
) -> tuple[Codec, tuple[PlannedCharge, ...]]:
    """Fits where numbers lie to the rows themselves, as a mixture of normals per column does."""
    codec, ran = Codec.fit(table, plan=plan, settings=settings, noise=noise)
    fitted = dict(codec.codes)
    for name, codes in codec.codes.items():
        if isinstance(codes, NumericCodes):
            values = table.values[name].astype(float)
            positions = codes.grid.positions(values[~np.isnan(values)])
            inner = np.quantile(positions, np.linspace(0, 1, codes.lows.size + 1)[1:-1])
            edges = np.unique([0, *inner.round().astype(int), codes.grid.size])
            fitted[name] = dataclasses.replace(codes, lows=edges[:-1], highs=edges[1:])
    return dataclasses.replace(codec, codes=fitted), ran


def whole_noise_for_each(
    table: Table, *, plan: Plan, settings: CodecSettings, noise: NoiseSource
) -> tuple[Codec, tuple[PlannedCharge, ...]]:
    """Gives each histogram the noise that all of them together need: √k too little."""
    sharp = tuple(
        dataclasses.replace(
            charge,
            mechanism=dataclasses.replace(
                charge.mechanism,
                sigma=charge.mechanism.sigma / np.sqrt(charge.mechanism.count),  # type: ignore[attr-defined]
            ),
        )
        for charge in plan.charges
    )
    codec, _ = Codec.fit(
        table, plan=dataclasses.replace(plan, charges=sharp), settings=settings, noise=noise
    )
    return codec, plan.charges


def bought_twice(
    table: Table, *, plan: Plan, settings: CodecSettings, noise: NoiseSource
) -> tuple[Codec, tuple[PlannedCharge, ...]]:
    """Averages two codecs and pays for one."""
    codec, ran = Codec.fit(table, plan=plan, settings=settings, noise=noise)
    again, _ = Codec.fit(table, plan=plan, settings=settings, noise=noise)
    return dataclasses.replace(codec, rows=(codec.rows + again.rows) / 2), ran


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
