"""Recognising a dataset by a keyed digest."""

from __future__ import annotations

import stat

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import dpsynth as dp
from dpsynth.errors import IntegrityError, UsageError
from dpsynth.identity import CustodianKey, content_hmac
from tests.conftest import BUDGET, open_ledger, patients_frame

KEY = CustodianKey(bytes(range(32)))
FRAME = pd.DataFrame({"a": ["x", "y", "y", None], "b": [1, 2, 2, 3]})


def test_order_of_rows_and_columns_does_not_matter():
    shuffled = FRAME.iloc[[3, 1, 0, 2]][["b", "a"]]
    assert content_hmac(shuffled, KEY) == content_hmac(FRAME, KEY)
    assert content_hmac(pa.Table.from_pandas(FRAME), KEY) == content_hmac(FRAME, KEY)


@pytest.mark.parametrize(
    "other",
    [
        FRAME.assign(b=[1, 2, 2, 4]),
        FRAME.iloc[:3],
        FRAME.iloc[[0, 1, 3]],
        pd.concat([FRAME, FRAME]),
        FRAME.rename(columns={"a": "c"}),
        FRAME.assign(a=["x", "y", "y", "None"]),
        FRAME.assign(a=FRAME.b.astype(str), b=FRAME.a),
        FRAME.assign(a=["x", "y", None, "y"]),
    ],
    ids=["cell", "row", "twin", "twice", "name", "null", "swapped", "moved"],
)
def test_every_difference_in_content_is_seen(other):
    assert content_hmac(other, KEY) != content_hmac(FRAME, KEY)


def test_cells_do_not_run_together():
    one = pd.DataFrame({"a": ["1:x"], "b": [""]})
    two = pd.DataFrame({"a": ["1"], "b": ["x"]})
    assert content_hmac(one, KEY) != content_hmac(two, KEY)


def test_without_the_key_the_digest_tells_nothing(tmp_path):
    assert content_hmac(FRAME, CustodianKey(bytes(32))) != content_hmac(FRAME, KEY)
    made = CustodianKey.create(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert CustodianKey.read(tmp_path / "key").digest(b"x") == made.digest(b"x")
    assert repr(made) == "CustodianKey(...)"
    with pytest.raises(IntegrityError, match="exists"):
        CustodianKey.create(tmp_path / "key")
    (tmp_path / "other").write_text("no key")
    with pytest.raises(UsageError, match="holds no custodian's key"):
        CustodianKey.read(tmp_path / "other")


def test_a_fit_takes_only_the_table_that_was_entered(schema):
    ledger, frame = open_ledger(schema), patients_frame()
    budget = dp.Budget(epsilon=0.5, delta=1e-6)

    def fit(table: pd.DataFrame, key: CustodianKey | None) -> None:
        model = dp.Independent(schema)
        model.fit(table, budget=budget, ledger=ledger, dataset="patients", key=key)

    fit(frame, KEY)  # enters the digest
    fit(frame.sample(frac=1, random_state=1), KEY)
    before = ledger.summary(compose=False)
    swapped = frame.assign(age=np.roll(frame.age, 1))
    with pytest.raises(IntegrityError, match="DPS616"):
        fit(swapped, KEY)
    with pytest.raises(UsageError, match="DPS517"):
        fit(frame, None)
    with pytest.raises(IntegrityError, match="DPS616"):
        fit(frame, CustodianKey(bytes(32)))
    after = ledger.summary(compose=False)
    assert (after.spent, after.capacity_used) == (before.spent, before.capacity_used)
    assert before.spent <= BUDGET.epsilon
    ledger.check()


def test_one_table_has_one_name(schema):
    ledger = open_ledger(schema)
    ledger.recognise("patients", "ab" * 32)
    with pytest.raises(IntegrityError, match="entered as 'patients' before"):
        ledger.add_dataset("copy", content_hmac="ab" * 32)
    ledger.add_dataset("next year", content_hmac="cd" * 32)
    with pytest.raises(IntegrityError, match="entered as 'next year' before"):
        ledger.recognise("patients", "cd" * 32)
