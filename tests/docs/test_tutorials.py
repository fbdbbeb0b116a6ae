"""A new user gets from an empty folder to the end of each tutorial, word for word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.release import verify
from tests.docs.walkthrough import Reader, blocks, matches

DOCS = Path(__file__).parents[2] / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DPSYNTH_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    return folder


def made_up_adult(schema: dp.Schema, rows: int) -> str:
    """Lines of the form of ``adult.data``: no header, a space after commas, " ?" for missing."""
    rng = np.random.default_rng(0)
    columns = []
    for name in ("age", "workclass", "", "", "education-num", "marital-status", "occupation",
                 "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week",
                 "native-country", "income"):  # fmt: skip
        if not name:  # not in the schema
            columns.append(rng.integers(0, 10**6, rows).astype(str))
            continue
        facts = schema.column(name)
        if facts.categories:
            levels = [*facts.categories, "?"] if facts.missing else list(facts.categories)
            columns.append(rng.choice(levels, rows))
        else:
            low, high = facts.bounds
            columns.append(rng.integers(int(low), int(high) + 1, rows).astype(str))
    return "\n".join(", ".join(cells) for cells in zip(*columns, strict=True)) + "\n\n"


def test_quickstart(empty: Path) -> None:
    reader = Reader(DOCS / "tutorials" / "quickstart.md")
    reader.follow()
    assert reader.run == 9
    assert len(pd.read_csv("synthetic.csv")) == 20_000


def test_release_a_health_table(empty: Path) -> None:
    Reader(DOCS / "tutorials" / "health-table.md").follow()
    checks = verify(Path("release"), key=Path("custodian.key.pub"))
    assert all(check.passed for check in checks)
    synthetic = pd.read_parquet("release/synthetic.parquet")
    assert synthetic["zper"].is_unique  # as the page says: years of one person are not linked
    # What was refused left nothing.
    assert not Path("second").exists()
    assert not Path("second-internal").exists()


def test_release_of_your_own_file(empty: Path) -> None:
    page = DOCS / "tutorials" / "adult.md"
    schema = dp.Schema.read(page.with_suffix(".toml"))
    Path("adult.data").write_text(made_up_adult(schema, 2500), encoding="utf-8")
    Reader(page).follow()
    assert all(check.passed for check in verify(Path("release")))


def test_the_trade_off(empty: Path) -> None:
    Reader(DOCS / "tutorials" / "trade-off.md").follow()
    assert Path("evaluate.html").stat().st_size > 10_000
    assert Path("sweep/utility.svg").exists()


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_what_is_not_executed_says_why(page: Path) -> None:
    found = list(blocks(page.read_text(encoding="utf-8")))
    assert any(block.is_run for block in found)
    for block in found:
        if block.note:
            assert block.note.startswith("exit ") or len(block.note) > len("not executed: ") + 10


def test_an_output_that_is_another_one_is_noticed() -> None:
    assert matches("ε = 3, …\n…\nend", "ε =  3, spent\nmore\n\nmore\nend\n")
    assert not matches("ε = 3, …\n…\nend", "ε = 4, spent\nend\n")
    assert not matches("end", "begin\nend\n")
