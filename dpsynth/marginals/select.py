"""Choosing pairs of columns: the exponential mechanism, its event, and the score of a pair.

A score says by how many rows the counts of a pair differ from what was released before. Everything
that a draw depends on is visible: :func:`log_probabilities` returns the law from which
:func:`choose` draws, bit for bit, so that an audit may compare it on neighbouring tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from dpsynth.noise import NoiseSource
from dpsynth.privacy import Exponential, NeighbouringRelation, PrivacyUnit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Edge = tuple[int, int]

_GRID = 2.0**-10
"""Estimates and penalties are multiples of it: sums of rows are then exact in float64."""

_WEIGHT_BITS = 100
_REACH = 40.0
"""Nats below the best score at which a candidate's weight stops falling."""


def choice_event(*, epsilon: float, rounds: int, unit: PrivacyUnit) -> Exponential:
    """Return the event of ``rounds`` draws by :func:`choose`.

    Parameters
    ----------
    epsilon : float
        Bounded range of one draw, in nats.
    rounds : int
        Number of draws.
    unit : PrivacyUnit
        Who is protected.
    """
    return Exponential(relation=unit.relation, epsilon=epsilon, count=rounds)


def score_sensitivity(unit: PrivacyUnit) -> int:
    """Return how far one unit moves a score of :func:`pair_score`, in rows.

    Notes
    -----
    The estimate is fixed by earlier releases, so that by the triangle inequality a score moves by
    at most the l1 distance of the counts. Every row of a unit adds 1 to one cell: ``max_rows``
    under ``add_remove``. Under ``replace_one`` as many rows leave and as many arrive: twice that.
    Both are attained: where the estimate is 0 every row that arrives counts in full.
    """
    exchanged = 2 if unit.relation == NeighbouringRelation.REPLACE_ONE else 1
    return exchanged * unit.max_rows


def pair_score(counts: IntArray, estimate: FloatArray, *, penalty: float = 0.0) -> float:
    """Return the l1 distance of a pair's exact counts from an estimate, less a penalty.

    Parameters
    ----------
    counts : ndarray of int64, shape (n_cells,)
        Exact counts.
    estimate : ndarray of float64, shape (n_cells,)
        What earlier releases say of the same cells, their total included: an estimate scaled to
        the exact number of rows would move with every unit.
    penalty : float
        Rows taken off, from public or released facts, for example the error that measuring the
        pair will leave.

    Returns
    -------
    float
        In rows, a multiple of 1/1024. The sum is exact below 2^42 rows, so that the sensitivity
        holds to the last bit.

    Privacy
    -------
    Sensitive. Sensitivity: :func:`score_sensitivity`.
    """
    rounded = np.rint(np.asarray(estimate) / _GRID) * _GRID
    return float(np.abs(counts - rounded).sum()) - round(penalty / _GRID) * _GRID


def _weights(scores: npt.ArrayLike, *, epsilon: float, sensitivity: int) -> list[int]:
    exact = np.asarray(scores, dtype=np.float64)
    below = (exact - exact.max()) * (epsilon / (2 * sensitivity))
    return [int(math.ldexp(math.exp(max(x, -_REACH)), _WEIGHT_BITS)) for x in below.tolist()]


def log_probabilities(scores: npt.ArrayLike, *, epsilon: float, sensitivity: int) -> FloatArray:
    """Return the log-probabilities with which :func:`choose` draws each candidate.

    Parameters
    ----------
    scores : array, shape (n_candidates,)
        Exact scores, higher is better.
    epsilon : float
        Bounded range of the draw, in nats.
    sensitivity : int
        How far one unit moves a score, up or down.

    Returns
    -------
    ndarray of float64, shape (n_candidates,)

    Notes
    -----
    Weights are exp(ε q / 2Δ). Between neighbours a log-weight moves by e_i with abs(e_i) ≤ ε/2, and
    the logarithm of their sum by the same amount for all candidates, so that log-ratios of
    probabilities lie in an interval of length ε: bounded range. The ½ is needed since one unit may
    bring one score up and another down.

    Weights are whole numbers, cut off 40 nats below the best. The cut keeps the range: with m the
    best candidate, a log-weight moves by something between 0 and e_i - e_m, and the interval of
    length ε that holds all e_i - e_m holds 0 too. Rounding moves a log-probability by about 1e-14.

    Privacy
    -------
    Sensitive: for audits only.

    References
    ----------
    McSherry and Talwar, "Mechanism Design via Differential Privacy", FOCS 2007.
    Durfee and Rogers, arXiv 1905.04273 (bounded range).
    """
    weights = _weights(scores, epsilon=epsilon, sensitivity=sensitivity)
    total = sum(weights)
    return np.array([math.log(weight / total) for weight in weights])


def choose(
    scores: npt.ArrayLike, *, event: Exponential, unit: PrivacyUnit, noise: NoiseSource
) -> int:
    """Draw one candidate by the exponential mechanism.

    Parameters
    ----------
    scores : array, shape (n_candidates,)
        Exact scores of :func:`pair_score`; which candidates there are follows from public facts
        and earlier releases.
    event : Exponential
        The event that was booked.
    unit : PrivacyUnit
        Who is protected.
    noise : NoiseSource
        Where the coins come from.

    Returns
    -------
    int
        Position of the candidate.

    Privacy
    -------
    One of the ``count`` draws of the event. Under audit the scores are written down, and as the
    answer which of them was drawn.
    """
    moved = score_sensitivity(unit)
    weights = _weights(scores, epsilon=event.epsilon, sensitivity=moved)
    drawn = _uniform_below(sum(weights), noise)
    place = next(at for at, end in enumerate(accumulate(weights)) if drawn < end)
    if noise.transcript is not None:
        exact = np.asarray(scores, dtype=np.float64)
        with noise.declaring(replace(event, count=1)):
            noise.transcript.write(
                "choose",
                query=exact,
                released=np.arange(exact.size) == place,
                sensitivity=moved,
            )
    return place


def _uniform_below(end: int, noise: NoiseSource) -> int:
    """Return a whole number in [0, end), uniform to the last bit."""
    surplus = -end.bit_length() % 8
    size = (end.bit_length() + surplus) // 8
    while True:
        drawn = int.from_bytes(noise.generator.bytes(size), "little") >> surplus
        if drawn < end:
            return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pair that may be chosen, with its exact score: sensitive."""

    edge: Edge
    score: float

    def __repr__(self) -> str:
        return f"Candidate(edge={self.edge})"


def grow_tree(
    nodes: Sequence[int],
    candidates: Sequence[Candidate],
    *,
    event: Exponential,
    unit: PrivacyUnit,
    noise: NoiseSource,
) -> tuple[Edge, ...]:
    """Choose the edges of a tree one by one, each by a draw of its own.

    Parameters
    ----------
    nodes : sequence of int
        Columns to be joined, at least three.
    candidates : sequence of Candidate
        All pairs of nodes; the scores are the same in every draw.
    event : Exponential
        ``len(nodes) - 1`` draws.
    unit : PrivacyUnit
        Who is protected.
    noise : NoiseSource
        Where the coins come from.

    Returns
    -------
    tuple of (int, int)
        Edges in the order of the draws.

    Notes
    -----
    Kruskal's rule: in every draw the candidates are the pairs of nodes that are not yet joined by
    a path, which follows from the draws before it.

    Privacy
    -------
    The event, spent in full.

    References
    ----------
    McKenna, Miklau, Sheldon, arXiv 2108.04978, section 3.1.
    """
    part = {node: node for node in nodes}
    edges: list[Edge] = []
    for _ in range(event.count):
        left = [c for c in candidates if part[c.edge[0]] != part[c.edge[1]]]
        place = choose([c.score for c in left], event=event, unit=unit, noise=noise)
        a, b = left[place].edge
        edges.append((a, b))
        old, new = part[b], part[a]
        part = {node: new if group == old else group for node, group in part.items()}
    return tuple(edges)
