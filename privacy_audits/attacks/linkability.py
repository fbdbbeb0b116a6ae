"""Linkability: whether two halves of a record lead to the same released row.

References
----------
Article 29 Working Party, Opinion 05/2014 (linkability).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpsynth.privacy import Budget
from privacy_audits.attacks.coding import Block
from privacy_audits.attacks.distance import Metric, nearest_rows
from privacy_audits.attacks.result import Gap, gap
from privacy_audits.estimate.roc import Rate

LINKS = 5
"""Nearest released rows of each half that are compared."""


def linkability(
    synthetic: Block,
    targets: Block,
    inside: npt.NDArray[np.bool_],
    *,
    claim: Budget | None,
    rng: np.random.Generator,
) -> Gap | None:
    """Split the columns in two and ask whether the nearest released rows of both halves meet.

    Parameters
    ----------
    synthetic, targets : Block
        Coded rows.
    inside : ndarray of bool, shape (n,)
        Which targets were fitted.
    claim : Budget or None
        What the release claims.
    rng : numpy.random.Generator
        Draws the halves.

    Returns
    -------
    Gap or None
        Share of targets with a common row; None for a table of one column.
    """
    p, q = targets.numeric.shape[1], targets.discrete.shape[1]
    if p + q < 2:
        return None
    order = rng.permutation(p + q)
    found = []
    for half in (order[: (p + q) // 2], order[(p + q) // 2 :]):
        discrete = half[half >= p] - p
        metric = Metric(
            numeric=half[half < p],
            discrete=discrete,
            discrete_weights=np.ones(len(discrete), dtype=np.float32),
        )
        found.append(nearest_rows(targets, synthetic, count=LINKS, metric=metric))
    linked = (found[0][:, :, None] == found[1][:, None, :]).any(axis=(1, 2))
    return gap(
        "linkability",
        Rate(successes=int(linked[inside].sum()), trials=int(inside.sum())),
        Rate(successes=int(linked[~inside].sum()), trials=int((~inside).sum())),
        claim=claim,
    )
