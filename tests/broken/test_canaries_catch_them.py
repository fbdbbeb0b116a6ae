"""One run with canaries catches coarse twins and lets the real mechanisms pass.

All runs are seeded. The weakest twin, a double release, moves d′ by a factor of √2.
"""

from __future__ import annotations

from functools import partial

import pytest

from privacy_audits.canaries import ALPHA
from tests.broken import canary_twins as twins
from tests.broken import clipping, noise, sampling
from tests.privacy_audits.canaries import rigs

REAL = {
    "full batch": rigs.full_batch,
    "sampled": rigs.sampled,
    "counts": rigs.counts,
    "votes": rigs.votes,
}

CAUGHT = {
    "full batch: half the noise": partial(rigs.full_batch, noisy_sum=noise.half_noise),
    "full batch: no clipping": partial(rigs.full_batch, UnitClipper=clipping.NoClipping),
    "full batch: released twice": partial(rigs.full_batch, noisy_sum=twins.EverySumTwice()),
    "sampled: half the noise": partial(rigs.sampled, noisy_sum=noise.half_noise),
    "sampled: no clipping": partial(rigs.sampled, UnitClipper=clipping.NoClipping),
    "sampled: twice the rate": partial(rigs.sampled, poisson_sample=twins.twice_the_rate),
    "counts: half the noise": partial(rigs.counts, released=noise.half_noise_on_counts),
    "counts: released twice": partial(rigs.counts, released=twins.every_histogram_twice),
    "votes: half the noise": partial(rigs.votes, released=twins.half_noise_on_margins),
    "votes: released twice": partial(rigs.votes, released=twins.every_vote_twice),
    "votes: overlapping teachers": partial(rigs.votes, make=twins.ThreeTeachersEach),
}

UNSEEN = {
    "full batch: 0.9 of the noise": partial(
        rigs.full_batch, noisy_sum=noise.nine_tenths_of_the_noise
    ),
    "sampled: shuffled batches": partial(rigs.sampled, poisson_sample=sampling.Shuffled()),
    "sampled: batches of one size": partial(rigs.sampled, poisson_sample=sampling.FixedSize()),
}
"""What :mod:`privacy_audits.conformance` is needed for."""


@pytest.mark.parametrize("audit", REAL.values(), ids=REAL)
def test_the_real_mechanism_passes(audit):
    result = audit()
    assert not result.violates(alpha=ALPHA)
    assert all(bound.lower <= result.claim for bound in (result.conformance, *result.bounds))


@pytest.mark.parametrize("audit", CAUGHT.values(), ids=CAUGHT)
def test_a_broken_twin_is_caught(audit):
    assert audit().violates(alpha=ALPHA / 2)  # also after a confirmation that shows nothing


@pytest.mark.parametrize("audit", UNSEEN.values(), ids=UNSEEN)
def test_a_twin_that_canaries_do_not_see(audit):
    assert not audit().violates(alpha=ALPHA)
