"""What an attacker hears of a run: noisy answers, and nothing else that the transcript is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.transcript import Transcript

Hear = Callable[[str, npt.NDArray[Any]], None]
"""Takes the name of the function that added the noise, and the noisy answer."""


class Listener(Transcript):
    """A transcript that hands noisy answers on and keeps no exact one.

    Parameters
    ----------
    hear : callable
        Receives every release when it is made.

    Privacy
    -------
    Scores that are computed here are functions of releases, canaries and coins: post-processing.
    A run of many steps is heard without being stored.
    """

    __slots__ = ("_hear",)

    def __init__(self, hear: Hear) -> None:
        super().__init__()
        self._hear = hear

    def write(
        self,
        primitive: str,
        *,
        query: npt.ArrayLike,
        released: npt.ArrayLike,
        sigma: float = math.nan,
        sensitivity: float | None = None,
    ) -> None:
        """Hand the noisy answer on; neither exact answer nor declared noise is read."""
        del query, sigma, sensitivity
        self._hear(primitive, np.asarray(released))
