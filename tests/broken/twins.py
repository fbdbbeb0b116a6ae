"""The mutation matrix: every broken twin, the bench it is put on, and the check that kills it.

Data only. ``test_suite_catches_them.py`` and :mod:`tests.broken.matrix` read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.broken import (
    accounting,
    adversarial,
    bounding,
    clipping,
    copying,
    counting,
    keys,
    noise,
    sampling,
    selecting,
    training,
    voting,
)
from tests.broken import choosing as mst
from tests.broken.benches import (
    Bench,
    accounts,
    bounds,
    choosing,
    fits,
    loops,
    releases,
    sums,
    tables,
)


@dataclass(frozen=True)
class Twin:
    """A broken part, the mutant it belongs to, its bench and the check that must see it."""

    mutant: str
    bench: Bench
    part: Any
    caught_by: str


BEYOND = "beyond"
"""Twins of mistakes that are not on the list M1–M18."""

MUTANTS = {
    "M1": "Half of the noise, for sums, counts, levels and votes",
    "M2": "Nine tenths of the noise",
    "M3": "No clipping, or clipping of something else than what one unit adds",
    "M4": "Gradients that are not finite pass the clipping",
    "M5": "Shuffled or fixed batches, booked as Poisson samples",
    "M6": "Another rate or number of steps is charged than runs",
    "M7": "Realised batch sizes, batch normalisation, packing",
    "M8": "Training by sampling: exact frequencies, rows picked by category",
    "M9": "Bounds, categories, modes or sizes read off the rows",
    "M10": "Noise that is not split over histograms or marginals",
    "M11": "Exponential mechanism: sensitivity, the missing half, an exact total",
    "M12": "Something is spent that is not charged, or spent twice",
    "M13": "Errors of public implementations of PATE-GAN",
    "M14": "Early stopping, choice of a model, learning rate by a loss that is not private",
    "M15": "Noise that repeats or that others can draw",
    "M16": "The generator learns from what was not noised",
    "M17": "Copies of rows in the synthetic table",
    "M18": "Estimators of leakage that say too much",
    BEYOND: "Beyond the list",
}

TWINS: dict[str, Twin] = {
    "noise x0.5": Twin("M1", releases.step_release, noise.half_noise, "noise scale"),
    "noise x0.5 in whole fits": Twin(
        "M1", fits.audited, noise.half_noise_everywhere, "event == charge"
    ),
    "counts: noise x0.5": Twin(
        "M1", releases.count_release, noise.half_noise_on_counts, "noise scale"
    ),
    "levels: noise x0.5": Twin("M1", releases.levels, counting.half_noise_on_levels, "noise scale"),
    "votes: noise x0.5": Twin(
        "M1", releases.vote_release, voting.half_noise_on_votes, "noise scale"
    ),
    "noise x0.9": Twin("M2", releases.step_release, noise.nine_tenths_of_the_noise, "noise scale"),
    "counts: noise x0.9": Twin(
        "M2", releases.count_release, noise.nine_tenths_on_counts, "noise scale"
    ),
    "votes: noise x0.9": Twin(
        "M2", releases.vote_release, voting.nine_tenths_on_votes, "noise scale"
    ),
    "no clipping": Twin("M3", sums.clipped_sum, clipping.NoClipping, "sensitivity"),
    "no clipping in the loop": Twin(
        "M3",
        loops.loop_replay,
        lambda: {"UnitClipper": clipping.NoClipping},
        "transcript sensitivity",
    ),
    "clip after the mean": Twin("M3", sums.clipped_sum, clipping.ClipsAfterTheMean, "sensitivity"),
    "clip the batch": Twin("M3", sums.clipped_sum, clipping.ClipsTheBatch, "sensitivity"),
    "clip per layer": Twin("M3", sums.clipped_sum, clipping.ClipsEveryLayer, "sensitivity"),
    "clip per row": Twin("M3", sums.clipped_sum, clipping.ClipsEveryRow, "sensitivity"),
    "row and partner clipped apart": Twin(
        "M3", sums.pair_clipper, adversarial.ClipsRowAndPartnerApart, "sensitivity"
    ),
    "all rows of a unit": Twin(
        "M3", fits.loader, counting.all_rows_of_a_unit, "transcript sensitivity"
    ),
    "NaN passes": Twin("M4", sums.poisoned_sum, clipping.LetsNaNPass, "sensitivity"),
    "infinity times zero": Twin("M4", sums.poisoned_sum, clipping.MultipliesByZero, "sensitivity"),
    "shuffled": Twin("M5", loops.sampler, sampling.Shuffled, "sampler: inclusions"),
    "fixed size": Twin("M5", loops.sampler, sampling.FixedSize, "sampler: batch sizes"),
    "in groups": Twin("M5", loops.sampler, sampling.InGroups, "sampler: batch sizes"),
    "batches used twice": Twin("M5", loops.sampler, sampling.UsedTwice, "sampler: inclusions"),
    "shuffled in the loop": Twin(
        "M5", loops.sampler_in_the_loop, sampling.Shuffled, "sampler: inclusions"
    ),
    "fixed size in the loop": Twin(
        "M5", loops.sampler_in_the_loop, sampling.FixedSize, "sampler: batch sizes"
    ),
    "rate x1.1": Twin("M6", loops.sampler, sampling.RateTooHigh, "sampler: rate"),
    "one step more": Twin("M6", loops.trainer, training.one_step_more, "noise in every step"),
    "another event": Twin("M6", loops.trainer, training.another_event, "event equality"),
    "price: half the rate": Twin("M6", accounts.costs, accounting.half_rate, "accounts: attained"),
    "price: epochs for steps": Twin(
        "M6", accounts.costs, accounting.epochs_for_steps, "accounts: attained"
    ),
    "price: counts charged once": Twin(
        "M6", accounts.costs, accounting.counts_charged_once, "accounts: attained"
    ),
    "mean over the realised batch": Twin(
        "M7", sums.clipped_sum, clipping.AveragesOverTheBatch, "sensitivity"
    ),
    "divisor from the batch": Twin("M7", loops.loop_replay, training.realised_divisor, "replay"),
    "batch statistics": Twin("M7", sums.row_loss, clipping.centred_loss, "sensitivity"),
    "batch norm in the critic": Twin(
        "M7", sums.pair_loss, adversarial.BatchNormalised, "sensitivity"
    ),
    "packed rows": Twin("M7", sums.pair_loss, adversarial.Packed, "sensitivity"),
    "conditions from exact counts": Twin(
        "M8", fits.adversarial_fit, adversarial.ExactConditions, "replay"
    ),
    "rows picked by category": Twin(
        "M8", fits.adversarial_sampler, adversarial.PicksRowsByCategory, "sampler: inclusions"
    ),
    "bounds from the data": Twin("M9", fits.codec, counting.bounds_from_the_data, "replay"),
    "categories from the data": Twin("M9", fits.codec, counting.categories_from_the_data, "replay"),
    "modes from the data": Twin("M9", fits.codec, counting.modes_from_the_data, "replay"),
    "tree: known total": Twin("M9", choosing.mst_fit, mst.KnownTotal, "replay"),
    "tree: groups by exact counts": Twin("M9", choosing.mst_fit, mst.GroupsByExactCounts, "replay"),
    "exact number of rows": Twin("M9", fits.codec, counting.exact_number_of_rows, "replay"),
    "table of a round size": Twin(
        "M9", fits.loader, counting.as_many_rows_as_before, "sensitivity"
    ),
    "levels: no threshold": Twin("M9", releases.levels, counting.no_threshold, "selection failure"),
    "levels: threshold before noise": Twin(
        "M9", releases.levels, counting.threshold_on_exact_counts, "selection failure"
    ),
    "levels: threshold for one row": Twin(
        "M9", releases.levels, counting.threshold_for_one_row, "selection failure"
    ),
    "teachers: as many as rows allow": Twin(
        "M9", fits.vote_fit, voting.TeachersFromTheRows, "replay"
    ),
    "counts: noise not split": Twin(
        "M10", fits.codec, counting.whole_noise_for_each, "cost == charge"
    ),
    "tables: noise not split": Twin(
        "M10", choosing.mst_fit, mst.TablesWithUnsplitNoise, "cost == charge"
    ),
    "score: noise for one marginal": Twin(
        "M10", choosing.score_of_neighbours, selecting.OneMarginal, "sensitivity"
    ),
    "choice: sensitivity of one row": Twin(
        "M11", choosing.choice, mst.sensitivity_of_one_row, "exponential ratios"
    ),
    "choice: rows that leave forgotten": Twin(
        "M11", choosing.choice, mst.sensitivity_of_arriving_rows, "exponential ratios"
    ),
    "choice: a squared score": Twin(
        "M11", choosing.choice, mst.squared_score, "exponential ratios"
    ),
    "tree: the best one": Twin("M11", choosing.mst_fit, mst.BestTree, "event == charge"),
    "choice: half missing": Twin("M11", choosing.choice, mst.missing_half, "exponential ratios"),
    "choice: exact total": Twin("M11", choosing.choice, mst.exact_total, "exponential ratios"),
    "choice: another law": Twin(
        "M11", choosing.choice, mst.draws_sharper_than_stated, "selection frequencies"
    ),
    "choice: the best wins": Twin(
        "M11", choosing.choice, mst.takes_the_best, "selection frequencies"
    ),
    "score: noise for one row": Twin(
        "M11", choosing.score_of_neighbours, selecting.OneRowPerUnit, "sensitivity"
    ),
    "choice not booked": Twin("M12", choosing.mst_fit, mst.ChoiceNotBooked, "event == charge"),
    "price: choice left out": Twin(
        "M12", accounts.costs, accounting.choice_left_out, "accounts: attained"
    ),
    "counts: bought twice": Twin("M12", fits.codec, counting.bought_twice, "cost == charge"),
    "tables: bought twice": Twin("M12", choosing.mst_fit, mst.TablesBoughtTwice, "cost == charge"),
    "two steps booked as one": Twin(
        "M12", loops.trainer, adversarial.two_steps_booked_as_one, "noise in every step"
    ),
    "votes: unpaid last round": Twin(
        "M12", fits.vote_fit, voting.UnpaidLastRound, "event equality"
    ),
    "trials: a fixed number": Twin(
        "M12", choosing.trial_count_of, selecting.fixed_number, "number of trials"
    ),
    "trials: cut off": Twin("M12", choosing.trial_count_of, selecting.cut_off, "number of trials"),
    "teachers: sample the whole table": Twin(
        "M13", fits.ensemble, voting.SampleTheWholeTable, "touched teachers"
    ),
    "teachers: dealt anew every round": Twin(
        "M13", fits.ensemble, voting.DealtAnewEveryRound, "touched teachers"
    ),
    "teachers: one part for all": Twin(
        "M13", fits.ensemble, voting.OneTeacherForAll, "touched teachers"
    ),
    "teachers: dealt by position": Twin(
        "M13", fits.ensemble, voting.DealtByPosition, "touched teachers"
    ),
    "teachers: dealt in blocks": Twin(
        "M13", fits.ensemble, voting.DealtInBlocks, "touched teachers"
    ),
    "teachers: rows instead of units": Twin(
        "M13", fits.ensemble, voting.RowsInsteadOfUnits, "touched teachers"
    ),
    "teachers: counts instead of votes": Twin(
        "M13", fits.ensemble, voting.CountsInsteadOfVotes, "sensitivity"
    ),
    "votes: noise on labels": Twin(
        "M13", releases.vote_release, voting.noise_on_labels, "noise scale"
    ),
    "votes: wrong lambda": Twin(
        "M13", accounts.plans, {"pate-gan": accounting.WrongLambda}, "accounts: attained"
    ),
    "votes: lambda for one vote": Twin(
        "M13", accounts.plans, {"pate-gan": accounting.LambdaForOneVote}, "accounts: attained"
    ),
    "price: votes at half": Twin(
        "M13", accounts.costs, accounting.votes_at_half_their_price, "accounts: attained"
    ),
    "moments: no logarithm": Twin(
        "M13", accounts.moments, accounting.moments_without_log, "vote moments"
    ),
    "moments: a slipped bracket": Twin(
        "M13", accounts.moments, accounting.moments_with_a_slipped_bracket, "vote moments"
    ),
    "stops early": Twin("M14", loops.course_replay, training.stops_early, "replay"),
    "keeps the best": Twin("M14", loops.course_replay, training.keeps_the_best, "replay"),
    "rate by the loss": Twin("M14", loops.course_replay, training.rate_by_the_loss, "replay"),
    "best by the exact score": Twin(
        "M14", choosing.search, selecting.RanksByTheExactError, "replay"
    ),
    "score: no noise": Twin("M14", releases.score, selecting.BareScore, "noise scale"),
    "published seed": Twin("M15", fits.fit_twice, keys.published_seed, "noise reuse"),
    "published seed in the loop": Twin("M15", loops.loop_twice, keys.published_seed, "noise reuse"),
    "one key for all primitives": Twin("M15", fits.fit_twice, keys.OneKeyForAll, "noise reuse"),
    "fixed seed": Twin(
        "M15", releases.step_release, noise.same_noise_in_every_release, "noise independence"
    ),
    "fixed seed in the loop": Twin(
        "M15", loops.tiny_loop, noise.same_noise_in_every_release, "noise independence"
    ),
    "counts: fixed seed": Twin(
        "M15", releases.count_release, noise.same_noise_on_every_histogram, "noise independence"
    ),
    "votes: fixed seed": Twin(
        "M15", releases.vote_release, voting.same_noise_on_every_vote, "noise independence"
    ),
    "one draw for all": Twin(
        "M15", releases.step_release, noise.one_draw_for_all_coordinates, "noise independence"
    ),
    "normals drawn ahead once": Twin("M15", loops.ahead, noise.DrawnOnce, "noise independence"),
    "generator follows a bare critic": Twin(
        "M16", fits.adversarial_fit, adversarial.FollowsABareCritic, "replay"
    ),
    "as many generated as sampled": Twin(
        "M16", fits.adversarial_fit, adversarial.GeneratesAsManyAsWereSampled, "replay"
    ),
    "one stream for all": Twin("M16", fits.adversarial_fit, adversarial.OneStreamForAll, "replay"),
    "student sees rows": Twin("M16", fits.vote_fit, voting.StudentSeesRows, "replay"),
    "near copies": Twin("M17", tables.released_table, copying.five_percent_near_copies, "copies"),
    "copies of outliers": Twin(
        "M17", tables.released_table, copying.one_percent_outlier_copies, "copies"
    ),
    "smoothed bootstrap": Twin("M17", tables.released_table, copying.smoothed_bootstrap, "attacks"),
    "over-fitted generator": Twin(
        "M17", tables.released_table, copying.memorising_chain, "attacks"
    ),
    "bounds: level not halved": Twin(
        "M18", bounds.estimators, bounding.LEVEL_NOT_HALVED, "coverage"
    ),
    "bounds: swapped arguments": Twin(
        "M18", bounds.estimators, bounding.SWAPPED_ARGUMENTS, "bound below point"
    ),
    "bounds: threshold on the same scores": Twin(
        "M18", bounds.estimators, bounding.THRESHOLD_ON_THE_SAME_SCORES, "coverage of a choice"
    ),
    "noise x2": Twin(BEYOND, releases.step_release, noise.double_noise, "noise scale"),
    "noise cut off": Twin(BEYOND, releases.step_release, noise.noise_cut_off, "noise law"),
    "noise off the grid": Twin(
        BEYOND, releases.step_release, noise.noise_off_the_grid, "noise grid"
    ),
    "no noise on empty batches": Twin(
        BEYOND, loops.tiny_loop, noise.no_noise_on_empty_batches, "noise in every step"
    ),
    "counts: zero cells bare": Twin(
        BEYOND, releases.count_release, noise.zero_cells_stay_zero, "noise scale"
    ),
    "counts: another law": Twin(
        BEYOND, releases.count_release, noise.laplace_on_counts, "noise law"
    ),
    "votes: clear ones free": Twin(
        BEYOND, releases.vote_release, voting.free_answers, "noise scale"
    ),
}
