"""Distinguishing games: the worst pair of neighbours, the real code, the best statistic.

A game runs the code many times on a table and on its neighbour, and scores each run by the exact
log-likelihood ratio of what was released (:mod:`dpsynth.transcript`). Everything after the releases
is post-processing, so that no attack on a synthetic table can do better, and a run takes
milliseconds. What a correct implementation shows is simulated from the formulas
(:func:`reference`): with Poisson sampling it stays below the μ that its ε would suggest.

=====================================  ============================================================
game                                   neighbours
=====================================  ============================================================
:func:`one_way_game`                   equal rows, and one that is in another cell of every column
:class:`~.votes.VoteGame`              margins of a tie, and margins that one unit moved
:class:`~.votes.EnsembleGame`          no unit, and one unit, dealt to real teachers
:class:`~.training.TrainingGame`       no unit, and one unit with a gradient above the clip norm
=====================================  ============================================================

:mod:`privacy_audits.games.training` is imported by its own name: it needs torch.

A game sees that the noise is too small or a bound missing, within a few hundred runs at ε of 4 or
more. It is blind to what the exact checks of :mod:`privacy_audits.conformance` see at once: noise
that is a tenth too small, and batches that are shuffled instead of sampled.
"""

from __future__ import annotations

from privacy_audits.games.counts import CountsGame, one_way_game
from privacy_audits.games.game import (
    Game,
    GameResult,
    leaks_as_booked,
    play,
    reference,
    seeded,
)
from privacy_audits.games.votes import EnsembleGame, VoteGame

__all__ = [
    "CountsGame",
    "EnsembleGame",
    "Game",
    "GameResult",
    "VoteGame",
    "leaks_as_booked",
    "one_way_game",
    "play",
    "reference",
    "seeded",
]
