"""The real mechanisms are what they say they are.

Every statistical result fails a correct mechanism with probability 1e-6. There are about forty of
them, so that the file fails by chance less than once in ten thousand runs. That the same checks do
fail on wrong mechanisms is shown in ``tests/broken``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from unittest import mock

import numpy as np
import pytest
import torch

import dpsynth as dp
from dpsynth.counts import histogram_event
from dpsynth.errors import UsageError
from dpsynth.neural.autoregressive import AutoregressiveSettings, DPAutoregressive
from dpsynth.neural.base import DPSGDSettings, DPSGDSynthesizer
from dpsynth.neural.clipping import SLACK
from dpsynth.neural.dpsgd import GRID, poisson_sample
from dpsynth.neural.vae import DPVAE, VAESettings
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PrivacyUnit, PrivateSelection
from dpsynth.scoring import TwoWayScore
from dpsynth.selection import trial_count
from dpsynth.synthesizer import candidate_plan
from privacy_audits.conformance import (
    Conformance,
    CoupledNoise,
    Tape,
    cancelling_units,
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
from tests.conftest import BUDGET, open_ledger, patients_schema
from tests.privacy_audits import rigs, voting_rigs

QUERIES = {"zeros": np.zeros(10_000), "large": np.linspace(-1e4, 1e4, 10_000).round()}
SOURCES = {"entropy": NoiseSource.from_entropy, "seeded": lambda: NoiseSource.seeded(4)}


def holds(*results: Conformance) -> None:
    for result in results:
        assert result.passed, result


# -- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", sorted(SOURCES))
@pytest.mark.parametrize("query", sorted(QUERIES))
def test_noise_of_a_step_is_gaussian_on_the_grid(query: str, source: str) -> None:
    exact = QUERIES[query] + 1 / 3
    release = rigs.sum_release(sigma=1.7, clip_norm=0.5, make=SOURCES[source])
    holds(
        noise_scale(release, exact, sigma=1.7 * 0.5),
        noise_law(release, exact, sigma=1.7 * 0.5, integer=False),
        noise_grid(release, exact, step=0.5 * GRID),
        noise_independence(release, exact),
    )


@pytest.mark.parametrize("source", sorted(SOURCES))
@pytest.mark.parametrize("query", sorted(QUERIES))
def test_noise_of_counts_is_discrete_gaussian(query: str, source: str) -> None:
    release = rigs.count_release(sigma=6.0, make=SOURCES[source])
    holds(
        noise_scale(release, QUERIES[query], sigma=6.0),
        noise_law(release, QUERIES[query], sigma=6.0, integer=True),
        noise_independence(release, QUERIES[query]),
    )


def test_counts_of_selected_levels_carry_the_booked_noise() -> None:
    exact = np.full(2000, 60.0)
    holds(noise_scale(rigs.selected_counts(), exact, sigma=rigs.SELECTION.sigma))


# -- sensitivity -----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [rigs.cubed, rigs.linear_loss])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("clip_norm", [1e-3, 1.0, 50.0])
def test_one_unit_moves_the_clipped_sum_by_at_most_the_clip_norm(
    loss: Callable, dtype: torch.dtype, rows: int, clip_norm: float
) -> None:
    units = difficult_units(np.random.default_rng(1), rows=rows, columns=5)
    query = rigs.clipped(
        rows_per_unit=rows, clip_norm=clip_norm, net=rigs.network(dtype), loss=loss
    )
    holds(sensitivity(query, removals(units), bound=clip_norm))


def test_the_clip_norm_is_reached() -> None:
    # A bound that is never approached would hide a clipper that returns nothing.
    units = [np.full((4, 5), 1e6), np.ones((4, 5))]
    result = sensitivity(rigs.clipped(rows_per_unit=4), removals(units), bound=1.0)
    assert 0.99 < result.statistic <= 1.0


def test_float32_sums_that_depend_on_the_batch_size_stay_inside_the_slack() -> None:
    # Kernels differ between batch sizes; every unit here is clipped, so that each bit counts.
    # The bound on the rounding of a norm, 2^-11, is taken off what a unit adds.
    units = list(50 * np.random.default_rng(6).standard_normal((300, 1, 5)))
    query = rigs.clipped(rows_per_unit=1, net=rigs.network(torch.float32), loss=rigs.cubed)
    pairs = [(units[: n + 1], units[:n]) for n in (1, 2, 3, 7, 16, 31, 64, 127, 255, 299)]
    result = sensitivity(query, pairs, bound=1.0)
    assert 1 - SLACK - 2**-11 - 1e-4 < result.statistic < 1 - SLACK / 2


@pytest.mark.parametrize("size", [1.0, 1e6, 1e12])
def test_rows_of_a_unit_that_cancel_move_the_sum_by_at_most_the_clip_norm(size: float) -> None:
    units = cancelling_units(np.random.default_rng(2), columns=5, size=size, count=60)
    # A single layer without bias: nothing but the cancelling part adds to the norm.
    net = torch.nn.Linear(5, 1, bias=False)
    query = rigs.clipped(rows_per_unit=2, net=net)
    pairs = [([unit], []) for unit in units]
    holds(sensitivity(lambda table: query(table) if table else np.zeros(5), pairs, bound=1.0))


def test_tiny_gradients_of_huge_activations_are_clipped_too() -> None:
    unit = np.full((1, 4), 5e18)
    query = rigs.clipped(
        rows_per_unit=1,
        clip_norm=1e-3,
        net=torch.nn.Linear(4, 64, bias=False),
        loss=lambda net, rows: 2e-23 * net(rows).sum(1),
    )
    holds(sensitivity(lambda rows: query([rows]) if rows.size else np.zeros(256),
                      [(unit, unit[:0])], bound=1e-3))  # fmt: skip


@pytest.mark.parametrize(("rows", "awkward_rows"), [(1, 1), (3, 1), (3, 3), (3, 9)])
def test_one_unit_moves_the_loaded_table_by_at_most_its_rows(rows: int, awkward_rows: int) -> None:
    schema = patients_schema(id="patient", max_rows=rows)
    more, less = rigs.one_more_patient(awkward_rows)
    if rows == 1:
        more, less = (frame.drop_duplicates("patient") for frame in (more, less))
    result = sensitivity(rigs.rows_by_unit(schema), [(more, less)], bound=rows, order=1)
    holds(result)
    assert result.statistic == min(rows, awkward_rows) / rows


# -- sampling --------------------------------------------------------------------------------------


def test_the_sampler_is_poisson() -> None:
    rng = NoiseSource.from_entropy().generator
    holds(
        *poisson_sampler(
            lambda: poisson_sample(1000, 0.05, rng), units=1000, probability=0.05, rounds=400
        )
    )


@pytest.mark.parametrize("rows", [1, 3])
def test_the_loop_draws_poisson_samples_of_units(rows: int) -> None:
    run = rigs.loop(units=500, probability=0.05, steps=200, width=2, rows_per_unit=rows)
    batches = iter(run.batches)
    holds(*poisson_sampler(lambda: next(batches), units=500, probability=0.05, rounds=200))


# -- the loop --------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [3, 400])
def test_every_booked_step_is_noised_also_with_empty_samples(units: int) -> None:
    run = rigs.loop(units=units, probability=0.01, steps=50, width=400)
    noise = np.concatenate(run.released)
    zeros = np.zeros(noise.size)
    holds(
        event_equality([run.planned], [run.taken]),
        noise_in_every_step(run.released, steps=50),
        noise_scale(lambda exact: exact + noise, zeros, sigma=1.5),
        noise_law(lambda exact: exact + noise, zeros, sigma=1.5, integer=False),
    )
    released = iter(run.released)
    holds(noise_independence(lambda exact: exact + next(released), np.zeros(400)))


def test_the_loop_tells_nothing_but_its_releases() -> None:
    units = difficult_units(np.random.default_rng(3), rows=4, columns=5)
    for q in (0.3, 1.0):
        run = rigs.train_run(probability=q, rows_per_unit=4)
        for left_out in range(len(units)):
            holds(replay(run, units, [*units[:left_out], *units[left_out + 1 :]]))
        holds(replay(run, units[:1], []))


def test_all_steps_together_move_by_what_the_event_says() -> None:
    units = difficult_units(np.random.default_rng(3), rows=4, columns=5)
    run = rigs.train_run(probability=1.0, sigma=1.2, steps=6, rows_per_unit=4)
    moved = [
        transcript_sensitivity(run, units, [*units[:i], *units[i + 1 :]], bound=np.sqrt(6) / 1.2)
        for i in range(len(units))
    ]
    holds(*moved)
    assert max(result.statistic for result in moved) > 0.99


# -- counts and codec ------------------------------------------------------------------------------


@pytest.mark.parametrize("newcomer", [["x"], ["x"] * 4, ["x", "y", "z", "w"], ["x", "x", "x", "y"]])
def test_a_level_of_one_unit_is_hardly_ever_shown(newcomer: list[str]) -> None:
    holds(
        selection_failure(rigs.select(), ["common"] * 50, newcomer, failure_delta=0.05, rounds=300)
    )


@pytest.mark.parametrize("discover", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_codec_tells_nothing_but_its_releases(
    unit_schema: dp.Schema, rows: int, discover: bool
) -> None:
    schema = rigs.discovering(unit_schema) if discover else unit_schema
    pair = rigs.one_more_patient(rows)
    run = rigs.codec_run(schema)
    holds(replay(run, *pair), replay(run, *reversed(pair)))


@pytest.mark.parametrize("discover", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_all_counts_together_move_by_what_the_events_say(
    unit_schema: dp.Schema, rows: int, discover: bool
) -> None:
    schema = rigs.discovering(unit_schema) if discover else unit_schema
    result = transcript_sensitivity(
        rigs.codec_run(schema),
        *rigs.one_more_patient(rows),
        bound=rigs.plan_bound(rigs.codec_plan(schema)),
    )
    holds(result)
    assert result.statistic > 0.1


def test_replacing_a_unit_is_what_replace_one_declares(unit_schema: dp.Schema) -> None:
    unit = PrivacyUnit(column="patient", max_rows=3, relation="replace_one")  # type: ignore[arg-type]
    event = histogram_event(sigma=1.0, histograms=1, unit=unit)
    old, new = {"a": 3.0}, {"b": 3.0}
    bound = np.sqrt(event.count) * event.sensitivity
    result = sensitivity(lambda counts: counts, [(old, new)], bound=float(bound))
    assert result.statistic == pytest.approx(1.0)


SMALL: dict[str, tuple[type[DPSGDSynthesizer], DPSGDSettings]] = {
    "dp-vae": (DPVAE, VAESettings(steps=8, hidden=8, latent=3, sampling_probability=0.2)),
    "dp-autoregressive": (
        DPAutoregressive,
        AutoregressiveSettings(steps=8, hidden=8, sampling_probability=0.2),
    ),
    "dp-autoregressive, linear": (
        DPAutoregressive,
        AutoregressiveSettings(steps=8, hidden=0, sampling_probability=0.2),
    ),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_whole_fit_tells_nothing_but_its_releases(unit_schema: dp.Schema, name: str) -> None:
    method, settings = SMALL[name]
    plan = rigs.neural_plan(unit_schema, settings, method.method)

    def run(frame: object, tape: Tape) -> Mapping[str, object]:
        model = method(unit_schema, settings=settings)
        parts = {"noisy_sum": rigs.taped_sums(tape)}
        given = mock.patch.object(method, "plan", return_value=plan)
        with rigs.taped_codec(tape), rigs.exchanged(parts), given:
            model.fit(
                frame,  # type: ignore[arg-type]
                budget=BUDGET,
                ledger=open_ledger(unit_schema),
                dataset="patients",
                noise=CoupledNoise(seed=2),
            )
        return rigs.fit_facts(model)

    holds(replay(run, *rigs.one_more_patient(9)))


# -- critic and generator --------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.01, 1.0, 1e4])
@pytest.mark.parametrize("rows", [1, 3])
def test_one_unit_with_its_partners_moves_the_sum_by_at_most_the_clip_norm(
    rows: int, scale: float
) -> None:
    units = rigs.pair_units(np.random.default_rng(5), rows=rows, count=12)
    query = rigs.pair_sum(rows_per_unit=rows, scale=scale)
    # The last one meets other draws for every number of units before it.
    result = sensitivity(query, [(units[n:], units[n:-1]) for n in range(12)], bound=1.0)
    holds(result)
    assert scale == 0.01 or result.statistic > 0.99


def test_a_whole_adversarial_fit_tells_nothing_but_its_releases(unit_schema: dp.Schema) -> None:
    holds(replay(rigs.ctgan_run(unit_schema), *rigs.one_more_patient(9)))


# -- teachers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("teachers", [1, 5, 100])
def test_one_unit_touches_one_teacher_in_all_rounds(rows: int, teachers: int) -> None:
    pairs = voting_rigs.adversarial_pairs(rows)
    result = touched_teachers(voting_rigs.ballots(teachers=teachers), pairs)
    holds(result)
    assert result.statistic == 1.0


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("teachers", [1, 5, 100])
def test_one_unit_moves_all_votes_by_what_the_event_says(rows: int, teachers: int) -> None:
    pairs = voting_rigs.adversarial_pairs(rows)
    result = sensitivity(voting_rigs.margins(teachers=teachers), pairs, bound=np.sqrt(60))
    holds(result)
    assert result.statistic > 0.9


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize(("relation", "sigma"), [("add_remove", 12.0), ("replace_one", 24.0)])
def test_noise_of_votes_is_the_booked_one(
    query: np.ndarray, make: Callable, relation: str, sigma: float
) -> None:
    release = voting_rigs.vote_release(multiplier=12.0, relation=relation, make=make)
    # Rounding to whole votes adds a twelfth to the variance.
    holds(
        noise_scale(release, query, sigma=np.sqrt(sigma**2 + 1 / 12)),
        noise_grid(release, query, step=1.0),
        noise_independence(release, query),
    )


def test_a_whole_fit_of_teachers_tells_nothing_but_its_releases() -> None:
    for pair in (rigs.one_more_patient(9), rigs.one_more_patient(1)):
        holds(replay(voting_rigs.vote_fit(), *pair), replay(voting_rigs.vote_fit(), *pair[::-1]))


def test_all_votes_and_counts_together_move_by_what_the_events_say() -> None:
    plan = voting_rigs.vote_plan()
    result = transcript_sensitivity(
        voting_rigs.vote_fit(plan=plan),
        *rigs.one_more_patient(9),
        bound=voting_rigs.vote_bound(plan),
    )
    holds(result)
    assert result.statistic > 0.1
    holds(event_equality(*([event] for event in voting_rigs.released_votes())))


# -- private selection -----------------------------------------------------------------------------


def test_the_number_of_trials_follows_the_booked_law() -> None:
    event = rigs.search_plan(patients_schema(), TwoWayScore()).mechanisms[0]
    assert isinstance(event, PrivateSelection)
    holds(trial_numbers(rigs.trial_numbers_of(trial_count), event, rounds=1500))


def test_scores_carry_the_booked_noise() -> None:
    release = rigs.score_release(TwoWayScore(), sigma=30.0)
    exact = np.linspace(0, 5000, 500).round()
    holds(noise_scale(release, exact, sigma=30.0))
    holds(noise_law(release, exact, sigma=30.0, integer=True))


@pytest.mark.parametrize("target", [0.0, 240.0])
def test_one_unit_moves_a_score_by_what_its_event_says(
    unit_schema: dp.Schema, target: float
) -> None:
    score = TwoWayScore()
    bound = score.event(unit_schema, noise_multiplier=1.0).sensitivity
    pairs = [rigs.one_more_patient(rows) for rows in (1, 3, 9)]
    holds(sensitivity(rigs.exact_score(score, unit_schema, rows=target), pairs, bound=bound))


def test_a_whole_search_tells_nothing_but_its_releases(unit_schema: dp.Schema) -> None:
    holds(replay(rigs.search_run(unit_schema), *rigs.one_more_patient(9)))


def test_one_trial_moves_by_what_its_events_say(unit_schema: dp.Schema) -> None:
    plan = candidate_plan(rigs.search_plan(unit_schema, TwoWayScore()), 0)
    holds(
        transcript_sensitivity(
            rigs.search_run(unit_schema, trials=1),
            *rigs.one_more_patient(9),
            bound=rigs.plan_bound(plan),
        )
    )


# -- the checks themselves -------------------------------------------------------------------------


def test_checks_without_power_are_refused() -> None:
    with pytest.raises(UsageError, match="too few units"):
        poisson_sampler(lambda: [], units=10, probability=0.05, rounds=10)
    with pytest.raises(UsageError, match="too few draws"):
        noise_law(lambda x: x, np.zeros(5), sigma=1.0, integer=False)
    with pytest.raises(UsageError, match="sigma = 1"):
        noise_scale(rigs.count_release(sigma=0.5), np.zeros(100), sigma=0.5)


def test_p_values_are_uniform_for_the_right_mechanism() -> None:
    rng = np.random.default_rng(0)

    def release(exact: np.ndarray) -> np.ndarray:
        return exact + rng.standard_normal(exact.size)

    def sample() -> np.ndarray:
        return np.flatnonzero(rng.random(300) < 0.1)

    runs = 200
    p_values = {"scale": [], "law": [], "independence": [], "inclusions": [], "sizes": []}
    for _ in range(runs):
        p_values["scale"].append(noise_scale(release, np.zeros(500), sigma=1.0).p_value)
        p_values["law"].append(noise_law(release, np.zeros(500), sigma=1.0, integer=False).p_value)
        p_values["independence"].append(noise_independence(release, np.zeros(500)).p_value)
        inclusions, sizes, _ = poisson_sampler(sample, units=300, probability=0.1, rounds=60)
        p_values["inclusions"].append(inclusions.p_value)
        p_values["sizes"].append(sizes.p_value)
    for name, values in p_values.items():
        for level in (0.05, 0.5):
            # Binomial, 6 standard errors; independence adds up three bounds and may be rarer.
            slack = 6 * np.sqrt(level * (1 - level) / runs)
            share = np.mean(np.array(values) < level)
            assert share < level + slack, name
            assert share > level - slack or name == "independence", name


def test_a_tape_gives_its_answers_again_and_shows_nothing() -> None:
    recorded = Tape()
    assert recorded.answer([1.0], lambda: 7.0, sigma=1.0) == 7.0
    played = Tape(recorded)
    assert played.answer([2.0], lambda: 9.0, sigma=1.0) == 7.0
    assert played.answer([2.0], lambda: 9.0, sigma=1.0) == 9.0
    assert repr(played) == "Tape(...)"


def test_coupled_noise_gives_the_other_units_the_same_coins() -> None:
    a, b = CoupledNoise(seed=1), CoupledNoise(seed=1)
    assert np.array_equal(a.generator.random(10), b.generator.random(11)[:10])
    assert a.public_seed() == b.public_seed()
    assert not np.array_equal(a.generator.random(10), a.generator.random(10))
    assert not a.releasable
