"""Figures, tables and sentences: those of the results, the same for the same results."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from dpsynth.bench import figures, page
from dpsynth.bench.headlines import HEADLINES, of, shown, spread, takeaways
from dpsynth.bench.markdown import markdown
from dpsynth.bench.store import COLUMNS


def results(*, failing: bool = True) -> pd.DataFrame:
    """Two methods, two budgets, three repetitions; the second is better at ε = 3 alone."""
    errors = {("one", 1.0): 0.2, ("one", 3.0): 0.1, ("two & <three>", 1.0): 0.3}
    errors["two & <three>", 3.0] = 0.05
    lines = []
    for (method, epsilon), error in errors.items():
        for seed in range(3):
            run = f"{method}-{epsilon}-{seed}"
            about = {
                "dataset": "patients",
                "method": method,
                "guarantee": "proved",
                "epsilon": epsilon,
                "delta": 1e-5,
                "seed": seed,
                "status": "done",
                "seconds": 1.0,
                "cpu_seconds": 0.5,
                "run": run,
            }
            lines += [
                {**about, "metric": "tvd2.mean", "value": error + 0.01 * seed, "floor": 0.02},
                {
                    **about,
                    "metric": "attack.auc",
                    "value": 0.51 + 0.01 * seed,
                    "floor": 0.5,
                    "reference": 0.7,
                    "ci_low": 0.49,
                    "ci_high": 0.56,
                },
            ]
    if failing:
        lines.append(
            {
                **about,
                "method": "three",
                "run": "x",
                "status": "failed",
                "code": "DPS342",
                "message": "no | <table>",
            }
        )
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(COLUMNS)


def test_medians_and_ranges_are_those_of_the_repetitions() -> None:
    rows = of(results(), HEADLINES[0])
    found = spread(rows[rows["method"] == "one"])
    assert {e: tuple(round(v, 9) for v in values) for e, values in found.items()} == {
        1.0: (0.21, 0.2, 0.22),
        3.0: (0.11, 0.1, 0.12),
    }
    text = markdown(results())
    assert "| patients | 1 | one | proved | 3 | 0.2100 (0.2000–0.2200) | 0.5200" in text
    assert "| patients | 3 | three | proved | 0 | failed | failed |" in text
    assert "| patients | three | 3 | 1 | DPS342 | no / <table> |" in text
    assert [line.title for line in shown(results())] == ["two-way error"]


def test_sentences_name_who_is_ahead() -> None:
    (error, attack) = takeaways(results())["patients"]
    assert error == (
        "Two-way error, best median: one (ε = 1); two & <three> (ε = 3). Sampling alone: 0.020."
    )
    assert "between 0.510 and 0.530; 0 of 12 runs are certainly above chance" in attack


@pytest.mark.parametrize("draw", [figures.utility, figures.frontier])
def test_a_figure_is_the_same_for_the_same_results(draw: object) -> None:
    assert callable(draw)
    first, again = draw(results()), draw(results())
    assert first == again
    assert "<dc:date>" not in first
    texts = {element.text for element in ElementTree.fromstring(first).iter() if element.text}
    assert {"one", "two & <three>", "patients"} <= texts


def test_methods_are_told_by_colour_and_by_marker() -> None:
    drawn = list(figures.styles(results()).values())
    assert len({style.colour for style in drawn}) == len({s.marker for s in drawn}) == 3
    many = pd.DataFrame({"method": [f"m{k}" for k in range(20)]})
    assert len(set(figures.styles(many).values())) == 20


def test_nothing_is_drawn_of_what_was_not_measured() -> None:
    frame = results()
    assert figures.frontier(frame[frame["metric"] != "attack.auc"]) is None
    assert figures.utility(frame[frame["metric"] != "tvd2.mean"]) is None


def test_the_page_stands_alone_and_escapes_names(tmp_path: Path) -> None:
    written = page.write(results(), tmp_path, planned=20)
    text = written.read_text()
    assert "two &amp; &lt;three&gt;" in text
    assert "<three>" not in text.replace("&lt;three&gt;", "")
    assert text.count("<svg") == 2
    # Links lead to parts of the page; namespaces are names, nobody asks for them.
    assert all(link.startswith("#") for link in re.findall(r'(?:href|src)="([^"]*)"', text))
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)\)", text))
    assert "1 failed, 7 not made yet" in text
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    page.write(results(), tmp_path, planned=20)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
