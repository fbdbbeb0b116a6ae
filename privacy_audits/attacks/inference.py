"""Attribute inference: a secret column guessed from the others and the released table.

Held-out records are the control: what is guessed right about them is knowledge of the population.

References
----------
Article 29 Working Party, Opinion 05/2014 (inference).
Annamalai, Gadotti and Rocher, "A linear reconstruction approach for attribute inference attacks
against synthetic data", USENIX Security 2024, arXiv 2301.10053.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, lsmr

from dpsynth.privacy import Budget
from privacy_audits.attacks.coding import Block, Layout, group_rows
from privacy_audits.attacks.distance import Metric, nearest_rows
from privacy_audits.attacks.result import Gap, gap
from privacy_audits.estimate.roc import Rate

RECONSTRUCTED = 20_000
"""Most real rows whose secrets are reconstructed together."""

RELEASED = 50_000
"""Most released rows that are used: more of them make the attack stronger without limit."""

_PAIRS = 24
_STEPS = 12
_MOST_LEVELS = 20

Cells = npt.NDArray[np.int32]


def nearest_inference(
    synthetic: Block,
    targets: Block,
    inside: npt.NDArray[np.bool_],
    *,
    layout: Layout,
    secret: str,
    claim: Budget | None,
) -> Gap | None:
    """Guess the secret of the released row that is nearest in all other columns.

    Parameters
    ----------
    synthetic, targets : Block
        Coded rows.
    inside : ndarray of bool, shape (n,)
        Which targets were fitted.
    layout : Layout
        Which column is where.
    secret : str
        Its column. A number counts as guessed within one cell.
    claim : Budget or None
        What the release claims.

    Returns
    -------
    Gap or None
        Share of right guesses; None where there is no other column.
    """
    discrete = np.array([j for j, name in enumerate(layout.discrete) if name != secret], dtype=int)
    numeric = np.array([j for j, name in enumerate(layout.numeric) if name != secret], dtype=int)
    if not len(discrete) + len(numeric):
        return None
    metric = Metric(
        numeric=numeric,
        discrete=discrete,
        discrete_weights=np.ones(len(discrete), dtype=np.float32),
    )
    near = nearest_rows(targets, synthetic, count=1, metric=metric)[:, 0]
    place = layout.names.index(secret)
    error = np.abs(synthetic.cells[near, place] - targets.cells[:, place])
    right = error <= (1 if secret in layout.numeric else 0)
    return gap(
        f"inference:{secret}",
        Rate(successes=int(right[inside].sum()), trials=int(inside.sum())),
        Rate(successes=int(right[~inside].sum()), trials=int((~inside).sum())),
        claim=claim,
    )


def linear_reconstruction(
    synthetic: Block,
    fitted: Block,
    held_out: Block,
    *,
    layout: Layout,
    secret: str,
    claim: Budget | None,
    rng: np.random.Generator,
) -> Gap | None:
    """Solve for the secrets of all real rows at once from released counts.

    Parameters
    ----------
    synthetic, fitted, held_out : Block
        Coded rows. The attacker knows all columns of the real ones but the secret.
    layout : Layout
        Which column is where.
    secret : str
        A column of levels.
    claim : Budget or None
        What the release claims.
    rng : numpy.random.Generator
        Draws pairs of columns, and rows where there are too many.

    Returns
    -------
    Gap or None
        Share of right guesses; None where the secret has too many levels or fewer than two other
        columns are known.

    Notes
    -----
    For pairs of known columns, the number of real rows in a cell with a given secret should be
    that of the released rows, up to the ratio of sizes. The unknown indicators solve these
    equations by least squares, started from the released shares and stopped early. Fitted and
    held-out rows stand in one system, of which the attacker does not know who is who. Guesses in a
    system hang together; but who was fitted does not enter it, so that under no influence every
    exchange of fitted and held-out rows is as likely as the true one, and Fisher's test is exact.
    """
    place = layout.names.index(secret)
    known = [j for j in range(len(layout.names)) if j != place]
    levels = int(layout.sizes[place])
    if len(known) < 2 or levels > _MOST_LEVELS:
        return None
    pairs = [(i, j) for at, i in enumerate(known) for j in known[at + 1 :]]
    chosen = [pairs[k] for k in rng.permutation(len(pairs))[:_PAIRS]]
    released = _cut(synthetic.cells, RELEASED, rng)
    size = min(len(fitted), len(held_out), RECONSTRUCTED // 2)
    real = np.concatenate([_cut(side.cells, size, rng) for side in (fitted, held_out)])
    guess = _solve(released, real, place=place, levels=levels, pairs=chosen)
    right = guess == real[:, place]
    rates = [Rate(successes=int(part.sum()), trials=size) for part in (right[:size], right[size:])]
    return gap(f"reconstruction:{secret}", rates[0], rates[1], claim=claim)


def _cut(cells: Cells, most: int, rng: np.random.Generator) -> Cells:
    return cells[rng.permutation(len(cells))[:most]]


def _solve(
    released: Cells, real: Cells, *, place: int, levels: int, pairs: list[tuple[int, int]]
) -> npt.NDArray[np.intp]:
    """Return the most likely level of every real row."""
    n, secrets = len(real), released[:, place]
    groups, widths = [], []
    answers: list[npt.NDArray[np.float64]] = []
    ratio = n / len(released)
    start = np.zeros((n, levels))
    for pair in pairs:
        theirs, mine = group_rows([released[:, list(pair)], real[:, list(pair)]])
        width = int(max(theirs.max(), mine.max())) + 1
        counts = np.bincount(theirs * levels + secrets, minlength=width * levels)
        counts = counts.reshape(width, levels)
        # An equation is as uncertain as its count.
        weight = 1 / np.sqrt(1 + np.bincount(mine, minlength=width))
        answers.append(ratio * counts * weight[:, None])
        groups.append((mine, weight))
        widths.append(width)
        start += ((counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True))[mine]
    start /= len(pairs)
    edges = np.cumsum([0, *widths])

    def forward(vector: npt.NDArray) -> npt.NDArray:
        return np.concatenate(
            [
                np.bincount(mine, vector, minlength=width) * weight
                for (mine, weight), width in zip(groups, widths, strict=True)
            ]
        )

    def backward(vector: npt.NDArray) -> npt.NDArray:
        out = np.zeros(n)
        for number, (mine, weight) in enumerate(groups):
            out += (vector[edges[number] : edges[number + 1]] * weight)[mine]
        return out

    operator = LinearOperator(
        (int(edges[-1]), n), matvec=forward, rmatvec=backward, dtype=np.float64
    )
    wanted = np.concatenate(answers)
    solved = np.column_stack(
        [
            start[:, level]
            + lsmr(operator, wanted[:, level] - forward(start[:, level]), maxiter=_STEPS)[0]
            for level in range(levels)
        ]
    )
    return solved.argmax(axis=1)
