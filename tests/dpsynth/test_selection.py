"""Private selection: its price, its life in a ledger, and what leaves a search."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from dp_accounting import dp_event
from dp_accounting.rdp import RdpAccountant
from scipy import optimize, special

import dpsynth as dp
from dpsynth import selection
from dpsynth.codec import CodecSettings
from dpsynth.errors import BudgetError, DataError, IntegrityError, UsageError
from dpsynth.filters import zcdp_rho
from dpsynth.identity import CustodianKey, content_hmac
from dpsynth.ledger.pricing import composed_epsilon, price
from dpsynth.losses import ORDERS, is_exact, renyi, sum_renyi
from dpsynth.neural.vae import VAESettings
from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    ZCDP,
    Gaussian,
    Laplace,
    Mechanism,
    PartitionSelection,
    Plan,
    PlannedCharge,
    PoissonSampledGaussian,
    PrivacyUnit,
    PrivateSelection,
    mechanism_from_spec,
)
from dpsynth.scoring import TwoWayScore
from dpsynth.selection import PrivateSearch, Trial, best_of
from dpsynth.synthesizer import candidate_plan, plan_from_spec
from tests.conftest import BUDGET, open_ledger, patients_schema

SCORE = TwoWayScore(sample_rows=300)
DP_SGD = PoissonSampledGaussian(
    relation="add_remove", noise_multiplier=1.5, sampling_probability=0.01, steps=1000
)
MARGINAL = Gaussian(relation="add_remove", noise_multiplier=8.0)
DISCOVERY = PartitionSelection(relation="add_remove", sigma=20.0, failure_delta=1e-7)


def best(*candidates: tuple[Mechanism, ...], **law: float) -> PrivateSelection:
    return PrivateSelection(
        relation="add_remove", candidates=candidates, **{"mean_trials": 10.0, **law}
    )


def library(event: dp_event.DpEvent, *, mean: float, shape: float) -> float:
    accountant = RdpAccountant(orders=ORDERS.tolist())
    accountant.compose(dp_event.RepeatAndSelectDpEvent(event, mean, shape))
    return accountant.get_epsilon(1e-5)


def search(schema: dp.Schema, **law: float) -> PrivateSearch:
    return PrivateSearch(
        [
            dp.Independent(schema),
            dp.Independent(schema, codec=CodecSettings(numeric_codes=6)),
        ],
        score=SCORE,
        **{"mean_trials": 4.0, **law},
    )


# -- price -----------------------------------------------------------------------------------------


def test_price_is_the_published_one() -> None:
    assert dp.Accountant([DP_SGD]).rdp_epsilon(1e-5) == pytest.approx(1.013, abs=5e-4)
    for shape, published in ((1.0, 2.133), (0.0, 1.779)):
        accountant = dp.Accountant([best((DP_SGD,), shape=shape)])
        assert accountant.rdp_epsilon(1e-5) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("mean", [1.5, 10.0, 300.0])
@pytest.mark.parametrize("shape", [0.0, 0.5, 1.0, 4.0])
def test_price_agrees_with_the_library(shape: float, mean: float) -> None:
    ours = dp.Accountant([best((MARGINAL, DP_SGD), mean_trials=mean, shape=shape)])
    event = dp_event.ComposedDpEvent(
        [
            dp_event.GaussianDpEvent(8.0),
            dp_event.SelfComposedDpEvent(
                dp_event.PoissonSampledDpEvent(0.01, dp_event.GaussianDpEvent(1.5)), 1000
            ),
        ]
    )
    theirs = library(event, mean=mean, shape=shape)
    assert ours.rdp_epsilon(1e-5) == pytest.approx(theirs, rel=1e-6)


def test_price_is_the_theorem_in_closed_form_also_below_shape_zero() -> None:
    # Pure DP: â goes to infinity, and the selection costs (2 + η) ε at the order infinity.
    pure = Laplace(relation="add_remove", noise_multiplier=2.0)
    event = best((pure,), shape=-0.5, mean_trials=3.0)
    at = np.array([1e6])
    assert renyi(event, at)[0] == pytest.approx((2 - 0.5) * 0.5, rel=0.01)
    assert renyi(event, at)[0] > 1.5 * 0.5 - 0.01


def test_the_other_order_is_free_whatever_order_is_asked_for() -> None:
    event = best((DP_SGD,))
    np.testing.assert_allclose(renyi(event, ORDERS[[10, 50]]), renyi(event, ORDERS)[[10, 50]])
    whole = renyi(event, ORDERS)
    assert (np.diff(whole) >= 0).all()
    between = renyi(event, np.array([12.5]))[0]
    assert renyi(event, np.array([12.0]))[0] <= between <= renyi(event, np.array([13.0]))[0]


def test_candidates_cost_the_worst_at_every_order() -> None:
    steep, flat = (ZCDP(relation="add_remove", rho=0.05),), (DP_SGD,)
    both = renyi(best(steep, flat), ORDERS)
    alone = [renyi(best(one), ORDERS) for one in (steep, flat)]
    assert (both >= np.maximum(*alone) - 1e-12).all()
    curves = [sum_renyi(one, ORDERS) for one in (steep, flat)]
    assert not (curves[0] >= curves[1]).all()
    assert not (curves[1] >= curves[0]).all()


def test_brute_force_never_exceeds_the_price() -> None:
    """Best of K randomised responses: the law of the output in closed form."""
    law = selection.TrialLaw.of_mean(5.0, shape=0.0)
    p = np.array(law.probabilities(4000))
    powers = np.arange(1, 4001)
    epsilon = 0.8
    keep = math.exp(epsilon) / (1 + math.exp(epsilon))
    # Pure ε-DP has Rényi cost min(ε, a ε²/2); the selection shows 1 if any trial does.
    shows = {q: 1 - float(p @ (1 - q) ** powers) for q in (keep, 1 - keep)}
    gain = math.log(shows[keep] / shows[1 - keep])
    lost = math.log((1 - shows[1 - keep]) / (1 - shows[keep]))
    pure = Laplace(relation="add_remove", noise_multiplier=1 / epsilon)
    certified = renyi(best((pure,), mean_trials=5.0), np.array([1e7]))[0]
    assert epsilon < max(gain, lost) <= certified


def spread_of(x: np.ndarray, *, shape: float, mean: float) -> np.ndarray:
    """log f'(x) of the generating function f of the number of trials, γ found anew."""

    def average(log_gamma: float) -> float:
        gamma = math.exp(log_gamma)
        if shape == 0:
            return (1 / gamma - 1) / -log_gamma
        return shape * (1 - gamma) / (gamma * (1 - gamma**shape))

    gamma = math.exp(optimize.brentq(lambda at: average(at) - mean, -40, -1e-6))
    stay = 1 - gamma
    if shape == 0:
        return math.log(stay / -math.log(gamma)) - np.log1p(-stay * x)
    return math.log(shape * stay / (gamma**-shape - 1)) - (shape + 1) * np.log1p(-stay * x)


@pytest.mark.parametrize("shape", [-0.5, 0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("mean", [1.2, 5.0, 60.0])
def test_the_exact_divergence_of_the_best_of_gaussian_trials_is_below_the_price(shape, mean):
    """The largest of K normal scores has the density f'(Φ) φ: its divergence by quadrature."""
    ratios = []
    for sigma in (0.7, 2.0, 8.0):
        trial = Gaussian(relation="add_remove", noise_multiplier=sigma)
        event = best((trial,), mean_trials=mean, shape=shape)
        x = np.linspace(-14 * sigma, 14 * sigma + 1, 40_001)

        def log_density(centre, sigma=sigma, x=x):
            z = (x - centre) / sigma
            normal = -(z**2) / 2 - math.log(sigma * math.sqrt(2 * math.pi))
            return normal + spread_of(special.ndtr(z), shape=shape, mean=mean)

        one, other = log_density(0.0), log_density(1.0)
        assert np.exp(one).sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-6)
        for order in (1.5, 2.0, 4.0, 12.0, 32.0):
            exact = max(
                float(special.logsumexp(order * p - (order - 1) * q) + math.log(x[1] - x[0]))
                / (order - 1)
                for p, q in ((one, other), (other, one))
            )
            ratios.append(exact / renyi(event, np.array([order]))[0])
    assert max(ratios) <= 1
    # And the price is no number out of the air.
    assert max(ratios) > 0.2


def test_a_selection_costs_more_than_one_trial_and_less_than_all() -> None:
    one = dp.Accountant([DP_SGD]).rdp_epsilon(1e-5)
    ten = dp.Accountant([DP_SGD] * 10).rdp_epsilon(1e-5)
    assert one < dp.Accountant([best((DP_SGD,))]).epsilon(1e-5) < ten


def test_failures_are_counted_once_per_expected_trial() -> None:
    event = best((DISCOVERY, DISCOVERY), (DISCOVERY,), mean_trials=6.0)
    assert dp.Accountant([event]).failure_delta == pytest.approx(6 * 2e-7)
    twice = dataclasses.replace(event, count=2)
    assert dp.Accountant([twice]).failure_delta == pytest.approx(2 * 6 * 2e-7)
    assert math.isinf(dp.Accountant([event]).epsilon(1.1e-6))
    assert dp.Accountant([event]).epsilon(1e-5) < math.inf


def test_nested_selections_pay_for_both() -> None:
    inner = best((MARGINAL,), mean_trials=3.0)
    outer = dp.Accountant([best((inner, DISCOVERY), mean_trials=2.0)])
    assert outer.failure_delta == pytest.approx(2e-7)
    assert outer.rdp_epsilon(1e-5) > dp.Accountant([inner]).rdp_epsilon(1e-5)


# -- everything that goes over mechanisms ----------------------------------------------------------


def test_it_has_no_rho_and_no_exact_loss_distribution() -> None:
    event = best((MARGINAL,))
    assert zcdp_rho([MARGINAL, event]) is None
    assert not is_exact(event)
    ledger = dp.Ledger.in_memory(
        dataset="d", budget=BUDGET, unit=PrivacyUnit(), filter="zcdp"
    )  # fmt: skip
    with pytest.raises(BudgetError) as refusal:
        ledger.reserve(plan_of(event), dataset="d")
    assert refusal.value.code == "DPS104"


def plan_of(*mechanisms: Mechanism) -> Plan:
    charges = tuple(
        PlannedCharge(step=str(i), mechanism=mechanism) for i, mechanism in enumerate(mechanisms)
    )
    return Plan(method="test", unit=PrivacyUnit(), budget=BUDGET, charges=charges)


def test_equal_selections_in_a_ledger_are_added_up() -> None:
    event, other = best((MARGINAL, DISCOVERY)), best((MARGINAL,), shape=1.0)
    plans = {json.dumps(plan_of(event).spec()): 3, json.dumps(plan_of(other).spec()): 1}
    together = composed_epsilon(plans, delta=1e-5)
    listed = dp.Accountant([event, other, event, event])
    assert together == pytest.approx(listed.epsilon(1e-5), rel=1e-9)
    assert dp.Accountant([dataclasses.replace(event, count=3)]).rdp_epsilon(1e-5) == pytest.approx(
        dp.Accountant([event] * 3).rdp_epsilon(1e-5)
    )
    cost = price((event,), orders=(2.0, 32.0), delta=1e-5, planned_delta=1e-5)
    assert cost.measures.rho is None
    assert cost.measures.rdp == pytest.approx(tuple(renyi(event, np.array([2.0, 32.0]))))


def test_it_composes_with_exact_mechanisms() -> None:
    event = best((MARGINAL,))
    both = dp.Accountant([event, DP_SGD])
    parts = [dp.Accountant([part]).epsilon(1e-5) for part in (event, DP_SGD)]
    assert max(parts) < both.epsilon(1e-5) < both.rdp_epsilon(1e-5)


def test_specs_round_trip() -> None:
    event = best((MARGINAL, best((DP_SGD,), shape=0.3)), (DISCOVERY,), shape=-0.25)
    spec = json.loads(json.dumps(event.spec()))
    assert mechanism_from_spec(spec) == event
    assert hash(mechanism_from_spec(spec)) == hash(event)
    plan = plan_of(event)
    assert plan_from_spec(json.loads(json.dumps(plan.spec()))).digest() == plan.digest()


@pytest.mark.parametrize(
    "spoil",
    [
        {"candidates": []},
        {"candidates": [[]]},
        {"candidates": ["gaussian"]},
        {"candidates": None},
        {"candidates": [[{"kind": "gaussian", "relation": "replace_one", "noise_multiplier": 1}]]},
        {"mean_trials": 1.0},
        {"mean_trials": math.inf},
        {"shape": -1.0},
        {"shape": math.nan},
        {"count": 0},
        {"gamma": 0.5},
    ],
)
def test_malformed_descriptions_are_refused(spoil: dict) -> None:
    with pytest.raises(UsageError):
        mechanism_from_spec({**best((MARGINAL,)).spec(), **spoil})
    without = {k: v for k, v in best((MARGINAL,)).spec().items() if k != "candidates"}
    with pytest.raises(UsageError):
        mechanism_from_spec(without)


# -- the loop --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scores", [[3], [5, -2, 7, -2, 0], [1, 1, 1]])
def test_the_smallest_score_wins_and_the_first_of_equals(scores: list[int]) -> None:
    made = iter(
        Trial(candidate=at, model=None, score=score)  # type: ignore[arg-type]
        for at, score in enumerate(scores)
    )
    found = best_of(len(scores), lambda: next(made))
    assert (found.score, found.candidate) == (min(scores), scores.index(min(scores)))
    assert next(made, None) is None


# -- a whole search --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planned() -> Plan:
    return search(patients_schema()).plan(BUDGET)


def test_the_plan_meets_the_budget_with_one_charge(planned: Plan) -> None:
    (charge,) = planned.charges
    event = charge.mechanism
    assert isinstance(event, PrivateSelection)
    total = dp.Accountant([event]).certificate(BUDGET.delta)
    assert 0.98 * BUDGET.epsilon < total <= BUDGET.epsilon
    assert (event.mean_trials, event.shape) == (4.0, 0.0)
    inner = [candidate_plan(planned, index) for index in (0, 1)]
    assert inner[0].budget == inner[1].budget
    for index, plan in enumerate(inner):
        assert plan.mechanisms == event.candidates[index]
        own = [charge.mechanism for charge in plan.charges if charge.step != "score"]
        alone = dp.Accountant(own).certificate(plan.budget.delta)
        assert 0.97 * plan.budget.epsilon < alone <= plan.budget.epsilon + 1e-3


def fit(
    schema: dp.Schema, frame: pd.DataFrame, planned: Plan, ledger: dp.Ledger, **kw: object
) -> dp.Independent:
    with mock.patch.object(PrivateSearch, "plan", return_value=planned):
        return search(schema).fit(frame, budget=BUDGET, ledger=ledger, dataset="patients", **kw)


def test_a_search_is_one_charge_and_the_winner_is_saved_and_loaded(
    schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    ledger = open_ledger(schema)
    lines: list[tuple[int, int]] = []
    model = search(schema).fit(
        frame,
        budget=BUDGET,
        ledger=ledger,
        dataset="patients",
        progress=lambda done, of: lines.append((done, of)),
    )
    (charge,) = ledger.summary().to_dict()["charges"]
    assert charge["state"] == "committed"
    assert charge["plan_sha256"] == model.plan_.digest()
    assert model.privacy_["epsilon"] == charge["epsilon"] <= BUDGET.epsilon
    assert model.privacy_["releasable"]
    assert lines == [(0, 1), (1, 1)]
    won = model.privacy_["selection"]
    assert set(won) == {"candidate", "candidates", "score"}
    model.save(tmp_path / "winner")
    again = dp.load(tmp_path / "winner")
    assert again.codec_settings == model.codec_settings
    assert again.codec_settings.numeric_codes == (32, 6)[won["candidate"]]
    assert again.plan_.digest() == model.plan_.digest()
    assert again.privacy_ == model.privacy_
    pd.testing.assert_frame_equal(model.sample(40, seed=1), again.sample(40, seed=1))
    with pytest.raises(BudgetError):
        fit(schema, frame, model.plan_, ledger)


def test_a_search_takes_only_the_table_that_was_entered(
    schema: dp.Schema, frame: pd.DataFrame, planned: Plan
) -> None:
    key, ledger = CustodianKey(bytes(range(32))), open_ledger(schema)
    ledger.recognise("patients", content_hmac(frame, key))
    with pytest.raises(UsageError, match="DPS517"):
        fit(schema, frame, planned, ledger)
    with pytest.raises(IntegrityError, match="DPS616"):
        fit(schema, frame.assign(age=1), planned, ledger, key=key)
    assert {c["state"] for c in ledger.summary().to_dict()["charges"]} == {"aborted"}
    fit(schema, frame, planned, ledger, key=key)


def test_a_network_that_won_is_loaded_with_its_own_settings(
    schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    settings = VAESettings(steps=3, hidden=8, latent=3, sampling_probability=0.2)

    def calibrate(make: object, target: dp.Budget) -> float:
        del make  # the search for the right scale takes seconds
        return 5.0 / target.epsilon

    with (
        mock.patch("dpsynth.synthesizer.calibrate", calibrate),
        mock.patch("dpsynth.neural.base.calibrate", calibrate),
    ):
        model = PrivateSearch(
            [dp.DPVAE(schema, settings=settings)], score=SCORE, mean_trials=1.5
        ).fit(frame, budget=BUDGET, ledger=open_ledger(schema), dataset="patients")
    model.save(tmp_path / "winner")
    again = dp.load(tmp_path / "winner")
    assert isinstance(again, dp.DPVAE)
    assert again.settings == settings
    pd.testing.assert_frame_equal(model.sample(40, seed=1), again.sample(40, seed=1))


def test_a_grid_of_plain_fits_is_charged_fit_by_fit(schema: dp.Schema, frame: pd.DataFrame) -> None:
    ledger, each = open_ledger(schema), dp.Budget(epsilon=0.8, delta=1e-6)
    for candidate in search(schema).candidates:
        candidate.fit(frame, budget=each, ledger=ledger, dataset="patients")
    charges = ledger.summary().to_dict()["charges"]
    assert [charge["method"] for charge in charges] == ["independent", "independent"]
    assert ledger.summary().spent > 1.0


def test_the_table_is_read_once_and_only_the_best_trial_is_shown(
    schema: dp.Schema, frame: pd.DataFrame, planned: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    trials: list[Trial] = []
    real_trial, real_read = PrivateSearch._trial, selection.TableReader.read
    reads: list[int] = []

    def trial(self: PrivateSearch, *args: object) -> Trial:
        trials.append(real_trial(self, *args))  # type: ignore[arg-type]
        return trials[-1]

    def read(self: object, *args: object, **kw: object) -> object:
        reads.append(1)
        return real_read(self, *args, **kw)  # type: ignore[arg-type]

    with (
        mock.patch.object(selection, "trial_count", return_value=7),
        mock.patch.object(PrivateSearch, "_trial", trial),
        mock.patch.object(selection.TableReader, "read", read),
        caplog.at_level(0),
    ):
        noise = NoiseSource.seeded(3)
        model = fit(schema, frame, planned, open_ledger(schema), noise=noise)
    assert (len(trials), len(reads)) == (7, 1)
    assert {one.candidate for one in trials} == {0, 1}
    first = min(trials, key=lambda one: one.score)
    assert model is first.model
    assert model.privacy_["selection"]["score"] == first.score
    assert all(one.model is not model for one in trials if one is not first)
    # Identifiers and digests of the ledger are random text, in which any number may occur.
    stated = {name: fact for name, fact in model.privacy_.items() if name != "ledger"}
    shown = json.dumps([model.plan_.spec(), stated, repr(model)])
    assert not any(str(one.score) in shown for one in trials if one.score != first.score)
    assert not [record for record in caplog.records if record.name.startswith("dpsynth")]


def test_several_rows_per_unit_and_exchange(frame: pd.DataFrame) -> None:
    schema = patients_schema(id="patient", max_rows=3, relation="replace_one")
    ledger = open_ledger(schema)
    model = search(schema, mean_trials=2.0).fit(
        frame, budget=BUDGET, ledger=ledger, dataset="patients", noise=NoiseSource.seeded(1)
    )
    (event,) = model.plan_.mechanisms
    assert isinstance(event, PrivateSelection)
    assert event.candidates[0][-1].sensitivity == 2 * 21 * 3  # type: ignore[attr-defined]
    assert not model.privacy_["releasable"]


def test_over_budget_is_refused_before_the_file_is_looked_at(
    schema: dp.Schema, planned: Plan, tmp_path: Path
) -> None:
    ledger = open_ledger(schema, dp.Budget(epsilon=0.5, delta=1e-5))
    with pytest.raises(BudgetError) as refusal:
        fit(schema, tmp_path / "none.csv", planned, ledger)  # type: ignore[arg-type]
    assert refusal.value.exit_code == 4
    assert ledger.summary().charges == ()


def test_a_table_of_the_wrong_form_spends_nothing(
    schema: dp.Schema, frame: pd.DataFrame, planned: Plan
) -> None:
    ledger = open_ledger(schema)
    with pytest.raises(DataError, match="ward"):
        fit(schema, frame.drop(columns="ward"), planned, ledger)
    assert ledger.summary().spent == 0


@pytest.mark.parametrize("what", ["candidate", "score"])
def test_a_trial_that_ran_something_else_is_not_committed(
    schema: dp.Schema, frame: pd.DataFrame, planned: Plan, what: str
) -> None:
    ledger = open_ledger(schema)
    if what == "candidate":
        ran = (PlannedCharge(step="one-way counts", mechanism=MARGINAL),)
        real = dp.Independent._fit_table

        def other(self: dp.Independent, *args: object) -> object:
            real(self, *args)  # type: ignore[arg-type]
            return ran

        spoilt = mock.patch.object(dp.Independent, "_fit_table", other)
    else:
        spoilt = mock.patch("dpsynth.scoring._marginals", return_value=[("sex", "ward")])
    with spoilt, pytest.raises(IntegrityError) as refusal:
        fit(schema, frame, planned, ledger)
    assert refusal.value.code == "DPS110"
    (charge,) = ledger.summary().charges
    assert charge.state == "touched"
    assert ledger.summary().spent > 0


def test_hopeless_targets_are_refused(schema: dp.Schema) -> None:
    with pytest.raises(BudgetError) as refusal:
        search(schema, mean_trials=1e6, shape=1.0).plan(dp.Budget(epsilon=0.01, delta=1e-9))
    assert refusal.value.code == "DPS103"


def test_candidates_must_be_new_and_for_one_schema(
    schema: dp.Schema, unit_schema: dp.Schema, frame: pd.DataFrame
) -> None:
    with pytest.raises(UsageError, match="at least one"):
        PrivateSearch([])
    with pytest.raises(UsageError, match="same schema"):
        PrivateSearch([dp.Independent(schema), dp.Independent(unit_schema)])
    used = dp.Independent(schema)
    used.plan_ = used.plan(BUDGET)
    with pytest.raises(UsageError, match="fitted before"):
        PrivateSearch([used])
    with pytest.raises(UsageError, match="mean"):
        PrivateSearch([dp.Independent(schema)], mean_trials=1.0)
    assert "ward" not in repr(search(schema))
