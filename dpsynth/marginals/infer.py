"""From noisy tables to a distribution: consistent, non-negative, and a tree.

Post-processing: nothing here reads rows.

1. Every column has several noisy margins: its one-way counts and the margin of each table that it
   is in. Their mean, weighted by precision, is what all tables are then made to agree on.
2. Every table becomes the nearest non-negative one with these margins.
3. The tree gives p(x) = p(root) Π p(child | parent). Where a target was measured with every column,
   it is a second parent of all: p(child | parent, target) is the distribution of largest entropy
   that has the three tables of child, parent and target as its margins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.density import project_counts
from dpsynth.marginals.groups import Groups
from dpsynth.marginals.select import Edge

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_PROJECTIONS = 200
_RAKINGS = 100
_FLOOR = 1e-6
"""Share of independence in a table: keeps raking from dividing by a margin that vanished."""

_CELLS_AT_ONCE = 1 << 22


def settle_margins(
    groups: Sequence[Groups],
    tables: Mapping[Edge, IntArray],
    *,
    rows: float,
    counts_sigma: float,
    pairs_sigma: float,
) -> list[FloatArray]:
    """Return one margin for every column, on which all tables can agree.

    Parameters
    ----------
    groups : sequence of Groups
        Groups of every column, with their one-way masses.
    tables : mapping of (int, int) to ndarray
        Noisy tables.
    rows : float
        Noisy number of rows.
    counts_sigma, pairs_sigma : float
        Noise of a code's one-way count and of a cell of a table.

    Returns
    -------
    list of ndarray of float64
        Non-negative, each with the total ``rows``.

    Notes
    -----
    Weighted least squares: the sum of k cells has k times the variance of one. Counts of numeric
    codes come from a tree of histograms; they are taken for cells of one.
    """
    margins = []
    for column, part in enumerate(groups):
        weight = 1 / (counts_sigma**2 * part.codes)
        total, weights = part.masses * weight, weight
        for edge, table in tables.items():
            if column in edge:
                other = 1 - edge.index(column)
                one = 1 / (pairs_sigma**2 * table.shape[other])
                total, weights = total + table.sum(axis=other) * one, weights + one
        margins.append(project_counts(total / weights, rows))
    return margins


def fit_table(noisy: npt.ArrayLike, down: FloatArray, across: FloatArray) -> FloatArray:
    """Return the nearest non-negative table with given margins.

    Parameters
    ----------
    noisy : array, shape (n_down, n_across)
        Noisy counts.
    down, across : ndarray of float64, shape (n_down,) and (n_across,)
        Non-negative margins of the same total.

    Returns
    -------
    ndarray of float64, shape (n_down, n_across)

    Notes
    -----
    Dykstra's projections between the tables with these margins and the non-negative ones, then
    raking, which makes the margins exact.

    References
    ----------
    Boyle and Dykstra, "A method for finding projections onto the intersection of convex sets in
    Hilbert spaces", 1986.
    """
    total = down.sum()
    independent = np.outer(down, across) / max(total, 1e-300)
    table, excess = np.asarray(noisy, dtype=np.float64), np.zeros(independent.shape)
    for _ in range(_PROJECTIONS):
        short_down = (down - table.sum(1)) / across.size
        short_across = (across - table.sum(0)) / down.size
        both = (total - table.sum()) / table.size
        wanted = table + short_down[:, None] + short_across - both + excess
        table = np.maximum(wanted, 0.0)
        excess = wanted - table
    table = (1 - _FLOOR) * table + _FLOOR * independent
    for _ in range(_RAKINGS):
        table *= _ratio(down, table.sum(1))[:, None]
        table *= _ratio(across, table.sum(0))
    return table


def _ratio(wanted: FloatArray, found: FloatArray) -> FloatArray:
    return np.divide(wanted, found, out=np.zeros_like(found), where=found > 0)


def conditional_estimate(down: FloatArray, across: FloatArray, given: FloatArray) -> FloatArray:
    """Return the table of two columns that are independent given a third.

    Parameters
    ----------
    down, across : ndarray of float64, shape (n_down, n_given) and (n_across, n_given)
        Tables with the third column, of the same margin.
    given : ndarray of float64, shape (n_given,)
        That margin.

    Returns
    -------
    ndarray of float64, shape (n_down, n_across)
    """
    return (down * _ratio(np.ones_like(given), given)) @ across.T


def _triangle(parent: FloatArray, target: FloatArray, between: FloatArray) -> FloatArray:
    """Return the distribution of largest entropy with three given tables.

    Shapes (parent, child), (target, child), (parent, target); the result is
    (parent, target, child).
    """
    joint = between[:, :, None] * (target * _ratio(np.ones(len(target)), target.sum(1))[:, None])
    for _ in range(_RAKINGS):
        joint *= _ratio(parent, joint.sum(1))[:, None, :]
        joint *= _ratio(target, joint.sum(0))[None, :, :]
        joint *= _ratio(between, joint.sum(2))[:, :, None]
    return joint


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A distribution of groups in which every column has at most two parents.

    Parameters
    ----------
    order : tuple of int
        Columns, parents first.
    parents : tuple of (int, int)
        For each column its parent in the tree and the target; -1 for none.
    tables : tuple of ndarray of float32, shape (n_parent, n_target, n_groups)
        For each column the shares of its groups given those of its parents; one row for no parent.
    """

    order: tuple[int, ...]
    parents: tuple[tuple[int, int], ...]
    tables: tuple[npt.NDArray[np.float32], ...]

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Return groups, shape (n, n_columns)."""
        drawn = np.zeros((n, len(self.order)), dtype=np.int64)
        for column in self.order:
            table = self.tables[column]
            at = [drawn[:, p] if p >= 0 else np.zeros(n, np.int64) for p in self.parents[column]]
            given = at[0] * table.shape[1] + at[1]
            drawn[:, column] = draw_rows(table.reshape(-1, table.shape[2]), given, rng)
        return drawn


def draw_rows(shares: npt.ArrayLike, given: IntArray, rng: np.random.Generator) -> IntArray:
    """Draw one category per row, by inversion.

    Parameters
    ----------
    shares : array, shape (n_conditions, n_categories)
        Non-negative weights; a condition that occurs has a positive one.
    given : ndarray of int64, shape (n,)
        Condition of each row.
    rng : numpy.random.Generator
        Draws the uniforms.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    cumulative = np.cumsum(np.asarray(shares, dtype=np.float64), axis=1)
    totals = cumulative[:, -1]
    # A uniform that rounds up to the total must not fall behind the last category with weight.
    last = np.argmax(cumulative >= totals[:, None], axis=1)
    drawn = np.empty(given.size, dtype=np.int64)
    rows = max(1, _CELLS_AT_ONCE // cumulative.shape[1])
    for start in range(0, given.size, rows):
        part = given[start : start + rows]
        height = rng.random(part.size) * totals[part]
        drawn[start : start + part.size] = np.minimum(
            (cumulative[part] <= height[:, None]).sum(axis=1), last[part]
        )
    return drawn


def infer_tree(
    margins: Sequence[FloatArray],
    tables: Mapping[Edge, FloatArray],
    *,
    edges: Sequence[Edge],
    target: int | None,
) -> Tree:
    """Return the distribution that a tree of tables stands for.

    Parameters
    ----------
    margins : sequence of ndarray
        Margin of every column.
    tables : mapping of (int, int) to ndarray
        Fitted tables (:func:`fit_table`) of the edges, and of every column with the target.
    edges : sequence of (int, int)
        A tree of all columns but the target.
    target : int, optional
        The column that all others have as a second parent.
    """

    def table(a: int, b: int) -> FloatArray:
        return tables[a, b] if (a, b) in tables else tables[b, a].T

    nodes = [column for column in range(len(margins)) if column != target]
    order = _parents_first(nodes, edges)
    second = -1 if target is None else target
    parents = {column: (parent, second) for column, parent in order.items()}
    shares: dict[int, FloatArray] = {}
    for column, parent in order.items():
        if target is None:
            joint = margins[column][None] if parent < 0 else table(parent, column)
            joint = joint[:, None, :]
        elif parent < 0:
            joint = table(target, column)[None]
        else:
            joint = _triangle(table(parent, column), table(target, column), table(parent, target))
        shares[column] = joint
    first: list[int] = []
    if target is not None:
        first, parents[target], shares[target] = [target], (-1, -1), margins[target][None, None]
    columns = range(len(margins))
    return Tree(
        order=(*first, *order),
        parents=tuple(parents[column] for column in columns),
        tables=tuple(_conditional(shares[column], margins[column]) for column in columns),
    )


def _conditional(joint: FloatArray, margin: FloatArray) -> npt.NDArray[np.float32]:
    """Normalise over the last axis; conditions without mass have the column's own shares."""
    totals = joint.sum(axis=2, keepdims=True)
    shares = np.where(totals > 0, joint, margin) / np.where(totals > 0, totals, margin.sum())
    return shares.astype(np.float32)


def _parents_first(nodes: Sequence[int], edges: Sequence[Edge]) -> dict[int, int]:
    """Return the parent of every node, -1 for the root, in an order in which parents come first."""
    order: dict[int, int] = {}
    waiting = [(nodes[0], -1)] if nodes else []
    while waiting:
        node, parent = waiting.pop(0)
        order[node] = parent
        for a, b in edges:
            if node in (a, b) and (a + b - node) not in order:
                waiting.append((a + b - node, node))
    return order
