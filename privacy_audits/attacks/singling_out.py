"""Singling out: predicates that isolate one released row, tried on the real rows.

The success on held-out rows is the control: what a predicate isolates there, it does not owe to
the fit.

References
----------
Article 29 Working Party, Opinion 05/2014 (singling out).
Cohen and Nissim, "Towards formalizing the GDPR's notion of singling out", PNAS 2020.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpsynth.privacy import Budget
from privacy_audits.attacks.coding import Block, group_rows
from privacy_audits.attacks.rare import RareCombinations
from privacy_audits.attacks.result import Gap, gap
from privacy_audits.estimate.roc import Rate

COMBINATIONS = 50
PREDICATES = 2_000


def singling_out(
    synthetic: Block,
    targets: Block,
    inside: npt.NDArray[np.bool_],
    *,
    claim: Budget | None,
    rng: np.random.Generator,
) -> Gap | None:
    """Try predicates "these three columns have these cells" that one released row satisfies.

    Parameters
    ----------
    synthetic, targets : Block
        Coded rows.
    inside : ndarray of bool, shape (n,)
        Which targets were fitted.
    claim : Budget or None
        What the release claims.
    rng : numpy.random.Generator
        Draws columns and released rows.

    Returns
    -------
    Gap or None
        Share of predicates that isolate a fitted row among the fitted, and a held-out row among
        the held-out ones; the sides are cut to equal size. None where no released row is isolated.

    Notes
    -----
    Predicates are no records. P-values concern records instead: those that a predicate isolates
    among all targets are guessed to be members.
    """
    places = [np.flatnonzero(inside), np.flatnonzero(~inside)]
    size = min(len(side) for side in places)
    chosen = np.concatenate([rng.choice(side, size, replace=False) for side in places])
    cells = targets.cells[chosen]
    mine = np.arange(2 * size) < size
    combinations = RareCombinations.draw(cells.shape[1], count=COMBINATIONS, rng=rng).columns
    made, hits = 0, [0, 0]
    named = np.zeros(2 * size, dtype=bool)
    for columns in combinations:
        released, asked = group_rows([synthetic.cells[:, columns], cells[:, columns]])
        numbers = int(max(released.max(initial=0), asked.max(initial=0))) + 1
        alone = np.flatnonzero(np.bincount(released, minlength=numbers) == 1)
        few = PREDICATES // len(combinations)
        if len(alone) > few:
            alone = rng.choice(alone, few, replace=False)
        counts = [np.bincount(asked[side], minlength=numbers) for side in (mine, ~mine)]
        made += len(alone)
        for side in (0, 1):
            hits[side] += int(np.sum(counts[side][alone] == 1))
        isolating = np.zeros(numbers, dtype=bool)
        isolating[alone] = (counts[0] + counts[1])[alone] == 1
        named |= isolating[asked]
    if not made:
        return None
    return gap(
        "singling-out",
        Rate(successes=hits[0], trials=made),
        Rate(successes=hits[1], trials=made),
        claim=claim,
        guessed=(
            Rate(successes=int(named[mine].sum()), trials=size),
            Rate(successes=int(named[~mine].sum()), trials=size),
        ),
    )
