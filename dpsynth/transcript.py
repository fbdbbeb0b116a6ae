"""The transcript: what a fit released beside what it knew, in memory only and only under audit.

A mechanism is private if its releases are, and everything after them is post-processing. An audit
that sees each exact query next to its noisy answer is therefore stronger than one that sees the
synthetic table, and needs no attack model. The file that adds noise writes the line.

A *measurement* is one event that somebody opened (:meth:`dpsynth.noise.NoiseSource.declaring`), and
the releases that were made while it was open are its parts. What it says is a declaration: the
relation, what one unit moves, how often. How much noise there was is taken from the releases.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from dpsynth.errors import IntegrityError
from dpsynth.privacy import (
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    NeighbouringRelation,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
    PrivateSelection,
    canonical_json,
)

FloatArray = npt.NDArray[np.float64]

_REPEATS: dict[type[Mechanism], str] = {
    Gaussian: "count",
    DiscreteGaussian: "count",
    Laplace: "count",
    Exponential: "count",
    PoissonSampledGaussian: "steps",
    PATEVote: "votes",
}
"""Field of an event that says how often; two events that differ there only are one longer one."""


class _InMemoryOnly:
    """Holds exact answers: neither stored nor copied nor shown."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError("what an audit recorded holds exact answers and is never stored or copied.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Release(_InMemoryOnly):
    """One noisy answer. **Sensitive**: it holds the exact one as well.

    Parameters
    ----------
    primitive : str
        Function that added the noise.
    event : Mechanism or None
        Event of the measurement of which this is a part; ``None`` if nobody declared one.
    sensitivity : float
        Declared l2 move by one unit of all parts of the measurement together, in units of the
        query; NaN if nobody declared it.
    sigma : float
        Standard deviation of the noise, in units of the query; NaN for noise of another form.
    query : ndarray
        Exact answer.
    released : ndarray
        Noisy answer, of the same shape; NaN where nothing was shown.
    """

    primitive: str
    event: Mechanism | None
    sensitivity: float
    sigma: float
    query: npt.NDArray[Any]
    released: npt.NDArray[Any]

    @property
    def kind(self) -> str:
        """Kind of the declared event; empty if there is none."""
        return "" if self.event is None else self.event.kind

    @property
    def relation(self) -> NeighbouringRelation | None:
        """Neighbouring relation for which the sensitivity was declared."""
        return None if self.event is None else self.event.relation

    @property
    def noise(self) -> FloatArray:
        """Noise that was added, in standard deviations, shape (n,); what was not shown left out."""
        added = (self.released - self.query).ravel() / self.sigma
        return added[np.isfinite(added)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Measurement(_InMemoryOnly):
    """One event that was opened, and the releases that are its parts. **Sensitive**.

    Parameters
    ----------
    event : Mechanism or None
        As declared; ``None`` for a release that was made without a declaration.
    units : ndarray of int64 or None
        Privacy units that took part, where they were sampled.
    trial : int or None
        Number of the trial of a private selection in which it was made, from 0.
    releases : tuple of Release
        Its parts; none if there was nothing to ask.
    """

    event: Mechanism | None
    units: npt.NDArray[np.int64] | None
    trial: int | None
    releases: tuple[Release, ...]

    @property
    def squared_mu(self) -> float:
        """(sensitivity/σ)² of the whole: of one query, before any amplification by sampling."""
        parts = [(part.sensitivity / part.sigma) ** 2 for part in self.releases]
        # Of NumPy, so that one that is no number is not passed over.
        return float(np.max(parts)) if parts else 0.0

    def ran(self) -> Mechanism:
        """Return the declared event with the noise that was used, the least of all parts.

        Raises
        ------
        IntegrityError
            If nobody declared one.
        """
        if self.event is None:
            raise IntegrityError("a release was made without an event.", code="DPS110")
        return min(
            (_with_noise(self.event, part) for part in self.releases),
            key=_noise_of,
            default=self.event,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Trial(_InMemoryOnly):
    """One trial of a private selection: as secret as the noise.

    Parameters
    ----------
    event : PrivateSelection
        The selection.
    candidate : int
        Number of the candidate.
    """

    event: PrivateSelection
    candidate: int


class Transcript(_InMemoryOnly):
    """All measurements of a run, in order.

    Hand it to :meth:`dpsynth.noise.NoiseSource.audited`. It only grows.

    Privacy
    -------
    Exact answers of sensitive rows: whoever holds it needs the right to see the rows. It cannot be
    pickled, copied or printed, and nothing that is fitted under audit keeps it or is releasable.
    """

    __slots__ = ("_drawn", "_measured", "_open", "_trial", "_trials")

    def __init__(self) -> None:
        self._measured: list[_Measuring] = []
        self._open: _Measuring | None = None
        self._trials: list[Trial] = []
        self._trial: int | None = None
        self._drawn = 0

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """All measurements, those without a release included."""
        return tuple(measuring.closed() for measuring in self._measured)

    @property
    def releases(self) -> tuple[Release, ...]:
        """All releases."""
        return tuple(part for measuring in self._measured for part in measuring.parts)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Trials that private selections ran."""
        return tuple(self._trials)

    @property
    def drawn_trials(self) -> int:
        """Trials that private selections drew before they began."""
        return self._drawn

    @contextmanager
    def declaring(
        self, event: Mechanism, *, units: npt.NDArray[np.integer] | None = None
    ) -> Iterator[None]:
        """Open a measurement: see :meth:`dpsynth.noise.NoiseSource.declaring`.

        Raises
        ------
        IntegrityError
            If one is open: a release would count once and be two.
        """
        if self._open is not None:
            raise IntegrityError("a measurement was opened inside another one.", code="DPS110")
        chosen = None if units is None else _copy(np.asarray(units, dtype=np.int64))
        self._open = self._begin(event, chosen)
        try:
            yield
        finally:
            self._open = None

    def write(
        self,
        primitive: str,
        *,
        query: npt.ArrayLike,
        released: npt.ArrayLike,
        sigma: float = math.nan,
        sensitivity: float | None = None,
    ) -> None:
        """Enter a release; called where its noise is added.

        Parameters
        ----------
        primitive : str
            Function that adds the noise.
        query, released : array
            Exact and noisy answer; copied.
        sigma : float
            Standard deviation of the noise, in units of the query; NaN for noise of another form.
        sensitivity : float, optional
            l2 move by one unit in units of the query; by default what a histogram's event says.
        """
        measuring = self._open or self._begin(None, None)
        event = measuring.event
        if sensitivity is None:
            is_histogram = isinstance(event, DiscreteGaussian | PartitionSelection)
            sensitivity = event.sensitivity * math.sqrt(event.count) if is_histogram else math.nan
        measuring.parts.append(
            Release(
                primitive=primitive,
                event=event,
                sensitivity=float(sensitivity),
                sigma=float(sigma),
                query=_copy(query),
                released=_copy(released),
            )
        )

    def drew_trials(self, trials: int) -> None:
        """Enter how many trials a private selection drew."""
        self._drawn += trials

    @contextmanager
    def trial(self, event: PrivateSelection, candidate: int) -> Iterator[None]:
        """Enter a trial: see :meth:`dpsynth.noise.NoiseSource.trial`."""
        self._trials.append(Trial(event=event, candidate=candidate))
        self._trial = len(self._trials) - 1
        try:
            yield
        finally:
            self._trial = None

    def _begin(self, event: Mechanism | None, units: npt.NDArray[np.int64] | None) -> _Measuring:
        self._measured.append(_Measuring(event=event, units=units, trial=self._trial))
        return self._measured[-1]


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class _Measuring(_InMemoryOnly):
    """A measurement that may still grow."""

    event: Mechanism | None
    units: npt.NDArray[np.int64] | None
    trial: int | None
    parts: list[Release] = field(default_factory=list)

    def closed(self) -> Measurement:
        return Measurement(
            event=self.event, units=self.units, trial=self.trial, releases=tuple(self.parts)
        )


def events(transcript: Transcript) -> tuple[Mechanism, ...]:
    """Return what ran: declared events with the noise that the releases carried.

    The trials of a private selection are one event, whose candidates are what ran in their trials;
    a candidate that was not drawn is as booked.

    Raises
    ------
    IntegrityError
        If a release was made without an event.
    """
    measurements = transcript.measurements
    out = [m.ran() for m in measurements if m.trial is None]
    selections: dict[PrivateSelection, list[tuple[Mechanism, ...]]] = {}
    for number, trial in enumerate(transcript.trials):
        candidates = selections.setdefault(trial.event, list(trial.event.candidates))
        ran = tuple(m.ran() for m in measurements if m.trial == number)
        if not same_events(ran, trial.event.candidates[trial.candidate]):
            candidates[trial.candidate] = ran
    return (*out, *(replace(e, candidates=tuple(c)) for e, c in selections.items()))


def composed(mechanisms: Iterable[Mechanism]) -> tuple[Mechanism, ...]:
    """Return events in a canonical order, equal ones made one that is run more often.

    Reals that agree to 12 digits are equal: a ratio of a noise scale loses the last ones.
    """
    tally: Counter[str] = Counter()
    first: dict[str, Mechanism] = {}
    for mechanism in mechanisms:
        repeats = _REPEATS.get(type(mechanism))
        key = canonical(mechanism, without=repeats)
        if repeats is None:
            # Not merged: two selections fail twice.
            key = f"{key}#{sum(name.startswith(key + '#') for name in first)}"
        first.setdefault(key, mechanism)
        tally[key] += getattr(mechanism, repeats) if repeats else 0
    return tuple(
        replace(first[key], **{repeats: tally[key]})
        if (repeats := _REPEATS.get(type(first[key])))
        else first[key]
        for key in sorted(first)
    )


def same_events(first: Iterable[Mechanism], second: Iterable[Mechanism]) -> bool:
    """Tell whether two sequences are the same events, in whatever order and pieces."""
    a, b = ([canonical(event) for event in composed(events)] for events in (first, second))
    return a == b


def canonical(mechanism: Mechanism, *, without: str | None = None) -> str:
    """Return a text that is the same for equal events: reals to 12 digits, ``without`` a field."""

    def rounded(value: object) -> object:
        if isinstance(value, float):
            return f"{value:.12g}"
        if isinstance(value, tuple):
            # Candidates of a selection: what each runs, in whatever order.
            return [[canonical(event) for event in composed(part)] for part in value]
        return str(value)

    named = {f.name: rounded(getattr(mechanism, f.name)) for f in fields(mechanism)}
    named.pop(without or "", None)
    return canonical_json({"kind": mechanism.kind, **named})


def _with_noise(event: Mechanism, part: Release) -> Mechanism:
    match event:
        case DiscreteGaussian() | PartitionSelection():
            return replace(event, sigma=part.sigma)
        case PoissonSampledGaussian():
            return replace(event, noise_multiplier=part.sigma / part.sensitivity)
        case Gaussian(count=repeats) | PATEVote(votes=repeats):
            each = part.sensitivity / math.sqrt(repeats)
            return replace(event, noise_multiplier=part.sigma / each)
    return event


def _noise_of(event: Mechanism) -> float:
    return getattr(event, "sigma", getattr(event, "noise_multiplier", math.inf))


def _copy(values: npt.ArrayLike) -> npt.NDArray[Any]:
    kept = np.array(values)
    kept.flags.writeable = False
    return kept
