"""Groups of codes: complete, no more than noise leaves, heavy values alone."""

from __future__ import annotations

import numpy as np
import pytest

import dpsynth as dp
from dpsynth.codec import Codec, CodecSettings
from dpsynth.marginals.groups import MOST_GROUPS, Groups, group_codes
from dpsynth.noise import NoiseSource
from dpsynth.table import load
from tests.privacy_audits.rigs import codec_plan

ROWS = 4000


def codec_of(**columns: tuple[dict, np.ndarray]) -> Codec:
    import pandas as pd

    facts = {name: {**fact, "source": "book"} for name, (fact, _) in columns.items()}
    schema = dp.Schema.from_dict({"table": {"name": "t", "rows": "private"}, "columns": facts})
    frame = pd.DataFrame({name: values for name, (_, values) in columns.items()})
    noise = NoiseSource.seeded(3)
    table = load(frame, schema, rng=noise.generator)
    plan = codec_plan(schema, sigma=4.0)
    return Codec.fit(table, plan=plan, settings=CodecSettings(), noise=noise)[0]


@pytest.fixture(scope="module")
def codec() -> Codec:
    rng = np.random.default_rng(0)
    amounts = np.where(rng.random(ROWS) < 0.7, 0, rng.integers(1, 10_000, ROWS))
    levels = [f"level {k}" for k in range(60)]
    shares = 1 / (1 + np.arange(60.0)) ** 2
    return codec_of(
        amount=({"kind": "integer", "bounds": [0, 10_000]}, amounts),
        level=(
            {"kind": "categorical", "categories": levels},
            rng.choice(levels, ROWS, p=shares / shares.sum()),
        ),
        even=(
            {"kind": "categorical", "categories": levels, "missing": True},
            rng.choice(levels, ROWS),
        ),
    )


@pytest.mark.parametrize("sigma", [1e-6, 1.0, 20.0, 1e6])
def test_every_code_has_a_group_and_groups_are_few(codec: Codec, sigma: float) -> None:
    for part, size in zip(
        group_codes(codec, sigma=sigma, least_ordered=1.0, least_level=1.0),
        codec.sizes,
        strict=True,
    ):
        assert part.of_code.shape == part.shares.shape == (size,)
        assert sorted(set(part.of_code.tolist())) == list(range(part.size))
        assert part.size <= MOST_GROUPS
        assert part.codes.sum() == size
        assert part.masses.sum() == pytest.approx(part.shares.sum())


def test_more_noise_leaves_fewer_groups(codec: Codec) -> None:
    sizes = [
        [g.size for g in group_codes(codec, sigma=s, least_ordered=1.0, least_level=1.0)]
        for s in (1.0, 5.0, 25.0, 125.0)
    ]
    assert all(
        a >= b
        for few, many in zip(sizes[1:], sizes, strict=False)
        for b, a in zip(few, many, strict=True)
    )
    assert sizes[0] > sizes[-1]


def test_groups_of_an_ordered_column_are_ranges_and_a_heavy_value_stays_alone(
    codec: Codec,
) -> None:
    amount = group_codes(codec, sigma=20.0, least_ordered=1.0, least_level=1.0)[0]
    assert (np.diff(amount.of_code[:-1]) >= 0).all()
    zero = amount.of_code[int(np.argmax(amount.shares))]
    assert amount.codes[zero] <= 2
    assert amount.size > 2


def test_rare_levels_are_one_group(codec: Codec) -> None:
    level = group_codes(codec, sigma=10.0, least_ordered=1.0, least_level=1.0)[1]
    rare = level.size - 1
    assert level.codes[rare] > 40
    assert (level.codes[:rare] == 1).all()
    assert level.masses[:rare].min() > 10.0


def test_codes_that_are_never_emitted_have_no_share(codec: Codec) -> None:
    for part, codes in zip(
        group_codes(codec, sigma=1.0, least_ordered=1.0, least_level=1.0),
        codec.codes.values(),
        strict=True,
    ):
        assert not part.shares[~codes.usable].any()


def test_a_group_without_rows_of_its_own_stands_for_its_usable_codes_and_never_for_others() -> None:
    part = Groups(of_code=np.array([0, 1, 1, 2, 2]), shares=np.array([7.0, 0.0, 0.0, 0.0, 3.0]))
    usable = np.array([True, True, True, False, True])
    np.testing.assert_array_equal(
        part.within(usable), [[7, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 3]]
    )
    idle = Groups(of_code=np.array([0, 0, 1]), shares=np.array([7.0, 3.0, 0.0]))
    np.testing.assert_array_equal(
        idle.within(np.array([True, True, False])), [[7, 3, 0], [7, 3, 0]]
    )
