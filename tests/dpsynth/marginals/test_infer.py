"""Inference against brute force: exact tables give the exact distribution."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linprog

from dpsynth.marginals.groups import Groups
from dpsynth.marginals.infer import (
    Tree,
    conditional_estimate,
    draw_rows,
    fit_table,
    infer_tree,
    settle_margins,
)

SIZES = (3, 2, 4, 3)


def joint_of(tree: Tree, sizes: tuple[int, ...]) -> np.ndarray:
    """Probability of every combination, by the chain rule."""
    joint = np.ones(sizes)
    for cell in product(*map(range, sizes)):
        for column, (parent, target) in enumerate(tree.parents):
            at = [cell[p] if p >= 0 else 0 for p in (parent, target)]
            joint[cell] *= tree.tables[column][at[0], at[1], cell[column]]
    return joint


def marginal(joint: np.ndarray, *columns: int) -> np.ndarray:
    others = tuple(axis for axis in range(joint.ndim) if axis not in columns)
    return joint.sum(axis=others)


def tables_of(joint: np.ndarray, edges: list[tuple[int, int]]) -> dict:
    return {(a, b): marginal(joint, a, b) if a < b else marginal(joint, b, a).T for a, b in edges}


def raked(edges: list[tuple[int, int]], joint: np.ndarray) -> np.ndarray:
    """The distribution of largest entropy with these two-way margins, over the whole table."""
    found = np.full(joint.shape, 1 / joint.size)
    for _ in range(2000):
        for a, b in edges:
            others = tuple(axis for axis in range(joint.ndim) if axis not in (a, b))
            ratio = joint.sum(axis=others, keepdims=True) / found.sum(axis=others, keepdims=True)
            found = found * ratio
    return found


@pytest.fixture
def joint() -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(np.prod(SIZES), 0.5)).reshape(SIZES)


@pytest.mark.parametrize("edges", [[(0, 1), (1, 2), (2, 3)], [(3, 0), (0, 2), (1, 0)]])
def test_a_tree_of_exact_tables_is_the_distribution_of_largest_entropy(
    joint: np.ndarray, edges: list[tuple[int, int]]
) -> None:
    margins = [marginal(joint, column) for column in range(4)]
    tree = infer_tree(margins, tables_of(joint, edges), edges=edges, target=None)
    ordered = [(min(edge), max(edge)) for edge in edges]
    assert joint_of(tree, SIZES) == pytest.approx(raked(ordered, joint), abs=1e-6)


@pytest.mark.parametrize("target", [0, 3])
def test_a_tree_under_a_target_is_the_distribution_of_largest_entropy(
    joint: np.ndarray, target: int
) -> None:
    nodes = [column for column in range(4) if column != target]
    edges = [(nodes[0], nodes[1]), (nodes[1], nodes[2])]
    star = [(node, target) for node in nodes]
    margins = [marginal(joint, column) for column in range(4)]
    tree = infer_tree(margins, tables_of(joint, edges + star), edges=edges, target=target)
    ordered = [(min(edge), max(edge)) for edge in edges + star]
    assert joint_of(tree, SIZES) == pytest.approx(raked(ordered, joint), abs=1e-4)


def test_rows_are_drawn_from_the_distribution(joint: np.ndarray) -> None:
    edges, star = [(0, 1), (1, 2)], [(0, 3), (1, 3), (2, 3)]
    margins = [marginal(joint, column) for column in range(4)]
    tree = infer_tree(margins, tables_of(joint, edges + star), edges=edges, target=3)
    drawn = tree.sample(40_000, np.random.default_rng(1))
    counts = np.bincount(np.ravel_multi_index(drawn.T, SIZES), minlength=joint.size)
    expected = joint_of(tree, SIZES).ravel() * 40_000
    common = expected > 5
    statistic = np.sum((counts - expected)[common] ** 2 / expected[common])
    assert stats.chi2.sf(statistic, common.sum()) > 1e-6
    assert counts[expected < 1e-6].sum() == 0


def test_one_and_two_columns_are_trees_too(joint: np.ndarray) -> None:
    one = infer_tree([marginal(joint, 0)], {}, edges=[], target=None)
    assert joint_of(one, SIZES[:1]) == pytest.approx(marginal(joint, 0), abs=1e-6)
    margins = [marginal(joint, 0), marginal(joint, 1)]
    two = infer_tree(margins, tables_of(joint, [(1, 0)]), edges=[], target=0)
    assert joint_of(two, SIZES[:2]) == pytest.approx(marginal(joint, 0, 1), abs=1e-6)


# -- tables ----------------------------------------------------------------------------------------


def test_the_fitted_table_is_the_nearest_one_with_its_margins() -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        noisy = rng.normal(4, 6, (3, 4))
        down, across = rng.dirichlet(np.ones(3)) * 50, rng.dirichlet(np.ones(4)) * 50
        fitted = fit_table(noisy, down, across)
        assert fitted.min() >= 0
        assert fitted.sum(1) == pytest.approx(down)
        assert fitted.sum(0) == pytest.approx(across)
        # No feasible table lies further down the gradient: that is what makes it the nearest one.
        gradient = fitted - noisy
        margins = [np.kron(np.eye(3), np.ones(4)), np.kron(np.ones(3), np.eye(4))]
        lowest = linprog(
            gradient.ravel(),
            A_eq=np.concatenate(margins),
            b_eq=np.concatenate([down, across]),
        )
        assert lowest.fun == pytest.approx(np.sum(gradient * fitted), abs=0.1)


def test_a_margin_that_vanished_leaves_a_finite_table() -> None:
    fitted = fit_table(np.full((2, 2), -5.0), np.array([10.0, 0.0]), np.array([0.0, 10.0]))
    assert fitted == pytest.approx(np.array([[0.0, 10.0], [0.0, 0.0]]))


def test_margins_are_means_weighted_by_precision() -> None:
    shares = np.array([30.0, 10.0, 60.0])
    groups = [
        Groups(of_code=np.array([0, 0, 1]), shares=shares),
        Groups(of_code=np.array([0, 1, 1]), shares=shares),
    ]
    noisy = np.array([[20, 30], [10, 50]])
    margins = settle_margins(groups, {(0, 1): noisy}, rows=100.0, counts_sigma=2.0, pairs_sigma=3.0)
    of_codes, of_table = 1 / (4.0 * 2), 1 / (9.0 * 2)
    first = (40 * of_codes + 50 * of_table) / (of_codes + of_table)
    second = (60 / 4.0 + 60 * of_table) / (1 / 4.0 + of_table)
    rest = (100 - first - second) / 2
    assert margins[0] == pytest.approx([first + rest, second + rest])
    assert [margin.sum() for margin in margins] == pytest.approx([100.0, 100.0])


def test_the_estimate_of_two_columns_given_a_third_is_their_product(joint: np.ndarray) -> None:
    found = conditional_estimate(marginal(joint, 0, 3), marginal(joint, 2, 3), marginal(joint, 3))
    a, b, c = marginal(joint, 0, 3), marginal(joint, 2, 3), marginal(joint, 3)
    expected = sum(np.outer(a[:, k], b[:, k]) / c[k] for k in range(SIZES[3]))
    assert found == pytest.approx(expected)


# -- draws -----------------------------------------------------------------------------------------


class Highest(np.random.Generator):
    """Draws the largest number below 1."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def random(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.full(size, np.nextafter(1.0, 0.0))


def test_categories_without_weight_are_never_drawn() -> None:
    shares = np.array([[0.0, 0.3, 0.0, 0.7, 0.0], [1e-30, 0.0, 0.0, 0.0, 0.0]])
    given = np.repeat([0, 1], 5000)
    for rng in (np.random.default_rng(0), Highest()):
        drawn = draw_rows(shares, given, rng)
        assert set(drawn[:5000].tolist()) <= {1, 3}
        assert set(drawn[5000:].tolist()) == {0}


def test_rows_are_drawn_alike_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    shares, given = np.ones((2, 3)), np.arange(1000) % 2
    whole = draw_rows(shares, given, np.random.default_rng(4))
    monkeypatch.setattr("dpsynth.marginals.infer._CELLS_AT_ONCE", 99)
    assert draw_rows(shares, given, np.random.default_rng(4)).tolist() == whole.tolist()


def test_every_pair_of_a_tree_is_joined_by_one_path() -> None:
    margins = [np.ones(2)] * 5
    edges = [(4, 1), (1, 0), (3, 1), (2, 3)]
    tree = infer_tree(margins, {edge: np.ones((2, 2)) for edge in edges}, edges=edges, target=None)
    assert sorted(tree.order) == list(range(5))
    place = {column: at for at, column in enumerate(tree.order)}
    for column, (parent, _) in enumerate(tree.parents):
        assert parent < 0 or place[parent] < place[column]
    joined = {frozenset((c, p)) for c, (p, _) in enumerate(tree.parents) if p >= 0}
    assert joined == {frozenset(edge) for edge in edges}
