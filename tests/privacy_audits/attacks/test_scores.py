"""Coding, distances and scores against plain loops, and the golden mixture."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from dpsynth.table import conform
from privacy_audits.attacks.coding import Block, Coding, Layout, group_rows, value_codes
from privacy_audits.attacks.comparison import Comparison
from privacy_audits.attacks.density import Domias, GenLRA, Kernel, densities
from privacy_audits.attacks.distance import Metric, nearest, nearest_rows, squared_distances
from privacy_audits.attacks.marginal import Clique, Marginals
from privacy_audits.attacks.proximity import CalibratedProximity, Proximity, outlying, screening
from privacy_audits.attacks.rare import RareCombinations
from privacy_audits.estimate.roc import auc
from tests.conftest import patients_frame, patients_schema
from tests.privacy_audits.attacks.tables import Tables, mixture

LEVELS = np.array([3, 4, 2])


def mixed(rows: int, seed: int) -> Block:
    rng = np.random.default_rng(seed)
    discrete = np.stack([rng.integers(0, k, rows) for k in LEVELS], axis=1)
    return Block(
        numeric=rng.normal(size=(rows, 2)).astype(np.float32),
        discrete=discrete.astype(np.int32),
        cells=discrete.astype(np.int32),
    )


def comparison(synthetic: Block, reference: Block, targets: Block, seed: int = 0) -> Comparison:
    layout = Layout(
        names=("a", "b", "c"),
        sizes=LEVELS,
        numeric=("x", "y"),
        discrete=("a", "b", "c"),
        levels=LEVELS,
    )
    return Comparison(
        synthetic=synthetic,
        reference=reference,
        targets=targets,
        layout=layout,
        rng=np.random.default_rng(seed),
    )


# -- coding ----------------------------------------------------------------------------------------


def coded_patients() -> tuple[dp.Schema, Coding, dict[str, np.ndarray]]:
    schema = patients_schema()
    columns = conform(patients_frame(300), schema)
    return schema, Coding.fit(schema, reference=columns), dict(columns)


def test_numbers_keep_their_order_up_to_the_public_bounds():
    _, coding, columns = coded_patients()
    age = np.array([0.0, 1.0, 17.0, 18.0, 50.0, 50.0, 119.0, 120.0])
    rows = {name: values[:8] for name, values in columns.items()} | {"age": age}
    scores = coding.block(rows).numeric[:, coding.layout.numeric.index("age")]
    assert np.array_equal(np.sign(np.diff(scores)), np.sign(np.diff(age)))


def test_reference_rows_have_unit_scale():
    _, coding, columns = coded_patients()
    place = coding.layout.numeric.index("age")
    assert np.std(coding.block(columns).numeric[:, place]) == pytest.approx(1, abs=0.05)


def test_nulls_are_levels_of_their_own():
    _, coding, columns = coded_patients()
    block = coding.block(columns)
    null = np.isnan(columns["stay"])
    flag = block.discrete[:, coding.layout.discrete.index("stay")]
    assert null.any()
    assert np.array_equal(flag.astype(bool), null)
    place = coding.layout.names.index("stay")
    assert set(block.cells[null, place]).isdisjoint(block.cells[~null, place])


def test_cells_and_levels_stay_below_their_number():
    _, coding, columns = coded_patients()
    strange = {name: values.copy() for name, values in columns.items()}
    strange["ward"][0] = None
    block = coding.block(strange)
    assert (block.cells < coding.layout.sizes).all()
    assert (block.discrete < coding.layout.levels).all()
    assert block.cells.min() >= 0


def test_the_scale_does_not_depend_on_the_targets():
    schema, coding, columns = coded_patients()
    other = conform(patients_frame(100, seed=5), schema)
    again = Coding.fit(schema, reference=columns, others=[other])
    assert np.array_equal(coding.block(other).numeric, again.block(other).numeric)


def test_equal_rows_and_only_those_have_equal_numbers():
    rng = np.random.default_rng(0)
    tables = [rng.integers(-2, 3, (40, 3)), rng.integers(-2, 3, (30, 3))]
    numbers = np.concatenate(group_rows(tables))
    rows = np.concatenate(tables)
    same = (rows[:, None, :] == rows[None, :, :]).all(axis=2)
    assert np.array_equal(numbers[:, None] == numbers[None, :], same)


def test_values_are_compared_at_the_declared_decimals():
    schema = patients_schema()
    columns = dict(conform(patients_frame(20), schema))
    finer = columns | {"stay": columns["stay"] + 0.01}
    other = columns | {"stay": columns["stay"] + 0.2}
    mine, rounded, moved = value_codes(schema, [columns, finer, other])
    present = ~np.isnan(columns["stay"])
    assert np.array_equal(mine, rounded)
    assert (mine != moved).any(axis=1)[present].all()


# -- distances -------------------------------------------------------------------------------------


def slow_distances(a: Block, b: Block, metric: Metric) -> np.ndarray:
    out = np.zeros((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            for k in metric.numeric:
                gap = float(a.numeric[i, k]) - float(b.numeric[j, k])
                out[i, j] += metric.numeric_weight * gap**2
            for k, weight in zip(metric.discrete, metric.discrete_weights, strict=True):
                out[i, j] += float(weight) * (a.discrete[i, k] != b.discrete[j, k])
    return out


def test_distances_equal_those_of_plain_loops(monkeypatch):
    monkeypatch.setattr("privacy_audits.attacks.distance._BUFFER", 60)
    a, b = mixed(25, 1), mixed(19, 2)
    metric = Metric(
        numeric=np.array([1]),
        discrete=np.array([0, 2]),
        numeric_weight=2.5,
        discrete_weights=np.array([0.5, 3.0], dtype=np.float32),
    )
    expected = slow_distances(a, b, metric)
    measured = np.concatenate([part.copy() for _, part in squared_distances(a, b, metric)])
    assert measured == pytest.approx(expected, rel=1e-5)
    assert nearest(a, b, count=3, metric=metric) == pytest.approx(
        np.sort(expected, axis=1)[:, :3], rel=1e-5
    )
    places = nearest_rows(a, b, count=4, metric=metric)
    found = np.sort(np.take_along_axis(expected, places, axis=1), axis=1)
    assert found == pytest.approx(np.sort(expected, axis=1)[:, :4], rel=1e-5)


def test_equal_rows_are_at_distance_zero():
    block = mixed(50, 3)
    assert (nearest(block, block, count=1) == 0).all()


# -- kernels ---------------------------------------------------------------------------------------


def kernel(rows: int) -> Kernel:
    return Kernel.of(
        numeric=np.array([0, 1]), discrete=np.array([0, 1, 2]), levels=LEVELS, rows=rows
    )


def slow_kernel(a: Block, b: Block, rows: int) -> np.ndarray:
    """Normal kernels times those of Aitchison and Aitken."""
    width = 0.5 * rows ** (-1 / 9)
    out = np.ones((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            for k in range(2):
                z = (float(a.numeric[i, k]) - float(b.numeric[j, k])) / width
                out[i, j] *= math.exp(-z * z / 2) / (width * math.sqrt(2 * math.pi))
            for k, levels in enumerate(LEVELS):
                other = min(width**2, (levels - 1) / levels)
                same = a.discrete[i, k] == b.discrete[j, k]
                out[i, j] *= 1 - other if same else other / (levels - 1)
    return out


def test_the_kernel_estimate_equals_that_of_plain_loops():
    a, b = mixed(15, 4), mixed(40, 5)
    expected = np.log(slow_kernel(a, b, 40).mean(axis=1))
    assert kernel(40).log_density(a, b) == pytest.approx(expected, abs=1e-4)


def test_the_kernel_on_levels_is_a_distribution():
    """Summed over all levels, at equal numbers, only the normal factor is left."""
    everything = np.stack(np.meshgrid(*[np.arange(k) for k in LEVELS]), axis=-1).reshape(-1, 3)
    all_levels = Block(
        numeric=np.zeros((len(everything), 2), dtype=np.float32),
        discrete=everything.astype(np.int32),
        cells=everything.astype(np.int32),
    )
    one = all_levels.take(np.array([0]))
    density = np.exp(kernel(40).log_density(all_levels, one)).sum()
    width = 0.5 * 40 ** (-1 / 9)
    assert density == pytest.approx(1 / (2 * math.pi * width**2), rel=1e-5)


def test_closed_form_equals_refitting_the_estimate_for_every_target():
    synthetic, reference, targets = mixed(30, 6), mixed(25, 7), mixed(8, 8)
    measured = densities(synthetic, reference, targets, kernel=kernel(25), neighbours=5)
    to_reference = slow_kernel(synthetic, reference, 25)
    before = np.log(to_reference.mean(axis=1))
    for x in range(len(targets)):
        target = targets.take(np.array([x]))
        to_target = slow_kernel(synthetic, target, 25)
        near = np.argsort(-to_target[:, 0])[:5]
        after = np.log(np.concatenate([to_reference, to_target], axis=1).mean(axis=1))
        assert measured.gains[x] == pytest.approx((after - before)[near].sum(), abs=1e-4)


def test_domias_is_the_ratio_of_densities():
    synthetic, reference, targets = mixed(30, 6), mixed(25, 7), mixed(8, 8)
    expected = np.log(slow_kernel(targets, synthetic, 25).mean(axis=1)) - np.log(
        slow_kernel(targets, reference, 25).mean(axis=1)
    )
    scores = Domias().scores(comparison(synthetic, reference, targets))
    assert scores == pytest.approx(expected, abs=1e-3)


# -- counts ----------------------------------------------------------------------------------------


def test_marginals_equal_plain_counts():
    synthetic, reference, targets = mixed(60, 9), mixed(50, 10), mixed(12, 11)
    attack = Marginals(cliques=(Clique(columns=("b",), sigma=2.0), Clique(columns=("a", "c"))))
    scores = attack.scores(comparison(synthetic, reference, targets))
    for x, row in enumerate(targets.cells):
        expected = 0.0
        for places, cells, sigma in (([1], 4, 2.0), ([0, 2], 6, 1.0)):
            share = []
            for block in (synthetic, reference):
                count = int((block.cells[:, places] == row[places]).all(axis=1).sum())
                share.append((count + 0.5) / (len(block) + 0.5 * cells))
            expected += math.log(share[0] / share[1]) / sigma**2
        assert scores[x] == pytest.approx(expected)


def test_a_clique_of_unknown_columns_is_refused():
    block = mixed(10, 1)
    with pytest.raises(UsageError, match="not modelled"):
        Marginals(cliques=(Clique(columns=("z",)),)).scores(comparison(block, block, block))
    with pytest.raises(UsageError):
        Clique(columns=())
    with pytest.raises(UsageError):
        Clique(columns=("a",), sigma=0.0)


def test_a_rare_combination_counts_for_the_target_that_alone_has_it():
    synthetic, reference, targets = mixed(8, 12), mixed(6, 13), mixed(10, 14)
    attack = RareCombinations(columns=np.array([[0, 1, 2]]))
    scores = attack.scores(comparison(synthetic, reference, targets))
    rows = [tuple(row) for row in targets.cells]
    pool = rows + [tuple(row) for row in reference.cells]
    released = {tuple(row) for row in synthetic.cells}
    alone = [pool.count(row) == 1 for row in rows]
    found = [row in released for row in rows]
    share = np.mean([f for f, a in zip(found, alone, strict=True) if a])
    expected = [(f - share) if a else 0.0 for f, a in zip(found, alone, strict=True)]
    assert 0 < share < 1
    assert scores == pytest.approx(expected)


def test_combinations_are_different_sets():
    drawn = RareCombinations.draw(6, count=15, rng=np.random.default_rng(0)).columns
    assert len({tuple(row) for row in drawn}) == len(drawn) <= 15
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    assert RareCombinations.draw(2, count=5, rng=np.random.default_rng(0)).columns.tolist() == [
        [0, 1]
    ]


# -- the golden mixture ----------------------------------------------------------------------------

EXPECTED = {
    "fresh": (0.503, 0.502),
    "bootstrap": (0.808, 0.968),
    "near": (0.520, 0.512),
    "exact": (0.510, 0.510),
}
"""AUC of the distance attack and share of released rows closer to members."""


def golden(tables: Tables, kind: str, rng: np.random.Generator) -> np.ndarray:
    fitted, rows = tables.fitted.to_numpy(), tables.fresh.to_numpy().copy()
    n = len(fitted)
    if kind == "bootstrap":
        rows = fitted[rng.integers(0, n, n)] + rng.normal(0, 0.3, fitted.shape)
    elif kind == "near":
        count = n // 20
        chosen = fitted[rng.choice(n, count, replace=False)]
        rows[:count] = chosen + rng.normal(0, 0.02, chosen.shape)
    elif kind == "exact":
        far = np.argsort(-np.abs(fitted).max(axis=1))[: n // 100]
        rows[: n // 100] = fitted[far]
    return rows


@pytest.mark.parametrize("kind", EXPECTED)
def test_golden_mixture(kind):
    """Distances at the scale of the fitted rows; four seeds, mean within .02 of the figures."""
    areas, shares = [], []
    for seed in range(4):
        tables = mixture(seed)
        scale = tables.fitted.to_numpy().std(axis=0)
        rows = golden(tables, kind, np.random.default_rng(seed + 10))
        held_out = tables.held_out.to_numpy()
        members, others, reference, released = (
            Block.of_numbers(part / scale)
            for part in (tables.fitted.to_numpy(), held_out[:2000], held_out[2000:], rows)
        )
        compared = Comparison(
            synthetic=released,
            reference=reference,
            targets=Block.joined([members, others]),
            layout=Layout.of_numbers(8),
            rng=np.random.default_rng(0),
        )
        scores = Proximity().scores(compared)
        areas.append(auc(scores[:2000], scores[2000:]).point)
        figures = screening(released, members, others, rng=np.random.default_rng(0))
        shares.append(figures.closer_to_members)
        if kind == "bootstrap":
            for attack, least in ((Domias(), 0.72), (GenLRA(), 0.74), (CalibratedProximity(), 0.7)):
                scores = attack.scores(compared)
                assert auc(scores[:2000], scores[2000:]).point > least
    assert np.mean(areas) == pytest.approx(EXPECTED[kind][0], abs=0.02)
    assert np.mean(shares) == pytest.approx(EXPECTED[kind][1], abs=0.02)


def test_ties_count_half_in_the_screening():
    block = mixed(30, 1)
    figures = screening(block, block, block, rng=np.random.default_rng(0))
    assert figures.closer_to_members == 0.5


def test_far_records_are_the_outlying_ones():
    numbers = np.zeros((100, 2))
    numbers[[3, 50]] = 40.0, -40.0
    compared = Comparison(
        synthetic=Block.of_numbers(numbers[:10]),
        reference=Block.of_numbers(np.random.default_rng(0).normal(size=(50, 2))),
        targets=Block.of_numbers(numbers),
        layout=Layout.of_numbers(2),
        rng=np.random.default_rng(0),
    )
    assert set(outlying(compared, share=0.01, least=2)) == {3, 50}
    assert len(outlying(compared, share=0.1, least=2)) == 10
