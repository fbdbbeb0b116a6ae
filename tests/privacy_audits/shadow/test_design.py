"""Coins, rows and digests of a design."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from privacy_audits.shadow import Cast, Moments, ShadowDesign
from tests.conftest import patients_frame, patients_schema

DESIGN = ShadowDesign(generator="none", shadows=20, base_rows=30, seed=4)
TARGETS = np.array([5, 50, 7])


def cast(schema: dp.Schema | None = None) -> Cast:
    return Cast.of(patients_frame(100), schema or patients_schema(), targets=TARGETS)


def keys(frame: pd.DataFrame) -> set[tuple]:
    return set(frame.astype(str).itertuples(index=False, name=None))


def test_every_target_has_a_fair_coin_of_its_own():
    members = replace(DESIGN, shadows=4_000).members(3)
    # Six standard deviations: a false alarm has a chance below 1e-8.
    assert np.all(np.abs(members.mean(axis=0) - 0.5) < 6 * 0.5 / np.sqrt(4_000))
    assert np.all(np.abs(np.corrcoef(members.T) - np.eye(3)) < 6 / np.sqrt(4_000))


def test_of_a_pair_of_shadows_exactly_one_holds_a_target():
    members = replace(DESIGN, coins="paired").members(3)
    np.testing.assert_array_equal(members[::2], ~members[1::2])
    assert 0 < members[::2].mean() < 1


def test_a_fixed_base_differs_by_the_targets_only():
    rows = cast()
    present = DESIGN.members(3)
    tables = [DESIGN.table(rows, present[n], shadow=n) for n in range(4)]
    bases = [keys(table) - keys(rows.targets) for table in tables]
    assert bases[0] == bases[1] == bases[2] == bases[3]
    for table, coins in zip(tables, present[:4], strict=True):
        assert keys(table) & keys(rows.targets) == keys(rows.targets[coins])
        assert len(table) == 30 + coins.sum()


def test_a_drawn_base_is_another_one_for_every_shadow():
    design = replace(DESIGN, base="drawn")
    members = design.members(3)
    one, two = (keys(design.table(cast(), members[n], shadow=n)) for n in (0, 1))
    assert len(one - two) > 10


def test_rows_stand_in_for_absent_targets():
    design = replace(DESIGN, absent="replaced")
    for shadow, present in enumerate(design.members(3)):
        table = design.table(cast(), present, shadow=shadow)
        assert len(table) == 33
        assert not table.duplicated().any()


def test_targets_do_not_stand_at_a_place_of_their_own():
    design = replace(DESIGN, shadows=400)
    rows = cast()
    (target, *_) = rows.targets.astype(str).itertuples(index=False, name=None)
    places = []
    members = design.members(3)
    for shadow in np.flatnonzero(members[:, 0]):
        table = design.table(rows, members[shadow], shadow=int(shadow)).astype(str)
        order = list(table.itertuples(index=False, name=None))
        places.append(order.index(target) / (len(order) - 1))
    assert abs(np.mean(places) - 0.5) < 6 * np.sqrt(1 / 12 / len(places))


def test_everything_that_a_shadow_depends_on_is_in_the_digest():
    maps = [Moments()]
    digests = {
        DESIGN.digest(cast(), maps),
        replace(DESIGN, seed=5).digest(cast(), maps),
        replace(DESIGN, generator="another").digest(cast(), maps),
        DESIGN.digest(cast(), [*maps, Moments(name="again")]),
        DESIGN.digest(cast(patients_schema(id="patient", max_rows=3)), maps),
        DESIGN.digest(Cast.of(patients_frame(100), patients_schema(), targets=TARGETS[::-1]), maps),
        DESIGN.digest(
            Cast.of(patients_frame(100, seed=1), patients_schema(), targets=TARGETS), maps
        ),
    }
    assert len(digests) == 7
    assert DESIGN.digest(cast(), maps) in digests


@pytest.mark.parametrize(
    "wrong",
    [
        {"shadows": 8},
        {"shadows": 21},
        {"base_rows": 0},
        {"synthetic_rows": 0},
        {"seed": -1},
        {"base": "none"},
        {"coins": "loaded"},
        {"absent": "here"},
    ],
)
def test_impossible_designs_are_refused(wrong):
    with pytest.raises(UsageError):
        replace(DESIGN, **wrong)


@pytest.mark.parametrize("targets", [[], [3, 3], [-1], [100]])
def test_impossible_targets_are_refused(targets):
    with pytest.raises(UsageError, match="different positions"):
        Cast.of(patients_frame(100), patients_schema(), targets=np.array(targets, dtype=int))
