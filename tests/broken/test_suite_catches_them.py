"""Every broken twin is caught, by the check that is meant for it, and the real one is not.

False alarms: 1e-6 per statistical result of a real mechanism, of which there are about twenty here
and forty in ``tests/privacy_audits``: together less than once in ten thousand runs.
Misses: the weakest twin stands more than ten standard errors away from what was booked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpsynth.codec import Codec
from dpsynth.counts import discover_levels, release_counts
from dpsynth.neural.adversary import PairLoss
from dpsynth.neural.clipping import UnitClipper
from dpsynth.neural.ctgan import DPCTGAN
from dpsynth.neural.dpsgd import GRID, noisy_sum, poisson_sample, train
from dpsynth.neural.pategan import PATEGAN
from dpsynth.neural.voting import Teachers, release_margins
from dpsynth.noise import NoiseSource, NormalsAhead
from dpsynth.privacy import PrivateSelection
from dpsynth.scoring import TwoWayScore
from dpsynth.selection import trial_count
from dpsynth.table import load
from privacy_audits.conformance import (
    Conformance,
    difficult_units,
    event_equality,
    noise_grid,
    noise_in_every_step,
    noise_independence,
    noise_law,
    noise_scale,
    poisson_sampler,
    removals,
    replay,
    selection_failure,
    sensitivity,
    touched_teachers,
    transcript_sensitivity,
    trial_numbers,
)
from tests.broken import (
    adversarial,
    clipping,
    counting,
    noise,
    sampling,
    selecting,
    training,
    voting,
)
from tests.conftest import patients_schema
from tests.privacy_audits import rigs, voting_rigs

Results = Iterable[Conformance]

DRAWS = 10_000
UNITS = patients_schema(id="patient", max_rows=3)


# -- benches: a part under test to the results of all checks that concern it -----------------------


def step_release(noisy: Callable) -> Results:
    release = rigs.sum_release(noisy, sigma=1.7, clip_norm=0.5)
    exact = np.full(DRAWS, 1 / 3)
    yield noise_scale(release, exact, sigma=0.85)
    yield noise_law(release, exact, sigma=0.85, integer=False)
    yield noise_grid(release, exact, step=0.5 * GRID)
    yield noise_independence(release, exact)


def count_release(released: Callable) -> Results:
    release = rigs.count_release(released, sigma=6.0)
    exact = np.arange(DRAWS) % 3
    yield noise_scale(release, exact, sigma=6.0)
    yield noise_law(release, exact, sigma=6.0, integer=True)
    yield noise_independence(release, exact)


def levels(discover: Callable) -> Results:
    yield noise_scale(rigs.selected_counts(discover), np.full(2000, 60.0), sigma=2.0)
    for newcomer in (["x"], ["x"] * 4, ["x", "y", "z", "w"]):
        yield selection_failure(
            rigs.select(discover), ["common"] * 50, newcomer, failure_delta=0.05, rounds=400
        )


def clipped_sum(clipper: type[UnitClipper]) -> Results:
    yield from _clipped(clipper, poisoned=False)


def poisoned_sum(clipper: type[UnitClipper]) -> Results:
    yield from _clipped(clipper, poisoned=True)


def _clipped(clipper: type[UnitClipper], *, poisoned: bool) -> Results:
    plain, *units = difficult_units(np.random.default_rng(1), rows=4, columns=5)
    chosen = [unit for unit in units if poisoned != bool(np.all(np.abs(unit) < 1e300))]
    for loss in (rigs.linear_loss, rigs.cubed):
        query = rigs.clipped(clipper, rows_per_unit=4, loss=loss)
        yield sensitivity(query, [([plain, unit], [plain]) for unit in chosen], bound=1.0)


def row_loss(loss: Callable) -> Results:
    rng = np.random.default_rng(1)
    units = [*rng.standard_normal((6, 2, 5)), np.full((2, 5), 30.0)]
    query = rigs.clipped(rows_per_unit=2, loss=loss)
    yield sensitivity(query, removals(units), bound=1.0)


def sampler(make: Callable[[], Callable]) -> Results:
    rng, sample = NoiseSource.from_entropy().generator, make()
    yield from poisson_sampler(
        lambda: sample(1000, 0.05, rng), units=1000, probability=0.05, rounds=400
    )


def sampler_in_the_loop(make: Callable[[], Callable]) -> Results:
    run = rigs.loop(
        units=500, probability=0.05, steps=300, width=2, rows_per_unit=2, poisson_sample=make()
    )
    batches = iter(run.batches)
    yield from poisson_sampler(lambda: next(batches), units=500, probability=0.05, rounds=300)


def tiny_loop(noisy: Callable) -> Results:
    yield from _loop(noisy_sum=noisy)


def ahead(normals: type[NormalsAhead]) -> Results:
    yield from _loop(NormalsAhead=normals)


def trainer(trains: Callable) -> Results:
    yield from _loop(trainer=trains)


def _loop(**parts: Any) -> Results:
    run = rigs.loop(units=3, probability=0.01, steps=50, width=400, **parts)
    released = np.concatenate(run.released)
    yield event_equality([run.planned], [run.taken])
    yield noise_in_every_step(run.released, steps=50)
    yield noise_scale(lambda exact: exact + released, np.zeros(released.size), sigma=1.5)
    two = iter(run.released)
    yield noise_independence(lambda exact: exact + next(two), np.zeros(400))


def loop_replay(make: Callable[[], dict[str, Any]]) -> Results:
    units = difficult_units(np.random.default_rng(3), rows=4, columns=5)
    for left_out in (0, 7):
        neighbour = [*units[:left_out], *units[left_out + 1 :]]
        for probability in (0.5, 1.0):
            run = rigs.train_run(probability=probability, rows_per_unit=4, **make())
            yield replay(run, units, neighbour)
        yield transcript_sensitivity(run, units, neighbour, bound=np.sqrt(6) / 1.2)


def pair_loss(loss: type[PairLoss]) -> Results:
    for scale in (0.2, 1.0, 3.0):
        yield from _pairs(rigs.pair_sum(loss, rows_per_unit=2, scale=scale))


def pair_clipper(clipper: type[UnitClipper]) -> Results:
    yield from _pairs(rigs.pair_sum(clipper=clipper, rows_per_unit=2))


def _pairs(query: Callable) -> Results:
    units = rigs.pair_units(np.random.default_rng(5), rows=2, count=12)
    yield sensitivity(query, [(units[n:], units[n:-1]) for n in range(12)], bound=1.0)


def adversarial_fit(method: type[DPCTGAN]) -> Results:
    yield replay(rigs.ctgan_run(UNITS, method), *rigs.one_more_patient(9))


def codec(fit: Callable) -> Results:
    yield replay(rigs.codec_run(UNITS, fit=fit), *rigs.one_more_patient(3))


def loader(loads: Callable) -> Results:
    pair = rigs.one_more_patient(9)
    yield sensitivity(rigs.rows_by_unit(UNITS, loads), [pair], bound=3, order=1)
    yield transcript_sensitivity(
        rigs.codec_run(UNITS, loader=loads), *pair, bound=rigs.plan_bound(rigs.codec_plan(UNITS))
    )


def trial_count_of(count: Callable) -> Results:
    event = rigs.search_plan(UNITS, TwoWayScore()).mechanisms[0]
    assert isinstance(event, PrivateSelection)
    yield trial_numbers(rigs.trial_numbers_of(count), event, rounds=1500)


def score(twin: type[TwoWayScore]) -> Results:
    yield noise_scale(
        rigs.score_release(twin(), sigma=30.0), np.linspace(0, 900, 300).round(), sigma=30.0
    )


def score_of_neighbours(twin: type[TwoWayScore]) -> Results:
    bound = twin().event(UNITS, noise_multiplier=1.0).sensitivity
    query = rigs.exact_score(twin(), UNITS, rows=0.0)
    yield sensitivity(query, [rigs.one_more_patient(3)], bound=bound)


def search(twin: type[TwoWayScore]) -> Results:
    # A unit of many rows tips the exact order of nearly equal trials.
    schema = patients_schema(id="patient", max_rows=200)
    for seed in range(3):
        run = rigs.search_run(schema, twin(sample_rows=60), seed=seed, trials=8)
        yield replay(run, *rigs.one_more_patient(200, n=60))


def ensemble(twin: type[Teachers]) -> Results:
    pairs = voting_rigs.adversarial_pairs(3)
    yield touched_teachers(voting_rigs.ballots(twin), pairs)
    yield sensitivity(voting_rigs.margins(twin), pairs, bound=np.sqrt(60))


def vote_release(released: Callable) -> Results:
    release = voting_rigs.vote_release(released, multiplier=7.0)
    for exact in (np.zeros(DRAWS), np.linspace(-200, 200, DRAWS).round()):
        yield noise_scale(release, exact, sigma=np.sqrt(49 + 1 / 12))
        yield noise_independence(release, exact)


def vote_fit(twin: type[PATEGAN]) -> Results:
    pair, plan = rigs.one_more_patient(9), voting_rigs.vote_plan()
    yield replay(voting_rigs.vote_fit(twin, plan=plan), *pair)
    plan = voting_rigs.vote_plan()
    yield transcript_sensitivity(
        voting_rigs.vote_fit(twin, plan=plan), *pair, bound=voting_rigs.vote_bound(plan)
    )
    booked, released = voting_rigs.released_votes(twin)
    yield event_equality([booked], [released])


# -- the matrix ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Twin:
    """A broken part, the bench it is put on and the checks that must see it."""

    bench: Callable[[Any], Results]
    part: Any
    caught_by: str


def realised_divisor() -> dict[str, Any]:
    twin = training.RealisedDivisor(expected=5.0)
    return {"poisson_sample": twin.sample, "after": twin.divide}


TWINS = {
    "noise x0.5": Twin(step_release, noise.half_noise, "noise scale"),
    "noise x0.9": Twin(step_release, noise.nine_tenths_of_the_noise, "noise scale"),
    "noise x2": Twin(step_release, noise.double_noise, "noise scale"),
    "noise cut off": Twin(step_release, noise.noise_cut_off, "noise law"),
    "noise off the grid": Twin(step_release, noise.noise_off_the_grid, "noise grid"),
    "fixed seed": Twin(step_release, noise.same_noise_in_every_release, "noise independence"),
    "one draw for all": Twin(
        step_release, noise.one_draw_for_all_coordinates, "noise independence"
    ),
    "fixed seed in the loop": Twin(
        tiny_loop, noise.same_noise_in_every_release, "noise independence"
    ),
    "normals drawn ahead once": Twin(ahead, noise.DrawnOnce, "noise independence"),
    "no noise on empty batches": Twin(
        tiny_loop, noise.no_noise_on_empty_batches, "noise in every step"
    ),
    "counts: noise x0.5": Twin(count_release, noise.half_noise_on_counts, "noise scale"),
    "counts: noise x0.9": Twin(count_release, noise.nine_tenths_on_counts, "noise scale"),
    "counts: zero cells bare": Twin(count_release, noise.zero_cells_stay_zero, "noise scale"),
    "counts: another law": Twin(count_release, noise.laplace_on_counts, "noise law"),
    "counts: fixed seed": Twin(
        count_release, noise.same_noise_on_every_histogram, "noise independence"
    ),
    "levels: no threshold": Twin(levels, counting.no_threshold, "selection failure"),
    "levels: threshold before noise": Twin(
        levels, counting.threshold_on_exact_counts, "selection failure"
    ),
    "levels: threshold for one row": Twin(
        levels, counting.threshold_for_one_row, "selection failure"
    ),
    "levels: noise x0.5": Twin(levels, counting.half_noise_on_levels, "noise scale"),
    "no clipping": Twin(clipped_sum, clipping.NoClipping, "sensitivity"),
    "clip per row": Twin(clipped_sum, clipping.ClipsEveryRow, "sensitivity"),
    "clip per layer": Twin(clipped_sum, clipping.ClipsEveryLayer, "sensitivity"),
    "clip after the mean": Twin(clipped_sum, clipping.ClipsAfterTheMean, "sensitivity"),
    "NaN passes": Twin(poisoned_sum, clipping.LetsNaNPass, "sensitivity"),
    "mean over the realised batch": Twin(clipped_sum, clipping.AveragesOverTheBatch, "sensitivity"),
    "batch statistics": Twin(row_loss, clipping.centred_loss, "sensitivity"),
    "shuffled": Twin(sampler, sampling.Shuffled, "sampler: inclusions"),
    "fixed size": Twin(sampler, sampling.FixedSize, "sampler: batch sizes"),
    "rate x1.1": Twin(sampler, sampling.RateTooHigh, "sampler: rate"),
    "in groups": Twin(sampler, sampling.InGroups, "sampler: batch sizes"),
    "batches used twice": Twin(sampler, sampling.UsedTwice, "sampler: inclusions"),
    "shuffled in the loop": Twin(sampler_in_the_loop, sampling.Shuffled, "sampler: inclusions"),
    "fixed size in the loop": Twin(sampler_in_the_loop, sampling.FixedSize, "sampler: batch sizes"),
    "one step more": Twin(trainer, training.one_step_more, "noise in every step"),
    "two steps booked as one": Twin(
        trainer, adversarial.two_steps_booked_as_one, "noise in every step"
    ),
    "packed rows": Twin(pair_loss, adversarial.Packed, "sensitivity"),
    "batch norm in the critic": Twin(pair_loss, adversarial.BatchNormalised, "sensitivity"),
    "row and partner clipped apart": Twin(
        pair_clipper, adversarial.ClipsRowAndPartnerApart, "sensitivity"
    ),
    "conditions from exact counts": Twin(adversarial_fit, adversarial.ExactConditions, "replay"),
    "as many generated as sampled": Twin(
        adversarial_fit, adversarial.GeneratesAsManyAsWereSampled, "replay"
    ),
    "one stream for all": Twin(adversarial_fit, adversarial.OneStreamForAll, "replay"),
    "another event": Twin(trainer, training.another_event, "event equality"),
    "divisor from the batch": Twin(loop_replay, realised_divisor, "replay"),
    "no clipping in the loop": Twin(
        loop_replay, lambda: {"UnitClipper": clipping.NoClipping}, "transcript sensitivity"
    ),
    "bounds from the data": Twin(codec, counting.bounds_from_the_data, "replay"),
    "exact number of rows": Twin(codec, counting.exact_number_of_rows, "replay"),
    "all rows of a unit": Twin(loader, counting.all_rows_of_a_unit, "transcript sensitivity"),
    "trials: a fixed number": Twin(trial_count_of, selecting.fixed_number, "number of trials"),
    "trials: cut off": Twin(trial_count_of, selecting.cut_off, "number of trials"),
    "score: no noise": Twin(score, selecting.BareScore, "noise scale"),
    "score: noise for one row": Twin(score_of_neighbours, selecting.OneRowPerUnit, "sensitivity"),
    "score: noise for one marginal": Twin(
        score_of_neighbours, selecting.OneMarginal, "sensitivity"
    ),
    "best by the exact score": Twin(search, selecting.RanksByTheExactError, "replay"),
    "teachers: dealt by position": Twin(ensemble, voting.DealtByPosition, "touched teachers"),
    "teachers: dealt in blocks": Twin(ensemble, voting.DealtInBlocks, "touched teachers"),
    "teachers: dealt anew every round": Twin(
        ensemble, voting.DealtAnewEveryRound, "touched teachers"
    ),
    "teachers: one part for all": Twin(ensemble, voting.OneTeacherForAll, "touched teachers"),
    "teachers: rows instead of units": Twin(
        ensemble, voting.RowsInsteadOfUnits, "touched teachers"
    ),
    "teachers: counts instead of votes": Twin(ensemble, voting.CountsInsteadOfVotes, "sensitivity"),
    "teachers: as many as rows allow": Twin(vote_fit, voting.TeachersFromTheRows, "replay"),
    "votes: noise x0.5": Twin(vote_release, voting.half_noise_on_votes, "noise scale"),
    "votes: clear ones free": Twin(vote_release, voting.free_answers, "noise scale"),
    "votes: fixed seed": Twin(vote_release, voting.same_noise_on_every_vote, "noise independence"),
    "votes: unpaid last round": Twin(vote_fit, voting.UnpaidLastRound, "event equality"),
    "student sees rows": Twin(vote_fit, voting.StudentSeesRows, "replay"),
    "table of a round size": Twin(loader, counting.as_many_rows_as_before, "sensitivity"),
}

HONEST = {
    step_release: noisy_sum,
    tiny_loop: noisy_sum,
    ahead: NormalsAhead,
    count_release: release_counts,
    levels: discover_levels,
    clipped_sum: UnitClipper,
    poisoned_sum: UnitClipper,
    row_loss: rigs.linear_loss,
    sampler: lambda: poisson_sample,
    sampler_in_the_loop: lambda: poisson_sample,
    trainer: train,
    loop_replay: dict,
    pair_loss: PairLoss,
    pair_clipper: UnitClipper,
    adversarial_fit: DPCTGAN,
    codec: Codec.fit,
    loader: load,
    trial_count_of: trial_count,
    score: TwoWayScore,
    score_of_neighbours: TwoWayScore,
    search: TwoWayScore,
    ensemble: Teachers,
    vote_release: release_margins,
    vote_fit: PATEGAN,
}


@pytest.mark.parametrize("name", sorted(TWINS))
def test_the_twin_is_caught(name: str) -> None:
    twin = TWINS[name]
    failed = {result.name for result in twin.bench(twin.part) if not result.passed}
    assert twin.caught_by in failed


@pytest.mark.parametrize("bench", HONEST, ids=lambda bench: bench.__name__)
def test_the_real_part_passes_the_same_checks(bench: Callable) -> None:
    assert [result for result in bench(HONEST[bench]) if not result.passed] == []


def test_every_bench_has_a_twin_and_a_real_part() -> None:
    assert {twin.bench for twin in TWINS.values()} == set(HONEST)


def test_the_pitfalls_page_names_what_exists() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    files = {path.name: path.read_text(encoding="utf-8") for path in root.glob("tests/**/*.py")}
    named = re.findall(r"(test_\w+\.py)::(test_\w+)", page)
    assert len(named) > 50
    assert [pair for pair in named if f"def {pair[1]}(" not in files.get(pair[0], "")] == []
    twins = [name for group in re.findall(r"; twins? ([^|;]+)", page) for name in group.split(",")]
    assert sorted(name.strip(" *") for name in twins) == sorted(TWINS)
