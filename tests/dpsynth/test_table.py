"""Tables: form is refused, values never are, units are bounded and split whole."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import dpsynth as dp
from dpsynth.errors import DataError, IntegrityError, UsageError
from dpsynth.table import (
    TableReader,
    conform,
    load,
    preflight,
    read_frame,
    split,
    violations,
    write_frame,
)
from tests.conftest import patients_frame, patients_schema


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("how", ["frame", "csv", "parquet", "arrow"])
def test_every_source_gives_the_same_columns(how: str, tmp_path: Path, schema: dp.Schema) -> None:
    frame = patients_frame(50)
    source = {"frame": frame, "arrow": pa.Table.from_pandas(frame)}.get(how)
    if source is None:
        source = tmp_path / f"patients.{how}"
        write_frame(frame, source)
    ours, plain = conform(source, schema), conform(frame, schema)
    for name in plain:
        if plain[name].dtype == object:
            assert ours[name].tolist() == plain[name].tolist(), name
        else:
            np.testing.assert_array_equal(ours[name], plain[name], err_msg=name)


def one(kind: str, values: list, **facts: object) -> list:
    """Conform a single column."""
    schema = dp.Schema.from_dict(
        {
            "table": {"name": "t"},
            "columns": {"x": {"kind": kind, "source": "test", **facts}},
        }
    )
    return conform(pd.DataFrame({"x": pd.Series(values, dtype=object)}), schema)["x"].tolist()


def test_policies_for_values_that_do_not_fit() -> None:
    bounds = {"bounds": [0, 10]}
    assert one("integer", [-5, 3.4, "7", "many", None, np.inf], **bounds)[:3] == [0, 3, 7]
    assert np.isnan(one("integer", ["many", None], **bounds)).all()
    assert one("integer", [np.inf, -np.inf], **bounds) == [10, 0]
    assert np.isnan(one("integer", [11, np.inf], outside="null", **bounds)).all()


def test_levels_compare_as_canonical_text() -> None:
    assert one("categorical", [1, 1.0, "1", "1.0", " 2 "], categories=["1", "2"]) == [
        "1", "1", "1", "1", "2",
    ]  # fmt: skip
    assert one("categorical", ["1.0", "a"], categories=["1.0", "a"]) == ["1.0", "a"]
    assert one("boolean", [True, "True", "false", 0, "1", 1.0]) == [
        "true", "true", "false", "false", "true", "true",
    ]  # fmt: skip
    # A level that is declared is no null, however it is spelled.
    assert one("categorical", ["None", "NA", "x"], categories=["None", "x"]) == ["None", None, "x"]


def test_datetimes_become_whole_units() -> None:
    facts = {"bounds": ["1970-01-01", "1980-01-01"], "unit": "day"}
    stamps = ["1970-01-03", "1970-01-03T23:59:59", pd.Timestamp("1970-01-02"), "soon", "1999-01-01"]
    days = one("datetime", stamps, **facts)
    assert days[:3] == [2, 2, 1]
    assert np.isnan(days[3])
    assert days[4] == 3652


def test_units_are_bounded_at_random(unit_schema: dp.Schema) -> None:
    frame = pd.concat([patients_frame(9).assign(patient=7, age=range(20, 29))] * 1)
    kept = [
        tuple(sorted(load(frame, unit_schema, rng=np.random.default_rng(s)).values["age"]))
        for s in range(40)
    ]
    assert all(len(ages) == 3 for ages in kept)
    assert len(set(kept)) > 10
    assert {age for ages in kept for age in ages} == set(range(20, 29))


@pytest.mark.parametrize("null", [None, "", "NA", np.nan])
def test_rows_without_a_unit_are_dropped(null: object, unit_schema: dp.Schema) -> None:
    frame = patients_frame(30).astype({"patient": object})
    frame.loc[:8, "patient"] = null
    table = load(frame, unit_schema, rng=rng())
    assert (table.n_units, table.n_rows) == (7, 21)
    fit, held = split(frame, unit_schema, holdout=0.5, rng=rng())
    assert len(fit) + len(held) == 21


def test_order_and_names_of_units_do_not_matter(unit_schema: dp.Schema) -> None:
    table = load(patients_frame(90), unit_schema, rng=rng())
    assert sorted(np.bincount(table.unit_index)) == [3] * 30


def test_split_keeps_units_whole(unit_schema: dp.Schema) -> None:
    fit, held = split(patients_frame(3000), unit_schema, holdout=0.3, rng=rng())
    assert not set(fit["patient"]) & set(held["patient"])
    assert len(fit) + len(held) == 3000
    assert 0.22 < len(held) / 3000 < 0.38


def test_split_of_a_neighbour_moves_that_unit_only(unit_schema: dp.Schema) -> None:
    frame = patients_frame(300)
    extra = patients_frame(3).assign(patient=10**6)
    a = split(frame, unit_schema, holdout=0.3, rng=rng())
    b = split(pd.concat([frame, extra]), unit_schema, holdout=0.3, rng=rng())
    for one_side, other_side in zip(a, b, strict=True):
        assert set(other_side["patient"]) - {10**6} == set(one_side["patient"])


class Permit:
    def __init__(self, state: str) -> None:
        self.state = state


def test_rows_are_read_only_under_a_touched_charge(schema: dp.Schema) -> None:
    reader = TableReader(patients_frame(10), schema)
    for state in ("reserved", "committed", "aborted"):
        with pytest.raises(UsageError, match="DPS112"):
            reader.read(Permit(state), rng=rng())
    assert reader.read(Permit("touched"), rng=rng()).n_rows == 10


def test_repr_shows_neither_rows_nor_counts(schema: dp.Schema) -> None:
    shown = repr(load(patients_frame(137), schema, rng=rng()))
    assert "137" not in shown
    assert "age: integer" in shown


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


HEADER = ",".join(patients_frame(1).columns)
ROW = "1,F,a,low,40,1.5,2021-01-01,true"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "DPS252"),
        (b"\n", "DPS252"),
        (b"\x89PNG\r\n\x1a\n\x00", "DPS253"),
        (HEADER.encode(), "DPS255"),
        (f"{HEADER}\n{ROW}\n{ROW},more\n".encode(), "DPS256"),
        (f"{HEADER}\n{ROW}\n1,F\n".encode(), "DPS256"),
        (
            f"{HEADER}\n{ROW}\n".encode() + "1,F,é,low,4,1,2021-01-01,true".encode("latin1"),
            "DPS253",
        ),
        (f"{HEADER},age\n{ROW},4\n".encode(), "DPS254"),
        (f"{HEADER.replace('ward', 'wards')}\n{ROW}\n".encode(), "DPS250"),
    ],
)
def test_form_is_refused(content: bytes, code: str, tmp_path: Path, schema: dp.Schema) -> None:
    with pytest.raises(DataError, match=code) as refusal:
        preflight(write(tmp_path / "t.csv", content), schema)
    assert refusal.value.exit_code == 3
    assert refusal.value.fix
    assert refusal.value.__cause__ is None


def test_a_near_name_is_suggested(schema: dp.Schema) -> None:
    with pytest.raises(DataError, match="did you mean 'Ward'"):
        preflight(patients_frame(3).rename(columns={"ward": "Ward"}), schema)


@pytest.mark.parametrize("name", ["absent.csv", "table.xlsx", "broken.parquet"])
def test_files_that_are_no_tables(name: str, tmp_path: Path, schema: dp.Schema) -> None:
    if not name.startswith("absent"):
        write(tmp_path / name, b"not a table")
    with pytest.raises(DataError, match=r"DPS25[12]"):
        preflight(tmp_path / name, schema)


def test_nested_dtypes_are_refused(schema: dp.Schema) -> None:
    frame = pa.Table.from_pandas(patients_frame(2)).set_column(4, "age", [[[1], [2]]])
    with pytest.raises(DataError, match=r"DPS257 column 'age'"):
        preflight(frame, schema)


def test_columns_that_the_schema_does_not_name_are_ignored(schema: dp.Schema) -> None:
    frame = patients_frame(4).assign(secret=[object()] * 4)
    assert "secret" not in conform(frame, schema)


def test_write_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_frame(patients_frame(3), path)
    with pytest.raises(IntegrityError) as refusal:
        write_frame(patients_frame(4), path)
    assert refusal.value.exit_code == 6
    assert len(read_frame(path)) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
    with pytest.raises(UsageError, match=r"csv or \.parquet"):
        write_frame(patients_frame(3), tmp_path / "t.txt")


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"age": 121}, ["age"]),
        ({"age": 4.5}, ["age"]),
        ({"age": None}, ["age"]),
        ({"stay": None}, []),
        ({"stay": 1.25}, ["stay"]),
        ({"ward": "z"}, ["ward"]),
        ({"ward": "other"}, []),
        ({"sex": "other"}, ["sex"]),
        ({"admitted": "1999-01-01"}, ["admitted"]),
        ({"admitted": "never"}, ["admitted"]),
    ],
)
def test_violations_name_the_column(
    change: dict, broken: list[str], schema: dp.Schema, tmp_path: Path
) -> None:
    frame = patients_frame(5).astype(object).assign(**change)
    assert violations(frame, schema) == broken
    write_frame(frame, tmp_path / "t.csv")
    assert violations(read_frame(tmp_path / "t.csv"), schema) == broken


def test_schema_without_the_column_is_named() -> None:
    assert violations(patients_frame(2).drop(columns="age"), patients_schema()) == ["age"]


ODD = {
    "one row": lambda f: f.head(1),
    "constant column": lambda f: f.assign(ward="a", age=44),
    "all missing": lambda f: f.assign(age=None, ward=None, admitted=None, died=None),
    "not a number": lambda f: f.assign(age="many", stay="-"),
    "NaN and infinity": lambda f: f.assign(age=np.nan, stay=[np.inf, -np.inf, np.nan] * 20),
    "beyond float64": lambda f: f.assign(age="9" * 400, stay="1e400"),
    "no date": lambda f: f.assign(admitted="2020-13-45"),
    "unseen level": lambda f: f.assign(ward="z", sex="?", died="perhaps"),
    "1e5 levels": lambda f: f.loc[f.index.repeat(2000)].head(10**5).assign(ward=range(10**5)),
}


@pytest.mark.parametrize("how", ["frame", "csv"])
@pytest.mark.parametrize("case", sorted(ODD))
def test_no_value_is_refused(case: str, how: str, tmp_path: Path, schema: dp.Schema) -> None:
    frame = ODD[case](patients_frame(60))
    source: object = frame
    if how == "csv":
        source = tmp_path / "t.csv"
        write_frame(frame, source)
    preflight(source, schema)
    table = load(source, schema, rng=rng())
    assert table.n_rows == len(frame)
    for column in schema.modelled:
        values = table.values[column.name]
        if column.is_numeric:
            low, high = column.bounds
            present = values[~np.isnan(values)]
            assert ((present >= low) & (present <= high)).all()
        else:
            assert all(value is None or isinstance(value, str) for value in values)


OBJECTS = {
    "long": 10**5000,
    "long and negative": -(10**5000),
    "loud": Decimal("sNaN"),
    "half a character": "a\ud800",
}


@pytest.mark.parametrize("case", sorted(OBJECTS))
@pytest.mark.parametrize("column", ["sex", "age", "stay", "admitted", "died", "patient"])
def test_no_object_in_a_frame_is_refused(case: str, column: str) -> None:
    frame = patients_frame(12).astype(object)
    frame[column] = pd.Series([OBJECTS[case]] * 6 + frame[column].tolist()[6:], dtype=object)
    table = load(frame, patients_schema(id="patient", max_rows=12), rng=rng())
    assert table.n_rows > 0


def test_a_whole_level_of_any_length_is_compared() -> None:
    cells = ["1", "1" * 5000, "-" + "0" * 5000 + ".0"]
    assert one("categorical", cells, categories=["1", "2"]) == ["1", *cells[1:]]


POOLS = {
    "integer": ({"bounds": [0, 10]}, ["1", "18446744073709551615", "-1", "1e400", "x", "", "True"]),
    "real": ({"bounds": [0, 1]}, ["0.1", "9007199254740993", "-9223372036854775808", "inf", "?"]),
    "categorical": ({"categories": ["1", "2"]}, ["1", "1.0", " 2", "NA", "1e0", "True", ""]),
    "boolean": ({}, ["True", "true", "1", "no", "", " false"]),
}


@pytest.mark.parametrize("kind", sorted(POOLS))
def test_a_cell_is_read_alike_in_any_company(kind: str) -> None:
    """Sensitivity rests on it: one row more must not change how the others are read."""
    facts, pool = POOLS[kind]
    alone = [one(kind, [cell], **facts)[0] for cell in pool]
    for first, cell in enumerate(pool):
        for second, other in enumerate(pool):
            together = one(kind, [cell, other], **facts)
            assert repr(together) == repr([alone[first], alone[second]]), (cell, other)


@pytest.mark.parametrize("how", ["frame", "arrow", "parquet"])
def test_typed_tables_without_rows_or_with_repeated_names(
    how: str, tmp_path: Path, schema: dp.Schema
) -> None:
    empty = pa.Table.from_pandas(patients_frame(3)).slice(0, 0)
    twice = pa.table([[1], [2]], names=["age", "age"])
    for table, code in ((empty, "DPS255"), (twice, "DPS254")):
        source: object = table
        if how == "frame":
            source = table.to_pandas() if table is empty else pd.DataFrame([[1, 2]])
            if table is twice:
                source.columns = ["age", "age"]
        elif how == "parquet":
            source = tmp_path / f"{code}.parquet"
            pa.parquet.write_table(table, source)
        with pytest.raises(DataError, match=code) as refusal:
            preflight(source, schema)
        assert refusal.value.exit_code == 3
        assert refusal.value.fix


def test_a_parquet_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_frame(patients_frame(3), path)
    before = path.read_bytes()
    with pytest.raises(IntegrityError, match="DPS601"):
        write_frame(patients_frame(4), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("how", ["arrow", "parquet"])
def test_a_null_key_does_not_merge_the_other_units(how: str, tmp_path: Path) -> None:
    schema = dp.Schema.from_dict(
        {
            "table": {"name": "t", "unit": {"id": "u"}},
            "columns": {"u": {"kind": "key"}, "x": {"kind": "boolean", "source": "s"}},
        }
    )
    ids = [2**60 + i for i in range(40)]
    sizes = []
    for keys in (ids, [*ids, None]):
        source: object = pa.table({"u": pa.array(keys, pa.int64()), "x": [True] * len(keys)})
        if how == "parquet":
            path = tmp_path / f"{len(keys)}.parquet"
            pa.parquet.write_table(source, path)
            source = path
        sizes.append(load(source, schema, rng=rng()).n_units)
    assert sizes == [40, 40]


def test_a_null_changes_no_other_cell_of_an_arrow_column() -> None:
    cases = [
        ({"kind": "categorical", "categories": [str(2**60), str(2**60 + 1)]}, [2**60 + 1, None]),
        ({"kind": "integer", "bounds": [0, 10]}, [True, None]),
    ]
    for facts, cells in cases:
        schema = dp.Schema.from_dict(
            {"table": {"name": "t"}, "columns": {"x": {"source": "s", **facts}}}
        )
        alone = conform(pa.table({"x": cells[:1]}), schema)["x"]
        assert conform(pa.table({"x": cells}), schema)["x"][0] == alone[0]


def test_dates_are_read_alike_in_any_company_and_at_any_time() -> None:
    facts = {"bounds": ["2000-01-01", "2030-01-01"], "unit": "second"}
    pool = [
        "2020-01-01T00:00:00.123456789", "2020-01-01 10:00:00.5", "9999-12-31", "0001-01-01",
        "2262-05-01", "2020-01-01T01:00:00+02:00", "2020-01-01", "now", "today", "2020-13-01", "",
    ]  # fmt: skip
    alone = [one("datetime", [cell], **facts)[0] for cell in pool]
    for first, cell in enumerate(pool):
        for second, other in enumerate(pool):
            together = one("datetime", [cell, other], **facts)
            assert repr(together) == repr([alone[first], alone[second]]), (cell, other)
    assert np.isnan(alone[pool.index("now")])
    assert alone[1] == pd.Timestamp("2020-01-01 10:00:00").timestamp()


def test_a_pandas_index_in_the_metadata_is_a_column(tmp_path: Path, schema: dp.Schema) -> None:
    frame = patients_frame(5).set_index("ward")
    path = tmp_path / "t.parquet"
    frame.to_parquet(path)
    for source in (path, pa.Table.from_pandas(frame)):
        assert sorted(conform(source, schema)["ward"]) == sorted(frame.index)


def test_decimals_with_nulls_are_numbers(schema: dp.Schema) -> None:
    stay = pd.Series(
        [Decimal("1.5"), None, Decimal("99")], dtype=pd.ArrowDtype(pa.decimal128(9, 1))
    )
    values = conform(patients_frame(3).assign(stay=stay), schema)["stay"]
    np.testing.assert_array_equal(values, [1.5, np.nan, 90])


def test_damaged_pages_are_refused(tmp_path: Path, schema: dp.Schema) -> None:
    path = tmp_path / "t.parquet"
    patients_frame(200).to_parquet(path)
    damaged = bytearray(path.read_bytes())
    footer = int.from_bytes(damaged[-8:-4], "little") + 8
    damaged[4:-footer] = bytes(byte ^ 0xFF for byte in damaged[4:-footer])
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="DPS259") as refusal:
        load(path, schema, rng=rng())
    assert refusal.value.__cause__ is None


def test_a_link_to_nowhere_is_not_taken_for_written(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(IntegrityError, match="DPS601"):
        write_frame(patients_frame(3), path)


@pytest.mark.parametrize("holdout", [-0.1, 2.0, float("nan")])
def test_a_share_is_a_share(holdout: float, schema: dp.Schema) -> None:
    with pytest.raises(UsageError, match="holdout"):
        split(patients_frame(3), schema, holdout=holdout, rng=rng())
