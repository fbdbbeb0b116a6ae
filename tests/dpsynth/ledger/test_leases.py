"""Leases: a run that ends early is charged for the steps that were leased to it, and no less."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dpsynth.accountant import Accountant
from dpsynth.errors import BudgetError, IntegrityError, UsageError
from dpsynth.ledger import ChargeState, Ledger, moves
from dpsynth.ledger.pricing import measure
from dpsynth.privacy import (
    DiscreteGaussian,
    Plan,
    PlannedCharge,
    PoissonSampledGaussian,
    canonical_json,
)
from tests.dpsynth.ledger.conftest import BUDGET, create, run_sql
from tests.dpsynth.ledger.test_book import (
    ADD_REMOVE,
    STOP_RULE,
    gaussian_plan,
    in_memory,
    plan_of,
    rehashed,
    sampled_plan,
)

COUNTS = DiscreteGaussian(relation=ADD_REMOVE, sigma=20.0)
TRAINING = PoissonSampledGaussian(
    relation=ADD_REMOVE, noise_multiplier=1.2, sampling_probability=0.01, steps=1000
)
LONG = plan_of(COUNTS, TRAINING)  # "step 0" and "step 1"
# Only by its own certificate: the filter would refuse it.
ALONE = plan_of(replace(TRAINING, noise_multiplier=0.88))


def share_of(*mechanisms) -> float:
    return float(Accountant(mechanisms).rdp([STOP_RULE.order])[0]) / STOP_RULE.limit


def used(ledger: Ledger) -> float:
    return ledger.summary(compose=False).capacity_used


def test_a_run_counts_in_full_until_it_is_stopped_and_then_for_its_leases():
    ledger = in_memory()
    charge = ledger.reserve(LONG, dataset="adult")
    charge.touch(leases=True)
    charge.lease("step 1", 50)
    charge.lease("step 1", 150)
    assert used(ledger) == pytest.approx(share_of(COUNTS, TRAINING))
    charge.stop()
    assert charge.state is ChargeState.STOPPED
    assert used(ledger) == pytest.approx(share_of(COUNTS, replace(TRAINING, steps=150)))
    (line,) = ledger.check(recomputed=True).charges
    assert line.steps_run == {"step 1": 150}
    with pytest.raises(UsageError, match="this charge is stopped"):
        charge.lease("step 1", 200)


def test_a_run_that_took_no_step_yet_still_pays_for_what_is_not_leased():
    ledger = in_memory()
    charge = ledger.reserve(LONG, dataset="adult")
    charge.touch(leases=True)
    charge.stop()
    assert used(ledger) == pytest.approx(share_of(COUNTS))
    ledger.check(recomputed=True)


def test_what_a_stopped_run_did_not_take_can_be_spent_again_and_no_more():
    ledger = in_memory()
    for _ in range(3):
        charge = ledger.reserve(sampled_plan(1500), dataset="adult")
        charge.touch(leases=True)
        charge.lease("step 0", 100)
        charge.stop()
    left = 1 - used(ledger)
    ledger.reserve(gaussian_plan(0.999 * left), dataset="adult")
    with pytest.raises(BudgetError, match="DPS101"):
        ledger.reserve(gaussian_plan(0.01 * left), dataset="adult")
    ledger.check(recomputed=True)


def test_a_charge_admitted_as_the_only_plan_is_never_lowered():
    cost = Accountant(ALONE.mechanisms).epsilon(BUDGET.delta)
    assert cost <= BUDGET.epsilon
    ledger = in_memory()
    charge = ledger.reserve(ALONE, dataset="adult")
    charge.touch(leases=True)
    charge.lease("step 0", 50)
    before = ledger.summary()
    charge.stop()
    after = ledger.summary()
    assert (after.spent, after.capacity_used) == (before.spent, before.capacity_used)
    with pytest.raises(BudgetError, match="nothing more can be run"):
        ledger.reserve(gaussian_plan(0.001), dataset="adult")
    ledger.check(recomputed=True)


def test_a_stopped_run_never_costs_more_than_was_booked(monkeypatch, address):
    with create(address) as ledger:
        charge = ledger.reserve(LONG, dataset="adult")
        charge.touch(leases=True)
        charge.lease("step 1", 1000)
        before = used(ledger)

        # Another machine's arithmetic: larger in the last digits. An entry that raised a cost would
        # make the whole ledger unreadable.
        def larger(*arguments, **orders):
            found = measure(*arguments, **orders)
            return replace(found, rdp=tuple(part * (1 + 1e-15) for part in found.rdp))

        monkeypatch.setattr(moves, "measure", larger)
        charge.stop()
        assert used(ledger) == before
    with Ledger.open(address) as again:
        again.check(recomputed=True)


def test_steps_have_names_of_their_own():
    steps = (PlannedCharge(step="training", mechanism=TRAINING),) * 2
    with pytest.raises(UsageError, match="every step of a plan needs a name of its own"):
        replace(LONG, charges=steps)


def test_error_in_the_block_stops_the_run():
    ledger = in_memory()
    charge = ledger.reserve(LONG, dataset="adult")
    charge.touch(leases=True)
    charge.lease("step 1", 50)
    with pytest.raises(KeyboardInterrupt), charge:
        raise KeyboardInterrupt
    assert charge.state is ChargeState.STOPPED
    # Without leases nobody knows how far it came.
    other = ledger.reserve(LONG, dataset="adult")
    other.touch()
    with pytest.raises(KeyboardInterrupt), other:
        raise KeyboardInterrupt
    assert other.state is ChargeState.TOUCHED


def test_a_plan_without_long_steps_takes_no_leases():
    ledger = in_memory()
    c = ledger.reserve(plan_of(COUNTS), dataset="adult")
    c.touch(leases=True)
    with pytest.raises(ZeroDivisionError), c:
        raise ZeroDivisionError
    assert c.state is ChargeState.TOUCHED
    with pytest.raises(UsageError, match="counts in full for ever"):
        c.stop()
    with pytest.raises(UsageError, match="touched without leases"):
        c.lease("step 0", 1)


@pytest.mark.parametrize(("step", "upto"), [("step 1", 1001), ("step 1", 49), ("step 0", 1)])
def test_leases_that_the_plan_does_not_have_are_refused(step, upto):
    ledger = in_memory()
    charge = ledger.reserve(LONG, dataset="adult")
    charge.touch(leases=True)
    charge.lease("step 1", 50)
    with pytest.raises(IntegrityError, match="DPS110"):
        charge.lease(step, upto)
    ledger.check()


def test_a_run_is_committed_only_with_all_its_steps_leased():
    ledger = in_memory()
    charge = ledger.reserve(LONG, dataset="adult")
    charge.touch(leases=True)
    charge.lease("step 1", 999)
    with pytest.raises(IntegrityError, match="without having leased all"):
        charge.commit()
    charge.lease("step 1", 1000)
    charge.commit()
    assert used(ledger) == pytest.approx(share_of(COUNTS, TRAINING))


def test_leases_are_on_disk_before_the_steps_are_taken(address):
    with create(address) as ledger:
        charge = ledger.reserve(LONG, dataset="adult")
        charge.touch(leases=True)
        charge.lease("step 1", 100)
        ((leased,),) = run_sql(address, "SELECT leased FROM charge")
        assert json.loads(leased) == {"step 1": 100}


def history(path: str, plan: Plan = LONG) -> None:
    """Entries 1-4 first, 5 reserved, 6 touched, 7 and 8 leased, 9 stopped, 10-14 one more."""
    with create(path) as ledger:
        charge = ledger.reserve(plan, dataset="adult")
        charge.touch(leases=True)
        step = "step 1" if plan is LONG else "step 0"
        charge.lease(step, 50)
        charge.lease(step, 100)
        charge.stop()
        if plan is LONG:
            for _ in range(2):
                ledger.reserve(gaussian_plan(0.1), dataset="adult").abort()


@pytest.mark.parametrize(
    ("seq", "old", "new", "message"),
    [
        (7, '{"step 1":50}', '{"step 1":1050}', "entry 7 leases other steps than the plan has"),
        (8, '{"step 1":100}', '{"step 1":10}', "entry 8 leases other steps than the plan has"),
        (8, '{"step 1":100}', '{"step 0":100}', "entry 8 leases other steps than the plan has"),
        (6, '{"step 1":0}', '{"step 1":50}', "entry 6 leases steps before"),
        (6, '{"step 1":0}', "null", "entry 7 leases steps to a charge that was touched without"),
        (9, '"cost":"', '"cost":"9', "entry 9 books another cost"),
    ],
)
def test_rewritten_leases_must_still_obey_the_rules(tmp_path, seq, old, new, message):
    path = tmp_path / "ledger.db"
    history(str(path))
    rehashed(path, seq, old, new)
    with pytest.raises(IntegrityError, match=message):
        Ledger.open(path, read_only=True)


def test_a_cost_that_is_lower_than_the_mechanisms_say_is_seen_when_recomputed(
    tmp_path, nobody_has_seen
):
    path = tmp_path / "ledger.db"
    history(str(path))
    rehashed(path, 8, '{"step 1":100}', '{"step 1":1000}')
    # Entry 9 still says what 100 steps cost. The tables are brought into line as well.
    run_sql(str(path), """UPDATE charge SET leased = '{"step 1":1000}' WHERE state = 'stopped'""")
    nobody_has_seen()
    with Ledger.open(path, read_only=True) as ledger:
        ledger.check()
        with pytest.raises(IntegrityError, match="DPS618"):
            ledger.check(recomputed=True)


# -- runs that go on -------------------------------------------------------------------------------


def stopped_at(ledger: Ledger, steps: int, *, plan: Plan = LONG, step: str = "step 1") -> str:
    charge = ledger.reserve(plan, dataset="adult")
    charge.touch(leases=True)
    charge.lease(step, steps)
    charge.stop()
    return charge.id


def test_a_stopped_run_goes_on_at_the_cost_of_all_its_steps(address):
    with create(address) as ledger:
        name = stopped_at(ledger, 150)
    with Ledger.open(address) as ledger:
        charge = ledger.resume(name, plan=LONG)
        assert charge.state is ChargeState.TOUCHED
        assert charge.leased == {"step 1": 150}
        assert used(ledger) == pytest.approx(share_of(COUNTS, TRAINING))
        with pytest.raises(IntegrityError, match="DPS110"):
            charge.lease("step 1", 100)  # what was leased stays leased
        with pytest.raises(IntegrityError, match="without having leased all steps"):
            charge.commit()
        charge.lease("step 1", 1000)
        charge.commit()
        ledger.check(recomputed=True)
        assert ledger.resume(name, plan=LONG).state is ChargeState.COMMITTED
    with Ledger.open(address) as again:
        assert used(again) == pytest.approx(share_of(COUNTS, TRAINING))


def test_a_run_that_went_on_may_be_stopped_again():
    ledger = in_memory()
    name = stopped_at(ledger, 150)
    charge = ledger.resume(name, plan=LONG)
    charge.lease("step 1", 400)
    with pytest.raises(KeyboardInterrupt), charge:
        raise KeyboardInterrupt
    assert used(ledger) == pytest.approx(share_of(COUNTS, replace(TRAINING, steps=400)))
    assert ledger.resume(name, plan=LONG).leased == {"step 1": 400}
    ledger.check(recomputed=True)


def test_a_run_does_not_go_on_if_others_have_spent_what_it_gave_back():
    ledger = in_memory()
    name = stopped_at(ledger, 50)
    left = 1 - used(ledger)
    ledger.reserve(gaussian_plan(0.9 * left), dataset="adult")
    before = used(ledger)
    with pytest.raises(BudgetError, match="spent by others") as refusal:
        ledger.resume(name, plan=LONG)
    assert (refusal.value.exit_code, refusal.value.code) == (4, "DPS101")
    assert used(ledger) == before
    assert ledger.charge(name).state is ChargeState.STOPPED
    kinds = [row["kind"] for row in ledger._store.rows("SELECT kind FROM entry ORDER BY seq")]
    assert kinds[-1] == "refused"
    ledger.check(recomputed=True)


def test_the_only_plan_goes_on_and_costs_what_it_did():
    ledger = in_memory()
    name = stopped_at(ledger, 50, plan=ALONE, step="step 0")
    before = used(ledger)
    ledger.resume(name, plan=ALONE)
    assert used(ledger) == before
    ledger.check(recomputed=True)


@pytest.mark.parametrize("state", ["reserved", "touched", "aborted", "in full"])
def test_only_a_run_that_ended_early_goes_on(state):
    ledger = in_memory()
    charge = ledger.reserve(LONG, dataset="adult")
    if state == "aborted":
        charge.abort()
    elif state != "reserved":
        charge.touch(leases=state == "touched")
    with pytest.raises(UsageError, match="DPS513"):
        ledger.resume(charge.id, plan=LONG)


def test_an_entry_that_goes_on_at_another_cost_is_detected(tmp_path):
    path = tmp_path / "ledger.db"
    with create(str(path)) as ledger:
        ledger.resume(stopped_at(ledger, 150), plan=LONG)
    ((seq, text),) = run_sql(str(path), "SELECT seq, body FROM entry WHERE kind = 'resumed'")
    ((stop,),) = run_sql(str(path), "SELECT body FROM entry WHERE kind = 'stopped'")
    cheap = {**json.loads(text), **{k: json.loads(stop)[k] for k in ("cost", "measures")}}
    rehashed(path, seq, text, canonical_json(cheap))
    with pytest.raises(IntegrityError, match="another cost than was reserved"):
        Ledger.open(path)


def test_a_run_goes_on_with_the_plan_that_was_booked_and_no_other():
    ledger = in_memory()
    name = stopped_at(ledger, 150)
    before = used(ledger)
    louder = plan_of(COUNTS, replace(TRAINING, noise_multiplier=0.6))
    with pytest.raises(IntegrityError, match="DPS110"):
        ledger.resume(name, plan=louder)
    assert ledger.charge(name).state is ChargeState.STOPPED
    assert used(ledger) == before
