"""Event == charge: what a transcript shows to have been released is what the plan booked.

The check needs no neighbour and no second run. It believes declared sensitivities, which
:func:`privacy_audits.conformance.transcript_sensitivity` tests, and takes everything else from the
releases: how many there were, of what kind, and how much noise they carried.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from dpsynth.privacy import (
    DiscreteGaussian,
    Gaussian,
    Mechanism,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
)
from dpsynth.transcript import Measurement, Transcript, canonical, composed, events
from privacy_audits.conformance.noise_scale import noise_scale
from privacy_audits.conformance.result import ALPHA, Conformance


def event_is_charge(transcript: Transcript, planned: Sequence[Mechanism]) -> Conformance:
    """Count the events that ran and were not booked, or the other way round.

    Parameters
    ----------
    transcript : Transcript
        Of one whole fit, or of one whole search.
    planned : sequence of Mechanism
        What was booked (``plan.mechanisms``).

    Notes
    -----
    Equal events are added up first, so that two sums of 100 steps are one of 200. A release
    without an event counts as one; so do trials of a private selection beyond those it drew.
    """
    stray = sum(release.event is None for release in transcript.releases)
    differences = stray + abs(len(transcript.trials) - transcript.drawn_trials)
    if not stray:
        differences += _differences(composed(events(transcript)), composed(planned))
    return Conformance(
        name="event == charge",
        statistic=float(differences),
        threshold=0.0,
        meaning="events of the transcript that were not booked, or were booked and did not run",
    )


def cost_is_charge(
    transcript: Transcript, planned: Sequence[Mechanism], *, tolerance: float = 1e-9
) -> Conformance:
    """Return the sum over all releases of (sensitivity/σ)², over that of the plan.

    Parameters
    ----------
    transcript, planned
        As in :func:`event_is_charge`.
    tolerance : float
        Relative excess that is put down to rounding.

    Notes
    -----
    Amplification by sampling is left out on both sides. A histogram that was opened and had no
    cell to measure costs what it declared. In a private selection each trial that ran is set
    against its candidate; mechanisms without Gaussian noise are compared by
    :func:`event_is_charge` alone.
    """
    booked = [*planned]
    for trial in transcript.trials:
        booked += trial.event.candidates[trial.candidate]
    charge = sum(squared_mu(mechanism) for mechanism in booked)
    spent = sum(map(_spent, transcript.measurements))
    return Conformance(
        name="cost == charge",
        statistic=spent / charge if charge else (0.0 if not spent else math.inf),
        threshold=1 + tolerance,
        meaning="sum over releases of squared sensitivity over noise, over what was booked",
    )


def recorded_noise(transcript: Transcript, *, alpha: float = ALPHA) -> Conformance:
    """Compare all noise of a transcript, each draw over its declared scale, with scale 1.

    Parameters
    ----------
    transcript : Transcript
        Of any run. Levels that partition selection showed are left out: they were chosen by their
        noise.
    alpha : float
        Chance of a false alarm.

    Notes
    -----
    Votes are rounded, which adds 1/(12σ²) to their variance: nothing for σ above 3.
    """
    parts = [
        release.noise
        for release in transcript.releases
        if not math.isnan(release.sigma) and np.isfinite(release.released).all()
    ]
    noise = np.concatenate([np.zeros(0), *parts])
    return noise_scale(lambda exact: exact + noise, np.zeros(noise.size), sigma=1.0, alpha=alpha)


def squared_mu(mechanism: Mechanism) -> float:
    """Return the sum over the queries of a mechanism of (sensitivity/σ)²; 0 without such noise."""
    match mechanism:
        case DiscreteGaussian() | PartitionSelection():
            return mechanism.count * (mechanism.sensitivity / mechanism.sigma) ** 2
        case (
            Gaussian(noise_multiplier=sigma, count=queries)
            | PATEVote(noise_multiplier=sigma, votes=queries)
            | PoissonSampledGaussian(noise_multiplier=sigma, steps=queries)
        ):
            return queries / sigma**2
    return 0.0


def _spent(measurement: Measurement) -> float:
    declared = math.inf if measurement.event is None else squared_mu(measurement.event)
    return measurement.squared_mu if measurement.releases and declared else declared


def _differences(ran: Sequence[Mechanism], booked: Sequence[Mechanism]) -> int:
    tally = Counter(map(canonical, ran))
    tally.subtract(map(canonical, booked))
    return sum(map(abs, tally.values()))
