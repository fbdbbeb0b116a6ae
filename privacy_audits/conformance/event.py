"""Events: what ran is what was booked, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from dpsynth.privacy import Mechanism
from privacy_audits.conformance.result import Conformance


def event_equality(planned: Sequence[Mechanism], taken: Sequence[Mechanism | None]) -> Conformance:
    """Count the places at which the events that ran are not those of the plan.

    Parameters
    ----------
    planned : sequence of Mechanism
        What was calibrated and booked.
    taken : sequence of Mechanism or None
        What the code says that it ran.
    """
    differences = sum(1 for a, b in zip_longest(planned, taken) if a != b)
    return Conformance(
        name="event equality",
        statistic=float(differences),
        threshold=0.0,
        meaning="events that ran but were not booked, or the other way round",
    )


def noise_in_every_step(noise: Sequence[npt.ArrayLike], *, steps: int) -> Conformance:
    """Count the booked steps whose release carries no noise in some coordinate.

    Parameters
    ----------
    noise : sequence of array
        Released minus exact value of each step that was taken.
    steps : int
        Steps that were booked.

    Notes
    -----
    A real draw is exactly 0 with a chance of about 1e-8 on the grid of
    :mod:`dpsynth.neural.dpsgd`; run this with few coordinates.
    """
    bare = sum(1 for part in noise if not np.all(np.asarray(part)))
    return Conformance(
        name="noise in every step",
        statistic=float(bare + abs(steps - len(noise))),
        threshold=0.0,
        meaning="booked steps without noise, and steps that were not booked",
    )
