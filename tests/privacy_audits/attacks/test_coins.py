"""Coins decide who is fitted, unit by unit, and are written down for their owner alone."""

from __future__ import annotations

import json
import stat

import numpy as np
import pandas as pd
import pytest

from dpsynth.errors import DataError, IntegrityError, UsageError
from privacy_audits.attacks import Coins, Design, split_audit
from tests.conftest import patients_frame, patients_schema

DESIGN = Design(audited=0.5, reference=0.2)
SCHEMA = patients_schema(id="patient", max_rows=3)


def test_every_row_of_a_unit_has_the_same_part():
    split = split_audit(patients_frame(), SCHEMA, design=DESIGN, rng=np.random.default_rng(0))
    fitted, held_out = set(split.fitted["patient"]), set(split.held_out["patient"])
    assert not fitted & held_out
    assert fitted | held_out == set(patients_frame()["patient"])
    coins = split.coins
    members = set(split.fitted["patient"].iloc[coins.members])
    rest = set(split.fitted["patient"].drop(index=coins.members))
    others = set(split.held_out["patient"].iloc[coins.others])
    reference = set(split.held_out["patient"].drop(index=coins.others))
    assert not members & rest
    assert not others & reference
    assert (len(split.fitted), len(split.held_out)) == (coins.fitted, coins.held_out)


def test_shares_are_those_of_the_design():
    """9,000 units; each bound is six standard errors wide, seed fixed."""
    frame = patients_frame(9000).drop(columns="patient")
    schema = patients_schema()
    split = split_audit(frame, schema, design=DESIGN, rng=np.random.default_rng(1))
    members, others = len(split.coins.members), len(split.coins.others)
    assert abs(members + others - 4500) < 6 * np.sqrt(9000 / 4)
    assert abs(members - others) < 6 * np.sqrt(4500)
    assert abs(split.coins.held_out - others - 1800) < 6 * np.sqrt(9000 * 0.16)


def test_one_unit_more_changes_no_other_unit():
    frame = patients_frame()
    more = pd.concat([frame, frame.tail(3).assign(patient=10_000)], ignore_index=True)
    small, large = (
        split_audit(table, SCHEMA, design=DESIGN, rng=_Prefix(5)) for table in (frame, more)
    )
    kept = large.fitted[large.fitted["patient"] != 10_000]
    assert list(kept["patient"]) == list(small.fitted["patient"])


class _Prefix:
    """A generator whose longer draws begin with its shorter ones."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def random(self, size: int) -> np.ndarray:
        self.seed += 1
        return np.random.default_rng(self.seed).random(size)


def test_rows_without_a_unit_are_dropped():
    frame = patients_frame(60)
    frame["patient"] = frame["patient"].astype("Int64")
    frame.loc[:8, "patient"] = pd.NA
    split = split_audit(frame, SCHEMA, design=DESIGN, rng=np.random.default_rng(0))
    assert len(split.fitted) + len(split.held_out) == 51


def test_written_and_read(tmp_path):
    split = split_audit(patients_frame(), SCHEMA, design=DESIGN, rng=np.random.default_rng(0))
    path = tmp_path / "coins.json"
    split.coins.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Coins.read(path)
    assert again.design == DESIGN
    assert np.array_equal(again.members, split.coins.members)
    assert np.array_equal(again.others, split.coins.others)
    with pytest.raises(IntegrityError):
        split.coins.write(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "another"},
        {"members": [10**6]},
        {"members": [-1]},
        {"others": ["x"]},
        {"design": {"audited": 0.5}},
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, change):
    split = split_audit(patients_frame(), SCHEMA, design=DESIGN, rng=np.random.default_rng(0))
    split.coins.write(tmp_path / "coins.json")
    document = json.loads((tmp_path / "coins.json").read_text()) | change
    (tmp_path / "other.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="DPS411"):
        Coins.read(tmp_path / "other.json")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="DPS411"):
        Coins.read(tmp_path / "none.json")


def test_tables_of_another_length_are_refused():
    coins = Coins(design=DESIGN, members=np.array([0]), others=np.array([0]), fitted=4, held_out=5)
    coins.check(fitted=4, held_out=5)
    with pytest.raises(DataError, match="DPS410"):
        coins.check(fitted=5, held_out=5)


@pytest.mark.parametrize(("audited", "reference"), [(0, 0.1), (0.1, 0), (0.8, 0.3), (1.0, 0.1)])
def test_no_design_of_disjoint_chances_is_refused(audited, reference):
    with pytest.raises(UsageError):
        Design(audited=audited, reference=reference)


def test_only_the_design_is_shown():
    split = split_audit(patients_frame(), SCHEMA, design=DESIGN, rng=np.random.default_rng(0))
    shown = repr(split) + repr(split.coins)
    assert "audited=0.5" in shown
    for number in (split.coins.fitted, split.coins.held_out, len(split.coins.members)):
        assert str(number) not in shown
