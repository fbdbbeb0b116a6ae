"""The benchmark of an evaluation runs and names every part."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import detection, prediction
from benchmarks.evaluate import parts
from benchmarks.evaluation_cost import KINDS, main, mixed_frame, mixed_schema
from dpsynth.table import violations


def test_the_law_fits_its_schema_and_has_all_kinds() -> None:
    schema = mixed_schema(20)
    frame = mixed_frame(schema, 500, np.random.default_rng(0))
    assert frame.shape == (500, 20)
    assert not list(violations(frame, schema))
    assert frame.isna().any().sum() == sum(KINDS[i % len(KINDS)] == "nullable" for i in range(20))
    assert {str(column.kind) for column in schema.columns} == {
        "boolean",
        "categorical",
        "integer",
        "ordinal",
        "real",
    }


def test_every_part_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detection, "_ITERATIONS", 5)
    monkeypatch.setattr(prediction, "DRAWS", 20)
    main(["--rows", "300", "--columns", "4"])
    shown = capsys.readouterr().out
    lines = [line.split()[0] for line in shown.splitlines()]
    names = [part.__name__.rpartition(".")[2] for part in parts()]
    assert lines == ["part", "conform", *names, "all", "peak"]
