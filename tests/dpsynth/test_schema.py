"""Schemas: every kind, every refusal with column and fix, a draft that copies no value."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import SchemaError
from dpsynth.schema import MAX_LEVELS, Kind, canonical_level
from tests.conftest import patients_frame, patients_schema

EXAMPLE = """
[table]
name = "admissions"
rows = "private"
unit = { id = "patient_id", max_rows = 4 }

[columns.patient_id]
kind = "key"

[columns.sex]
kind = "categorical"
categories = ["F", "M", "X"]
other = "X"
source = "codebook v3"

[columns.age]
kind = "integer"
outside = "null"
source = "preset:human_age"

[columns.los_days]
kind = "real"
bounds = [0, 90]
decimals = 1
missing = true
source = "policy s4.2"

[columns.icd]
kind = "categorical"
categories = "discover"
source = "dp"

[columns.admitted]
kind = "datetime"
bounds = ["2020-01-01", "2025-12-31"]
unit = "day"
source = "reporting period"

[columns.died]
kind = "boolean"
role = "target"
source = "codebook v3"

[evaluation]
protected = ["sex"]
formulas = ["died ~ sex + age + los_days"]
"""


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "schema.toml"
    path.write_text(EXAMPLE)
    return path


def test_the_example_reads_as_it_says(example: Path) -> None:
    schema = dp.Schema.read(example)
    assert (schema.rows, schema.unit.column, schema.unit.max_rows) == (None, "patient_id", 4)
    assert [str(column.kind) for column in schema.columns] == [
        "key", "categorical", "integer", "real", "categorical", "datetime", "boolean",
    ]  # fmt: skip
    assert schema.column("age").bounds == (0, 120)
    assert schema.column("admitted").bounds == (18262.0, 20453.0)
    assert schema.column("died").levels == ("false", "true", "other")
    assert schema.column("sex").levels == ("F", "M", "X")
    assert schema.column("icd").discovers
    assert schema.target is schema.column("died")
    assert [column.name for column in schema.keys] == ["patient_id"]
    assert not schema.research
    assert "admissions" in repr(schema)


def test_writing_and_reading_is_the_identity(example: Path, tmp_path: Path) -> None:
    schema = dp.Schema.read(example)
    schema.write(tmp_path / "again.toml")
    again = dp.Schema.read(tmp_path / "again.toml")
    assert again == schema
    assert again.digest() == schema.digest()
    assert dp.Schema.from_dict(patients_schema().to_dict()) == patients_schema()


def test_the_digest_notices_every_fact(example: Path) -> None:
    text = example.read_text()
    digests = {dp.Schema.read(example).digest()}
    for old, new in (("[0, 90]", "[0, 91]"), ("max_rows = 4", "max_rows = 5"), ("v3", "v4")):
        example.write_text(text.replace(old, new))
        digests.add(dp.Schema.read(example).digest())
    assert len(digests) == 4


REFUSED = [
    ("bounds = [0, 90]", "bounds = [90, 0]", "los_days", "reversed"),
    ("bounds = [0, 90]", "bounds = [5, 5]", "los_days", "constant"),
    ("bounds = [0, 90]", "bounds = [0, inf]", "los_days", "finite"),
    ("bounds = [0, 90]", "bounds = [-1e308, 1e308]", "los_days", "too far apart"),
    ("bounds = [0, 90]", "bounds = [0, 1e-310]", "los_days", "too near"),
    ('outside = "null"', "bounds = [0, 3e18]", "age", "beyond 2^61"),
    ("bounds = [0, 90]", 'bounds = ["a", 1]', "los_days", "numbers"),
    ("bounds = [0, 90]", "bounds = [1]", "los_days", "two values"),
    ("bounds = [0, 90]", 'bounds = "TODO"', "los_days", "TODO"),
    ("bounds = [0, 90]\n", "", "los_days", "missing"),
    ("decimals = 1", "decimals = -1", "los_days", "decimals"),
    ("missing = true", 'missing = "yes"', "los_days", "missing must be"),
    ('kind = "real"', 'kind = "float"', "los_days", "unknown kind"),
    ('kind = "real"\n', "", "los_days", "kind is missing"),
    ('source = "policy s4.2"', 'source = ""', "los_days", "source"),
    ('source = "policy s4.2"', 'source = "TODO"', "los_days", "source"),
    ('outside = "null"', 'outside = "drop"', "age", "outside"),
    ('"preset:human_age"', '"preset:dog_age"', "age", "preset"),
    ('["F", "M", "X"]', '["F", "M", "F ", "X"]', "sex", "repeat"),
    ('["F", "M", "X"]', "[]", "sex", "fewer than two"),
    ('["F", "M", "X"]', '["X"]', "sex", "fewer than two"),
    ('["F", "M", "X"]', '"TODO"', "sex", "TODO"),
    ('other = "X"', 'other = "Y"', "sex", "other"),
    ('"discover"\nsource = "dp"', '"discover"\nsource = "x"', "icd", "dp"),
    ('"2020-01-01"', '"yesterday"', "admitted", "ISO"),
    ('unit = "day"', 'unit = "week"', "admitted", "unit"),
    ('role = "target"', 'role = "goal"', "died", "role"),
    ('id = "patient_id"', 'id = "nobody"', "nobody", "not in the schema"),
    ('id = "patient_id"', 'id = "sex"', "sex", "no key"),
    ("max_rows = 4", "max_rows = 0", "", "max_rows"),
    ('rows = "private"', "rows = -3", "", "rows"),
    ('protected = ["sex"]', 'protected = ["race"]', "race", "protected"),
    ("died ~ sex + age", "died ~ sex + race", "race", "formula"),
    ("died ~ sex + age", "died ~ sex * age", "sex * age", "formula"),
    ("died ~ sex + age", "died ~ sex + patient_id", "patient_id", "key"),
    ("died ~ sex + age", "died + sex + age", "", "no formula"),
    ("died ~ sex + age", "died ~ sex + sex", "", "no formula"),
    ("died ~ sex + age", "died ~ sex ~ age", "", "no formula"),
    ('decimals = 1', 'decimal = 1', "los_days", "unknown key"),
    ("[evaluation]", "[evaluations]", "", "unknown section"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "column", "word"), REFUSED)
def test_refusals_name_column_and_fix(
    old: str, new: str, column: str, word: str, example: Path
) -> None:
    assert old in EXAMPLE
    example.write_text(EXAMPLE.replace(old, new))
    with pytest.raises(SchemaError) as refusal:
        dp.Schema.read(example)
    message = str(refusal.value)
    assert refusal.value.exit_code == 3
    assert column in message
    assert word in message
    assert "Fix:" in message


def test_all_problems_are_named_at_once(example: Path) -> None:
    text = EXAMPLE.replace("[0, 90]", "[90, 0]").replace('other = "X"', 'other = "Y"')
    example.write_text(text.replace('"codebook v3"', '""'))
    with pytest.raises(SchemaError) as refusal:
        dp.Schema.read(example)
    message = str(refusal.value)
    assert all(word in message for word in ("'los_days'", "'sex'", "'died'", "4 problems"))


def test_two_targets_and_too_many_levels() -> None:
    document = patients_schema().to_dict()
    document["columns"]["ward"] |= {"role": "target"}
    document["columns"]["grade"]["categories"] = [str(i) for i in range(MAX_LEVELS + 1)]
    with pytest.raises(SchemaError, match="more than one target") as refusal:
        dp.Schema.from_dict(document)
    assert f"more than {MAX_LEVELS}" in str(refusal.value)


@pytest.mark.parametrize("content", [b"not [toml", b"\xff\xfe", None])
def test_files_that_are_no_schema(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "schema.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SchemaError, match="DPS201"):
        dp.Schema.read(path)


def test_a_source_from_the_data_is_marked() -> None:
    document = patients_schema().to_dict()
    document["columns"]["age"]["source"] = "data"
    assert dp.Schema.from_dict(document).research


@pytest.mark.parametrize(
    ("text", "whole", "canonical"),
    [
        ("1.0", True, "1"),
        ("01", True, "1"),
        (" 7 ", True, "7"),
        ("1.0", False, "1.0"),
        ("-0", True, "0"),
    ],
)
def test_canonical_levels(text: str, whole: bool, canonical: str) -> None:
    assert canonical_level(text, whole=whole) == canonical


def test_the_reserved_level_avoids_declared_ones() -> None:
    document = patients_schema().to_dict()
    document["columns"]["ward"]["categories"] = ["a", "other"]
    assert dp.Schema.from_dict(document).column("ward").levels == ("a", "other", "other_")


@pytest.mark.parametrize("how", ["frame", "csv", "parquet"])
def test_a_draft_copies_no_value(how: str, tmp_path: Path) -> None:
    frame = patients_frame(20).assign(ward="ZQXSENTINEL", visit_no=range(20))
    source: object = frame
    if how != "frame":
        source = tmp_path / f"t.{how}"
        getattr(frame, f"to_{how}")(source, index=False)
    text = dp.Schema.draft(source, name="visits")
    assert "ZQXSENTINEL" not in text
    assert "TODO" in text
    path = tmp_path / "draft.toml"
    path.write_text(text)
    with pytest.raises(SchemaError) as refusal:
        dp.Schema.read(path)
    assert "'age'" in str(refusal.value)
    assert '"visit_no"]\nkind = "key"' in text
    if how != "csv":
        assert '"age"]\nkind = "integer"' in text
        assert '"admitted"]\nkind = "datetime"' in text


def test_a_draft_ignores_categories_that_a_dtype_carries() -> None:
    frame = pd.DataFrame({"x": pd.Categorical(["ZQXSENTINEL"])})
    assert "ZQXSENTINEL" not in dp.Schema.draft(frame)


def test_kinds_are_closed() -> None:
    assert {str(kind) for kind in Kind} == {
        "categorical", "ordinal", "boolean", "integer", "real", "datetime", "key",
    }  # fmt: skip
    assert np.all(
        [column.is_numeric != column.is_discrete for column in patients_schema().modelled]
    )


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('kind = "real"', 'kind = ["real"]', "unknown kind"),
        ('unit = "day"', 'unit = ["day"]', "unknown unit"),
        ("max_rows = 4", "max_rows = inf", "table.unit"),
        ("max_rows = 4", 'max_rows = 4, relation = ["a"]', "relation"),
        ("bounds = [0, 90]", f"bounds = [0, 1{'0' * 400}]", "finite"),
    ],
)
def test_values_of_the_wrong_shape_are_problems_too(
    old: str, new: str, word: str, example: Path
) -> None:
    example.write_text(EXAMPLE.replace(old, new))
    with pytest.raises(SchemaError, match=word):
        dp.Schema.read(example)


def test_other_and_booleans_are_canonical() -> None:
    document = patients_schema().to_dict()
    document["columns"]["sex"] |= {"categories": [1, 2], "other": 2.0}
    document["columns"]["died"]["categories"] = ["False", "True"]
    schema = dp.Schema.from_dict(document)
    assert schema.column("sex").other == "2"
    assert schema.column("died").levels == ("false", "true", "other")


def test_a_draft_is_toml_whatever_the_names() -> None:
    names = ['a"b\\', "a\nb", "a\x07\x7f", "ä🙂"]
    text = dp.Schema.draft(pd.DataFrame(columns=names), name="x\ny")
    assert list(tomllib.loads(text)["columns"]) == names
