"""The study goes on where it stopped and writes its page."""

from __future__ import annotations

import numpy as np
import pytest

from privacy_audits.canaries import bench, tightness

COUNTS = bench.SETTINGS[2]


@pytest.fixture
def only_counts(monkeypatch):
    ran = []
    real = tightness.run_line

    def counted(*args):
        ran.append(args)
        return real(*args)

    monkeypatch.setattr(tightness, "SETTINGS", (COUNTS,))
    monkeypatch.setattr(tightness, "run_line", counted)
    return ran


def test_a_study_that_was_cut_off_goes_on(tmp_path, only_counts):
    runs, page = tmp_path / "runs.jsonl", tmp_path / "page.md"
    arguments = ["--runs", str(runs), "--page", str(page), "--seeds", "2", "--canaries", "60"]
    tightness.main(arguments)
    whole, first_page = runs.read_text(encoding="utf-8"), page.read_text(encoding="utf-8")
    assert len(only_counts) == 8

    lines = whole.splitlines(keepends=True)
    runs.write_text("".join(lines[:5]) + lines[5][:40], encoding="utf-8")
    tightness.main(arguments)
    assert len(only_counts) == 8 + 3

    again = tightness.read_lines(runs)
    before = [tightness.Line(**tightness.json.loads(line)) for line in lines]
    assert [line.key for line in again] == [line.key for line in before]
    assert [line.lower for line in again] == [line.lower for line in before]
    assert page.read_text(encoding="utf-8") == first_page
    assert "private" not in first_page
    assert first_page.count(f"| {COUNTS.name} |") == 8


def test_budgets_are_met_by_every_setting():
    for setting in (bench.SETTINGS[0], COUNTS):
        audit = setting.simulate(0, 60)
        assert 3.95 < audit.claim <= bench.BUDGET.epsilon


def test_half_the_noise_is_seen_in_a_study(only_counts):
    audits = [COUNTS.audit(seed, factor, 300) for seed in range(3) for factor in (1.0, 0.5)]
    above = np.array([a.conformance.lower > a.claim for a in audits]).reshape(3, 2)
    assert above.tolist() == [[False, True]] * 3
