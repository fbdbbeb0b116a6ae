"""The contract that every synthesizer obeys, parametrised over all of them."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import BudgetError, DataError, IntegrityError, NotFittedError, UsageError
from dpsynth.neural.autoregressive import AutoregressiveSettings
from dpsynth.neural.ctgan import CTGANSettings
from dpsynth.neural.pategan import PATEGANSettings
from dpsynth.neural.vae import VAESettings
from dpsynth.synthesizer import Synthesizer
from dpsynth.table import TableReader
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

Maker = Callable[[dp.Schema], Synthesizer]

MAKERS: dict[str, Maker] = {
    "independent": dp.Independent,
    "mst": dp.MST,
    "dp-autoregressive": lambda schema: dp.DPAutoregressive(
        schema, settings=AutoregressiveSettings(steps=25, hidden=8, sampling_probability=0.2)
    ),
    "dp-ctgan": lambda schema: dp.DPCTGAN(
        schema,
        settings=CTGANSettings(
            steps=25, hidden=16, critic_hidden=8, sampling_probability=0.2, generator_rows=100
        ),
    ),
    "dp-vae": lambda schema: dp.DPVAE(
        schema, settings=VAESettings(steps=25, hidden=16, latent=4, sampling_probability=0.2)
    ),
    "pate-gan": lambda schema: dp.PATEGAN(
        schema,
        settings=PATEGANSettings(labels=60, rounds=3, steps=24, hidden=8, latent=4, batch=64),
    ),
}


@pytest.fixture(params=sorted(MAKERS))
def make(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


def fitted(
    make: Maker, schema: dp.Schema, data: object, *, ledger: dp.Ledger | None = None, **kw: object
) -> Synthesizer:
    return make(schema).fit(
        data,
        budget=BUDGET,
        ledger=ledger or open_ledger(schema),
        dataset="patients",
        **kw,
    )


def test_the_plan_costs_at_most_the_budget_and_nearly_all_of_it(
    make: Maker, schema: dp.Schema
) -> None:
    plan = make(schema).plan(BUDGET)
    total = dp.Accountant(plan.mechanisms).certificate(BUDGET.delta)
    assert 0.97 * BUDGET.epsilon < total <= BUDGET.epsilon


def test_the_ledger_holds_the_very_events_of_the_plan(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame
) -> None:
    ledger = open_ledger(schema)
    model = fitted(make, schema, frame, ledger=ledger)
    booked = ledger.summary().to_dict()
    assert booked["charges"][0]["state"] == "committed"
    assert booked["charges"][0]["plan_sha256"] == model.plan_.digest()
    assert model.privacy_["epsilon"] <= BUDGET.epsilon
    assert ledger.check() is not None


def test_samples_fit_the_schema(make: Maker, schema: dp.Schema, frame: pd.DataFrame) -> None:
    from dpsynth.table import violations

    synthetic = fitted(make, schema, frame).sample(500)
    assert list(synthetic.columns) == [column.name for column in schema.columns]
    assert len(synthetic) == 500
    assert not violations(synthetic, schema)
    assert synthetic["age"].dtype == "int64"
    stays = synthetic["stay"].dropna()
    assert np.allclose(stays * 10, np.round(stays * 10))


def test_a_second_fit_is_refused(make: Maker, schema: dp.Schema, frame: pd.DataFrame) -> None:
    ledger = open_ledger(schema)
    model = fitted(make, schema, frame, ledger=ledger)
    with pytest.raises(UsageError, match="fitted before"):
        model.fit(frame, budget=BUDGET, ledger=ledger, dataset="patients")
    with pytest.raises(BudgetError) as refusal:
        fitted(make, schema, frame, ledger=ledger)
    assert refusal.value.exit_code == 4


def test_over_budget_is_refused_before_the_file_is_looked_at(
    make: Maker, schema: dp.Schema, tmp_path: Path
) -> None:
    ledger = open_ledger(schema, dp.Budget(epsilon=0.5, delta=1e-5))
    with pytest.raises(BudgetError):
        fitted(make, schema, tmp_path / "does-not-exist.csv", ledger=ledger)


def test_a_table_of_the_wrong_form_spends_nothing(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame
) -> None:
    ledger = open_ledger(schema)
    with pytest.raises(DataError, match="ward"):
        fitted(make, schema, frame.drop(columns="ward"), ledger=ledger)
    fitted(make, schema, frame, ledger=ledger)


def test_a_reader_for_another_schema_spends_nothing(make: Maker, unit_schema: dp.Schema) -> None:
    """It would bound units by its own schema, and the noise would be that of the other."""
    looser = patients_schema(id="patient", max_rows=500)
    ledger = open_ledger(unit_schema)
    with pytest.raises(UsageError, match="DPS113"):
        fitted(make, unit_schema, TableReader(patients_frame(), looser), ledger=ledger)
    assert not ledger.summary().to_dict()["charges"]


def test_save_and_load_sample_alike(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    model = fitted(make, schema, frame)
    path = tmp_path / "model.dpsynth"
    model.save(path)
    again = dp.load(path)
    pd.testing.assert_frame_equal(model.sample(50, seed=1), again.sample(50, seed=1))
    assert again.privacy_ == model.privacy_
    assert again.plan_.digest() == model.plan_.digest()
    with pytest.raises(IntegrityError) as refusal:
        model.save(path)
    assert refusal.value.exit_code == 6


def test_a_saved_model_holds_no_row_no_exact_count_no_generator(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    marked = frame.copy()
    marked["ward"] = marked["ward"].astype(object)
    marked.loc[3, "ward"] = "ZQXSENTINEL"
    marked["stay"] = 77.7
    marked.loc[0, "stay"] = 12.3
    model = fitted(make, schema, marked)
    model.save(tmp_path / "model.dpsynth")
    with zipfile.ZipFile(tmp_path / "model.dpsynth") as archive:
        names = set(archive.namelist())
        text = archive.read("model.json").decode()
        blob = b"".join(archive.read(name) for name in names)
    assert names <= {"model.json", "weights.safetensors"}
    assert b"ZQXSENTINEL" not in blob
    document = json.loads(text)
    assert set(document) == {"format", "method", "schema", "plan", "privacy", "codec"}
    for name, part in document["codec"]["columns"].items():
        exact = marked[name].astype(str).value_counts().to_numpy()
        stored = np.array(part["counts"])
        # Noisy counts after projection are no whole numbers, let alone the exact ones.
        assert not np.isin(exact, stored).all(), name
    if "weights.safetensors" in names:
        import safetensors.numpy

        with zipfile.ZipFile(tmp_path / "model.dpsynth") as archive:
            arrays = safetensors.numpy.load(archive.read("weights.safetensors"))
        assert all(len(array) != len(frame) for array in arrays.values())


def test_a_fixed_noise_seed_marks_the_model(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame
) -> None:
    seeded = fitted(make, schema, frame, noise=dp.NoiseSource.seeded(1))
    assert seeded.privacy_["releasable"] is False
    assert fitted(make, schema, frame).privacy_["releasable"] is True


def test_two_fits_of_the_same_table_differ(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame
) -> None:
    a, b = (fitted(make, schema, frame) for _ in range(2))
    assert a._codec.state() != b._codec.state()


def public_facts(model: Synthesizer) -> dict[str, object]:
    return {
        "plan": model.plan_.spec(),
        "sizes": model._codec.sizes,
        "arrays": {name: array.shape for name, array in model._arrays().items()},
        "columns": list(model._codec.codes),
    }


def neighbours() -> dict[str, pd.DataFrame]:
    base = patients_frame(500)
    extreme = base.iloc[[0]].copy().assign(age=10**9, stay=-1e300)
    unseen = base.iloc[[0]].copy().assign(ward="never seen", died="perhaps", sex=None)
    return {
        "one row more": pd.concat([base, base.iloc[[3]]], ignore_index=True),
        "one row less": base.iloc[1:],
        "an extreme value": pd.concat([base, extreme], ignore_index=True),
        "an unseen category": pd.concat([base.astype(object), unseen], ignore_index=True),
        "one infinite value": pd.concat([base, extreme.assign(stay=np.inf)], ignore_index=True),
    }


@pytest.mark.parametrize("change", sorted(neighbours()))
def test_a_neighbour_changes_nothing_but_noisy_outputs(
    make: Maker, schema: dp.Schema, change: str
) -> None:
    lines: list[list[tuple[int, int]]] = []
    facts = []
    for data in (patients_frame(500), neighbours()[change]):
        seen: list[tuple[int, int]] = []
        model = fitted(
            make, schema, data, progress=lambda done, of, seen=seen: seen.append((done, of))
        )
        lines.append(seen)
        facts.append(public_facts(model))
        assert len(model.sample(37)) == 37
    assert facts[0] == facts[1]
    assert lines[0] == lines[1]


@pytest.mark.parametrize(
    "degenerate",
    ["one row", "constant", "all missing", "nan and inf", "many levels", "text in numbers"],
)
def test_degenerate_tables_are_fitted_without_a_word_about_their_values(
    make: Maker, schema: dp.Schema, degenerate: str
) -> None:
    base = patients_frame(60)
    data = {
        "one row": base.iloc[:1],
        "constant": base.assign(**{c: base[c].iloc[0] for c in base.columns}),
        "all missing": base.assign(stay=np.nan, ward=None, age=np.nan),
        "nan and inf": base.assign(stay=np.inf, age=-np.inf),
        "many levels": pd.concat([base] * 20, ignore_index=True).assign(
            ward=[f"level {i}" for i in range(1200)]
        ),
        "text in numbers": base.assign(age="not a number", admitted="not a date"),
    }[degenerate]
    synthetic = fitted(make, schema, data).sample(20)
    assert len(synthetic) == 20


def test_several_rows_per_unit(make: Maker, unit_schema: dp.Schema) -> None:
    model = fitted(make, unit_schema, patients_frame(600))
    synthetic = model.sample(100)
    assert synthetic["patient"].tolist() == list(range(1, 101))
    assert model.plan_.unit.max_rows == 3


def test_discovery_is_charged_and_finds_common_levels(make: Maker) -> None:
    document = patients_schema().to_dict()
    document["columns"]["ward"] = {
        "kind": "categorical",
        "categories": "discover",
        "source": "dp",
    }
    document["columns"]["age"] = {"kind": "integer", "bounds": "discover", "source": "dp"}
    schema = dp.Schema.from_dict(document)
    model = fitted(make, schema, patients_frame(6000))
    steps = [charge.step for charge in model.plan_.charges]
    assert "bounds" in steps
    assert "levels of ward" in steps
    synthetic = model.sample(400)
    assert {"a", "b"} <= set(synthetic["ward"].dropna()) <= {"a", "b", "c", "other"}
    assert synthetic["age"].between(0, 128).all()


def test_row_order_does_not_matter_to_public_facts(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame
) -> None:
    a = fitted(make, schema, frame)
    b = fitted(make, schema, frame.sample(frac=1, random_state=1).reset_index(drop=True))
    assert public_facts(a) == public_facts(b)


def test_sampling_is_repeatable_and_cheap_to_repeat(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame
) -> None:
    model = fitted(make, schema, frame)
    pd.testing.assert_frame_equal(model.sample(30, seed=4), model.sample(30, seed=4))
    assert not model.sample(30).equals(model.sample(30))
    assert 0 < len(model.sample()) < 10 * len(frame)


def test_nothing_works_before_the_fit(make: Maker, schema: dp.Schema, tmp_path: Path) -> None:
    model = make(schema)
    for call in (lambda: model.sample(1), lambda: model.save(tmp_path / "m")):
        with pytest.raises(NotFittedError, match="fit"):
            call()
    assert "not fitted" in repr(model)


def test_repr_shows_the_guarantee_and_no_data(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame
) -> None:
    shown = repr(fitted(make, schema, frame))
    assert "ε" in shown
    assert str(len(frame)) not in shown


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.dpsynth"
    path.write_bytes(b"not a model")
    with pytest.raises(IntegrityError, match="DPS602"):
        dp.load(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.json", json.dumps({"format": "something else"}))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(IntegrityError, match="DPS602"):
        dp.load(path)


# -- checkpoints -----------------------------------------------------------------------------------


def stop_at(step: int) -> Callable[[int, int], None]:
    def progress(done: int, of: int) -> None:
        del of
        if done == step:
            raise KeyboardInterrupt

    return progress


def steps_leased(ledger: dp.Ledger) -> object:
    return ledger.summary(compose=False).charges[-1].steps_run


@pytest.fixture
def long(make: Maker, schema: dp.Schema) -> Maker:
    """The same method, with steps enough for three leases."""
    model = make(schema)
    if not model.resumable:
        pytest.skip(f"{model.method} reads the rows in one go")

    def longer(schema: dp.Schema) -> Synthesizer:
        model = make(schema)
        model.settings = dataclasses.replace(model.settings, steps=120)
        return model

    return longer


def test_an_interrupted_fit_goes_on_within_its_charge(
    long: Maker, schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    ledger, kept = open_ledger(schema), tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fitted(long, schema, frame, ledger=ledger, checkpoint=kept, progress=stop_at(70))
    assert steps_leased(ledger) == {"DP-SGD": 100}
    ledger.check(recomputed=True)
    seen: list[int] = []
    model = fitted(
        long,
        schema,
        frame,
        ledger=ledger,
        checkpoint=kept,
        progress=lambda done, of: seen.append(done),
    )
    # Steps 51 to 70 were lost, 71 to 100 never taken: all were leased, none is taken again.
    assert seen == list(range(101, 121))
    (charge,) = ledger.summary().to_dict()["charges"]
    assert charge["state"] == "committed"
    assert charge["epsilon"] <= BUDGET.epsilon
    ledger.check(recomputed=True)
    assert kept.exists()
    model.save(tmp_path / "model.dpsynth")
    assert not kept.exists()
    again = dp.load(tmp_path / "model.dpsynth")
    pd.testing.assert_frame_equal(model.sample(40, seed=1), again.sample(40, seed=1))


def test_a_fit_that_ended_before_it_was_saved_is_not_lost(
    long: Maker, schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    ledger, kept = open_ledger(schema), tmp_path / "checkpoint"
    first = fitted(long, schema, frame, ledger=ledger, checkpoint=kept)
    second = fitted(long, schema, tmp_path / "gone.csv", ledger=ledger, checkpoint=kept)
    (charge,) = ledger.summary().to_dict()["charges"]
    assert charge["state"] == "committed"
    assert first._codec.state() == second._codec.state()
    assert first.privacy_["epsilon"] == second.privacy_["epsilon"]


def test_a_run_does_not_go_on_when_others_have_spent_its_rest(
    long: Maker, schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    ledger, kept = open_ledger(schema, dp.Budget(epsilon=3.6, delta=1e-5)), tmp_path / "checkpoint"
    small = dp.Budget(epsilon=1.5, delta=1e-6)
    with pytest.raises(KeyboardInterrupt):
        long(schema).fit(
            frame,
            budget=small,
            ledger=ledger,
            dataset="patients",
            checkpoint=kept,
            progress=stop_at(2),
        )
    while True:
        try:
            dp.Independent(schema).fit(
                frame, budget=dp.Budget(epsilon=0.7, delta=1e-6), ledger=ledger, dataset="patients"
            )
        except BudgetError:
            break
    with pytest.raises(BudgetError, match="spent by others"):
        long(schema).fit(frame, budget=small, ledger=ledger, dataset="patients", checkpoint=kept)
    ledger.check(recomputed=True)


def test_a_checkpoint_of_another_fit_is_refused(
    long: Maker, schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    ledger, kept = open_ledger(schema), tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fitted(long, schema, frame, ledger=ledger, checkpoint=kept, progress=stop_at(2))
    with pytest.raises(UsageError, match="another budget"):
        long(schema).fit(
            frame,
            budget=dp.Budget(epsilon=1.0, delta=1e-5),
            ledger=ledger,
            dataset="patients",
            checkpoint=kept,
        )
    kept.write_bytes(b"no checkpoint")
    with pytest.raises(IntegrityError, match="DPS602"):
        fitted(long, schema, frame, ledger=ledger, checkpoint=kept)


def test_a_checkpoint_holds_no_row_and_marks_seeded_noise(
    long: Maker, schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    ledger, kept = open_ledger(schema), tmp_path / "checkpoint"
    marked = frame.astype({"ward": object})
    marked.loc[3, "ward"] = "ZQXSENTINEL"
    with pytest.raises(KeyboardInterrupt):
        fitted(
            long,
            schema,
            marked,
            ledger=ledger,
            checkpoint=kept,
            progress=stop_at(60),
            noise=dp.NoiseSource.seeded(1),
        )
    with zipfile.ZipFile(kept) as archive:
        blob = b"".join(archive.read(name) for name in archive.namelist())
    assert b"ZQXSENTINEL" not in blob
    assert kept.stat().st_mode & 0o077 == 0
    model = fitted(long, schema, marked, ledger=ledger, checkpoint=kept)
    assert model.privacy_["releasable"] is False


def test_methods_that_read_in_one_go_refuse_checkpoints(
    make: Maker, schema: dp.Schema, frame: pd.DataFrame, tmp_path: Path
) -> None:
    if make(schema).resumable:
        pytest.skip("this method keeps checkpoints")
    ledger = open_ledger(schema)
    with pytest.raises(UsageError, match="keeps no checkpoints"):
        fitted(make, schema, frame, ledger=ledger, checkpoint=tmp_path / "checkpoint")
    assert not ledger.summary().charges
