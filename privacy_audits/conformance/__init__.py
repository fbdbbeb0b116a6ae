"""Exact tests that code is the mechanism that it says it is.

Each check states a null hypothesis about the implementation whose sampling distribution is known,
so that one run of seconds is far stronger than thousands of membership attacks: a noise scale that
is a tenth too small is certain to be seen in 20,000 draws.

=========================  ========================================================================
check                      what it sees
=========================  ========================================================================
noise_scale, noise_law     wrong or data-dependent noise, truncated noise, cells without noise
noise_grid                 low-order bits that depend on the data
noise_independence         fixed seeds, noise that is used twice
noise_reuse                a published seed, one key for two primitives, a stream that is rewound
sensitivity                missing or wrong clipping, values that are not finite, rows that mix
poisson_sampler            shuffled or fixed batches, a wrong rate
selection_failure          partition selection without its threshold
exponential_ratios         a wrong sensitivity of a score, a missing half, an exact total
selection_frequencies      a selection by other probabilities than it states
touched_teachers           a partition by position, overlapping teachers, one that is redrawn
vote_moments               slips in the moments of a vote under Laplace noise
trial_numbers              a search whose number of trials is not the random one that was booked
event_equality             a mechanism that runs and another one that was booked
stated_cost                a stated ε below what is attained, or of another composition
event_is_charge            the same for whole fits: wrong noise, rate, number of steps or queries
cost_is_charge             noise that was not divided among the queries, a share that is spent twice
recorded_noise             any of the noise errors, in the noise of a whole fit
noise_in_every_step        noise left out, for example where a batch is empty
replay                     whatever reaches the output by another way than the releases
transcript_sensitivity     a whole data path that moves by more than its events say
=========================  ========================================================================

References
----------
Annamalai et al., "Re:cord-play" (replaying recorded releases on a neighbouring table).
Canonne, Kamath, Steinke, arXiv 2004.00010 (discrete Gaussian).
"""

from __future__ import annotations

from privacy_audits.conformance.accounts import stated_cost
from privacy_audits.conformance.charge import cost_is_charge, event_is_charge, recorded_noise
from privacy_audits.conformance.event import event_equality, noise_in_every_step
from privacy_audits.conformance.exponential import exponential_ratios, selection_frequencies
from privacy_audits.conformance.noise_scale import (
    noise_grid,
    noise_independence,
    noise_law,
    noise_scale,
)
from privacy_audits.conformance.replay import CoupledNoise, Tape, replay, transcript_sensitivity
from privacy_audits.conformance.result import ALPHA, Conformance
from privacy_audits.conformance.reuse import noise_reuse
from privacy_audits.conformance.sampler import poisson_sampler
from privacy_audits.conformance.selection import selection_failure
from privacy_audits.conformance.sensitivity import (
    cancelling_units,
    difficult_units,
    removals,
    sensitivity,
)
from privacy_audits.conformance.trials import trial_numbers
from privacy_audits.conformance.voting import touched_teachers, vote_moments

__all__ = [
    "ALPHA",
    "Conformance",
    "CoupledNoise",
    "Tape",
    "cancelling_units",
    "cost_is_charge",
    "difficult_units",
    "event_equality",
    "event_is_charge",
    "exponential_ratios",
    "noise_grid",
    "noise_in_every_step",
    "noise_independence",
    "noise_law",
    "noise_reuse",
    "noise_scale",
    "poisson_sampler",
    "recorded_noise",
    "removals",
    "replay",
    "selection_failure",
    "selection_frequencies",
    "sensitivity",
    "stated_cost",
    "touched_teachers",
    "transcript_sensitivity",
    "trial_numbers",
    "vote_moments",
]
