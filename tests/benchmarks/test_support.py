"""What was invented, what was dropped, and what a fresh sample does."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.discretise import Tables
from benchmarks.report import Section
from benchmarks.support import measure
from tests.benchmarks.conftest import corrupted, pair_frame, pair_tables


def run(tables: Tables) -> Section:
    return measure(tables, rng=np.random.default_rng(0))


def value(section: Section, name: str) -> float:
    return next(metric.value for metric in section.metrics if metric.name == name)


def test_masses_are_those_of_the_definition() -> None:
    tables = pair_tables(pair_frame(1500, 3))  # as many rows as are held out: none is left out
    found = run(tables)
    for name, here, there in (
        ("support.invented", tables.fit, tables.synthetic),
        ("support.dropped", tables.synthetic, tables.fit),
    ):
        masses = []
        for pair in ((0, 1), (0, 2), (1, 2)):
            known = set(map(tuple, here.codes[:, pair].tolist()))
            rows = list(map(tuple, there.codes[:, pair].tolist()))
            masses.append(np.mean([row not in known for row in rows]))
        assert value(found, name) == pytest.approx(np.mean(masses))


def test_a_level_that_was_lost_lowers_the_recall_and_is_dropped() -> None:
    frame = pair_frame(1500, 3)
    lost = frame[frame["g"] != "c"]
    assert value(run(pair_tables(frame)), "support.recall") == 1.0
    section = run(pair_tables(lost))
    assert value(section, "support.recall") < 1.0
    assert value(section, "support.dropped") > 0.2
    assert "g" in section.worst["support.dropped"][0].columns


def test_scrambled_columns_invent_pairs() -> None:
    shares = [
        value(run(pair_tables(corrupted(pair_frame(1500, 3), share))), "support.invented")
        for share in (0.0, 0.3, 1.0)
    ]
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.1


def test_every_figure_has_an_interval_and_references() -> None:
    section = run(pair_tables(corrupted(pair_frame(1500, 3), 0.3)))
    found = {metric.name: metric for metric in section.metrics}
    for name in ("support.invented", "support.dropped"):
        metric = found[name]
        assert 0 <= metric.ci_low < metric.value < metric.ci_high <= 1
        assert metric.references["holdout"] == metric.floor
    invented = found["support.invented"]
    assert invented.reference > invented.value > invented.floor
    assert 0 < invented.skill < 1
    assert found["support.recall"].skill is None
