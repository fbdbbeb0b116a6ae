"""Three coded tables and what the attacks share about them, worked out once."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from privacy_audits.attacks.coding import Block, Layout
from privacy_audits.attacks.density import NEIGHBOURS, Kernel, KernelDensities, densities
from privacy_audits.attacks.distance import Float32, nearest

PROJECTIONS = 5
"""Random sets of columns over which kernel attacks are averaged."""

WIDTH = 8
"""Columns of a projection: kernels in more dimensions see nothing."""

KERNEL_ROWS = 5_000
"""Most released rows that a kernel estimate uses."""

OUTLYING = 5
"""Neighbours over whose distance a record counts as outlying."""


class Comparison:
    """A released table, reference rows and targets, of which the attacks ask who was a member.

    Nothing here knows who was: every attack is a function of the three tables.

    Parameters
    ----------
    synthetic : Block
        The released table.
    reference : Block
        Rows that were neither fitted nor are targets.
    targets : Block
        Members and non-members, in any order.
    layout : Layout
        Which column is where.
    rng : numpy.random.Generator
        Draws projections and the released rows of kernel estimates.

    Attributes
    ----------
    few : Block
        At most 5,000 of the released rows.
    """

    def __init__(
        self,
        *,
        synthetic: Block,
        reference: Block,
        targets: Block,
        layout: Layout,
        rng: np.random.Generator,
    ) -> None:
        self.synthetic, self.reference, self.targets = synthetic, reference, targets
        self.layout = layout
        self.few = synthetic
        if len(synthetic) > KERNEL_ROWS:
            self.few = synthetic.take(rng.choice(len(synthetic), KERNEL_ROWS, replace=False))
        p, q = synthetic.numeric.shape[1], synthetic.discrete.shape[1]
        rounds = 1 if p + q <= WIDTH else PROJECTIONS
        self._projections = [
            np.sort(rng.permutation(p + q)[: min(WIDTH, p + q)]) for _ in range(rounds)
        ]

    @cached_property
    def to_synthetic(self) -> Float32:
        """Distance of every target from its two nearest released rows, shape (n, 2)."""
        return np.sqrt(nearest(self.targets, self.synthetic, count=2))

    @cached_property
    def to_reference(self) -> Float32:
        """Distance of every target from its five nearest reference rows, shape (n, 5)."""
        return np.sqrt(nearest(self.targets, self.reference, count=OUTLYING))

    @cached_property
    def densities(self) -> list[KernelDensities]:
        """Kernel estimates at the targets, one per projection."""
        p = self.synthetic.numeric.shape[1]
        out = []
        for chosen in self._projections:
            kernel = Kernel.of(
                numeric=chosen[chosen < p],
                discrete=chosen[chosen >= p] - p,
                levels=self.layout.levels,
                rows=len(self.reference),
            )
            out.append(
                densities(
                    self.few, self.reference, self.targets, kernel=kernel, neighbours=NEIGHBOURS
                )
            )
        return out
