"""Learners are trained once, on their own table, and tested on rows that nothing has seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import models, training
from benchmarks.discretise import conform_tables
from benchmarks.scores import whole
from benchmarks.training import Trained, train
from dpsynth.evidence import Finding
from tests.benchmarks.conftest import schema_of, shuffled
from tests.benchmarks.test_prediction import tables, task_frame, task_schema


def trained(given, seed: int = 0) -> Trained:
    out = train(given, rng=np.random.default_rng(seed))
    assert isinstance(out, Trained)
    return out


def test_rows_of_the_holdout_are_in_no_training_table(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    keep = models.fitted

    def recorded(model, features, target):
        seen.append(features)
        return keep(model, features, target)

    monkeypatch.setattr("benchmarks.models.fitted", recorded)
    given = tables(task_frame(200, 3), n=200)
    found = trained(given)
    assert len(seen) == 2 * len(training.MODELS)
    held = {row.tobytes() for row in found.task.matrix}
    for features in seen:
        assert not held & {row.tobytes() for row in features}
    assert len(found.task.test) == 200


def test_learners_of_one_table_do_not_depend_on_the_other() -> None:
    """Encoders, scales and constants come from the training table alone."""
    one = trained(tables(task_frame(200, 3), n=200))
    other = trained(tables(task_frame(200, 3).assign(x=lambda f: 9 - f["x"].abs()), n=200))
    for model in training.MODELS:
        assert whole(one.outcomes["trtr", model]) == whole(other.outcomes["trtr", model])
        assert whole(one.outcomes["tstr", model]) != whole(other.outcomes["tstr", model])


def test_the_order_of_rows_changes_nothing() -> None:
    frames = [task_frame(200, seed) for seed in (3, 1, 2)]
    schema = task_schema()
    one = trained(conform_tables(*frames, schema))
    other = trained(conform_tables(*(shuffled(frame) for frame in frames), schema))
    for key, outcome in one.outcomes.items():
        np.testing.assert_array_equal(outcome.probabilities, other.outcomes[key].probabilities)


def test_a_row_is_drawn_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MOST_ROWS", 150)
    found = trained(tables(task_frame(200, 3), n=200))
    for table in found.train.values():
        assert len(table) == 150
        assert len(np.unique(table.features[:, 1])) == 150


def test_repeated_rows_of_a_person_stay_out_of_the_other_table() -> None:
    """Duplicates inside the synthetic table teach it nothing about the holdout."""
    rng = np.random.default_rng(0)
    frames = [task_frame(300, seed).assign(t=rng.random(300) < 0.5) for seed in (3, 1, 2)]
    repeated = pd.concat([frames[1]] * 4, ignore_index=True)
    found = trained(conform_tables(repeated, *frames[1:], task_schema()))
    for model in training.MODELS:
        assert whole(found.outcomes["tstr", model])["auroc"] == pytest.approx(0.5, abs=0.12)


def test_why_nothing_was_trained_is_said() -> None:
    schema = schema_of({"x": {"kind": "real", "bounds": [-9, 9]}})
    frame = task_frame(20, 0)
    said = train(conform_tables(frame, frame, frame, schema), rng=np.random.default_rng(0))
    assert isinstance(said, Finding)
    assert said.code == "DPS319"


def test_names_and_numbers_stay_out_of_reprs() -> None:
    assert repr(trained(tables(task_frame(60, 3), n=60))) == "Trained(7 learners)"
