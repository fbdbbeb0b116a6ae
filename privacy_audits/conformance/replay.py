"""Replay: run on one table, then on a neighbour with the same answers of the noisy releases.

Everything that leaves a fit must be a function of public facts and of noisy releases. If the
releases are made to answer alike on two tables, then all else must be alike too: plans, shapes,
bounds, number of draws, weights. What differs reached the output by another way. The same pair of
runs shows how far the exact queries moved, at identical history.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from dpsynth.noise import NoiseSource
from privacy_audits.conformance.result import Conformance
from privacy_audits.conformance.sensitivity import Value, distance

T = TypeVar("T")


class Tape:
    """Answers of releases: recorded on one table, given again on its neighbour.

    The code under test calls :meth:`answer` in place of its release function.

    Parameters
    ----------
    recorded : Tape, optional
        Tape whose answers are given again.

    Notes
    -----
    A tape holds exact queries: it is never stored and never shown.
    """

    def __init__(self, recorded: Tape | None = None) -> None:
        self._recorded = recorded
        self.queries: list[Value] = []
        self.answers: list[Any] = []
        self.facts: list[tuple[object, ...]] = []

    def answer(
        self, query: Value, draw: Callable[[], T], *, sigma: float, shape: object = None
    ) -> T:
        """Return the answer of a release.

        Parameters
        ----------
        query : array or mapping
            Exact value.
        draw : callable
            The real release. It is always called, so that the generator moves on alike.
        sigma : float
            Standard deviation of its noise.
        shape : object, optional
            Public form of the query; by default the shape of the array, nothing for a mapping.
        """
        at = len(self.facts)
        if shape is None and not isinstance(query, Mapping):
            shape = np.shape(query)
        self.queries.append(query if isinstance(query, Mapping) else np.array(query, dtype=float))
        self.facts.append((sigma, shape))
        fresh = draw()
        old = self._recorded
        # Another release than the recorded one is reported; its answer would not fit.
        alike = old is not None and at < len(old.facts) and old.facts[at] == self.facts[at]
        given = old.answers[at] if old is not None and alike else fresh
        self.answers.append(given)
        return given

    def __repr__(self) -> str:
        return "Tape(...)"


Run = Callable[[Any, Tape], Mapping[str, object]]
"""Runs the data path on a table with a tape and returns everything that is public afterwards."""


def replay(run: Run, first: object, second: object) -> Conformance:
    """Count public facts that differ between neighbours although all releases answered alike.

    Parameters
    ----------
    run : callable
        Data path under test. Its facts are compared with ``==``; give arrays as bytes or lists.
    first, second : object
        Neighbouring tables.
    """
    recorded = Tape()
    before = run(first, recorded)
    played = Tape(recorded)
    after = run(second, played)
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if recorded.facts != played.facts:
        names.append("releases")
    # Names only: what differs is a function of the rows.
    return Conformance(
        name="replay",
        statistic=float(len(names)),
        threshold=0.0,
        meaning="facts that reached the output by another way than the releases: "
        + (", ".join(names) or "none"),
    )


def transcript_sensitivity(
    run: Run, first: object, second: object, *, bound: float, tolerance: float = 1e-9
) -> Conformance:
    """Return how far all queries moved together, in units of their noise, over the declared bound.

    Parameters
    ----------
    run, first, second
        As in :func:`replay`.
    bound : float
        Square root of the sum over all booked releases of (l2 sensitivity / σ)².
    tolerance : float
        Relative excess that is put down to the subtraction of the answers.
    """
    recorded = Tape()
    run(first, recorded)
    played = Tape(recorded)
    run(second, played)
    moved = math.inf
    if recorded.facts == played.facts:
        moved = math.sqrt(
            sum(
                (distance(a, b) / float(sigma)) ** 2  # type: ignore[arg-type]
                for a, b, (sigma, _) in zip(
                    recorded.queries, played.queries, recorded.facts, strict=True
                )
            )
        )
    return Conformance(
        name="transcript sensitivity",
        statistic=moved / bound,
        threshold=1 + tolerance,
        meaning="move of all releases together over what the events say",
    )


class CoupledNoise(NoiseSource):
    """Seeded noise in which a call's draws do not depend on how much earlier calls drew.

    On a table with one unit more the other units meet the same coins, and a seed that is drawn
    later is the same one. For replays only: what it makes cannot be released.

    Parameters
    ----------
    seed : int
        Fixes all draws.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._calls = _Calls(seed)

    @property
    def generator(self) -> np.random.Generator:
        """A generator that is keyed afresh in every call."""
        return self._calls  # type: ignore[return-value]


class _Calls:
    """Passes every method on to a generator of its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        self._made += 1
        return getattr(np.random.default_rng([self._seed, self._made]), name)
