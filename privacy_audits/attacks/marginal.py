"""Marginal attack: log likelihood ratio of the released marginals to those of reference rows.

References
----------
Golob et al., "Privacy vulnerabilities in marginals-based synthetic data" (MAMA-MIA), SaTML 2025.
Here the measured cliques and their noise are known instead of guessed, and the ratio is a sum of
logarithms with add-½ counts, which empty cells do not blow up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dpsynth.errors import UsageError
from privacy_audits.attacks.coding import group_rows
from privacy_audits.attacks.comparison import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Clique:
    """Columns whose joint counts were measured.

    Parameters
    ----------
    columns : tuple of str
        Their names.
    sigma : float
        Noise of each count, relative to that of the other cliques.
    """

    columns: tuple[str, ...]
    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not self.columns or not self.sigma > 0:
            raise UsageError("a clique needs at least one column and a positive sigma.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginals:
    """Sum over cliques of log p̂_S − log p̂_R at the target's cell, over σ².

    Parameters
    ----------
    cliques : tuple of Clique
        What was measured.
    """

    cliques: tuple[Clique, ...]
    name: ClassVar[str] = "marginals"

    @classmethod
    def one_way(cls, names: Sequence[str]) -> Marginals:
        """Return the attack on the counts of every single column."""
        return cls(cliques=tuple(Clique(columns=(name,)) for name in names))

    def scores(self, comparison: Comparison) -> npt.NDArray[np.float64]:
        """Return one score per target; higher means member.

        Raises
        ------
        UsageError
            If a clique names a column that is not modelled.
        """
        places = {name: place for place, name in enumerate(comparison.layout.names)}
        out = np.zeros(len(comparison.targets))
        for clique in self.cliques:
            unknown = [name for name in clique.columns if name not in places]
            if unknown:
                raise UsageError(
                    "a clique names a column that is not modelled.",
                    code="DPS412",
                    fix=f"leave {unknown[0]!r} out.",
                )
            chosen = [places[name] for name in clique.columns]
            cells = float(np.prod(comparison.layout.sizes[chosen].astype(np.float64)))
            logs = [
                _log_share(block.cells[:, chosen], comparison.targets.cells[:, chosen], cells)
                for block in (comparison.synthetic, comparison.reference)
            ]
            out += (logs[0] - logs[1]) / clique.sigma**2
        return out


def _log_share(
    rows: npt.NDArray[np.int32], targets: npt.NDArray[np.int32], cells: float
) -> npt.NDArray[np.float64]:
    """Return the log of the add-½ share of ``rows`` in each target's cell."""
    own, asked = group_rows([rows, targets])
    counts = np.bincount(own, minlength=int(asked.max(initial=0)) + 1)
    return np.log((counts[asked] + 0.5) / (len(rows) + 0.5 * cells))
