"""A public reference: what the report says, and what is refused as a reference."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import dpsynth as dp
from benchmarks.disclosure import evaluate_public
from benchmarks.report import BANNER
from dpsynth.errors import GateError, IntegrityError, UsageError
from dpsynth.evidence import table_sha256
from dpsynth.identity import CustodianKey, content_hmac
from tests.benchmarks.conftest import pair_frame, pair_schema
from tests.conftest import patients_frame, patients_schema
from tests.dpsynth.certificate.html_tree import parse
from tests.dpsynth.pages.notebook import checked

SCHEMA = pair_schema()
SOURCE = "Census Bureau, public use file 2020"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, seed, n in (("synthetic", 1, 300), ("fit", 2, 400), ("public", 3, 500)):
        pair_frame(n, seed).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def compare(place: Path, reference: str = "public.csv", **more):
    settings = {"source": SOURCE, "sensitive": [place / "fit.csv"], **more}
    return evaluate_public(place / "synthetic.csv", place / reference, SCHEMA, **settings)


def test_the_report_says_what_it_was_compared_with(place: Path) -> None:
    report = compare(place)
    digest = table_sha256(place / "public.csv")
    evidence = report.evidence()
    assert evidence.disclosure == "public-reference"
    assert evidence.metrics["reference"] == {"source": SOURCE, "sha256": digest}
    assert evidence.table_sha256 == table_sha256(place / "synthetic.csv")
    document = report.to_dict()
    json.dumps(document, allow_nan=False)
    for text in (str(report), document["notice"], evidence.metrics["notice"]):
        assert SOURCE in text
        assert digest in text
        assert BANNER not in text
    assert document["schema"]["sha256"] == SCHEMA.digest()
    # Two samples of one law, compared on 250 rows each.
    assert report["tvd1.mean"].value < 0.2
    assert len(report.frame()) == len(report.measured.metrics)
    assert report.measured.metrics == compare(place).measured.metrics
    # The figures themselves remain confidential unless they come through this door.
    assert report.measured.evidence().disclosure == "internal"


def test_page_and_fragment_name_the_reference_and_are_not_stamped(place: Path) -> None:
    report = compare(place)
    report.save(place / "page.html")
    page = parse((place / "page.html").read_text())
    assert page.problems == []
    fragment = checked(report._repr_html_())
    for text in (page.text, fragment.text):
        assert report.notice in text
        assert "CONFIDENTIAL" not in text
        assert BANNER not in text
    assert "may be published" not in page.text
    assert "confidential" not in page.text
    assert (place / "page.html").stat().st_mode & 0o777 == 0o644
    assert report.figures() == report.measured.figures() != {}
    assert "CONFIDENTIAL" in report.measured.to_html()
    with pytest.raises(IntegrityError, match="DPS601"):
        report.save(place / "page.html")


def _reordered(place: Path) -> None:
    frame = pd.read_csv(place / "fit.csv").sample(frac=1.0, random_state=1)
    frame[frame.columns[::-1]].to_csv(place / "ref.csv", index=False)


def _parquet(place: Path) -> None:
    pd.read_csv(place / "fit.csv").to_parquet(place / "ref.csv.parquet")


def _part(place: Path) -> None:
    pd.read_csv(place / "fit.csv").head(150).to_csv(place / "ref.csv", index=False)


def _more(place: Path) -> None:
    frames = [pd.read_csv(place / name) for name in ("fit.csv", "public.csv")]
    pd.concat(frames).to_csv(place / "ref.csv", index=False)


def _copied(place: Path) -> None:
    (place / "ref.csv").write_bytes((place / "fit.csv").read_bytes())


@pytest.mark.parametrize("make", [_copied, _reordered, _parquet, _part, _more])
def test_sensitive_rows_are_refused_in_whatever_form(place: Path, make) -> None:
    make(place)
    reference = "ref.csv" if (place / "ref.csv").exists() else "ref.csv.parquet"
    with pytest.raises(GateError) as refused:
        compare(place, reference)
    assert refused.value.code == "DPS352"


def test_other_names_of_people_do_not_hide_the_rows(tmp_path: Path) -> None:
    schema = patients_schema(id="patient", max_rows=3)
    frame = patients_frame(90)
    frame.to_csv(tmp_path / "fit.csv", index=False)
    frame.assign(patient=frame["patient"] + 1000).to_csv(tmp_path / "public.csv", index=False)
    with pytest.raises(GateError):
        evaluate_public(
            patients_frame(60), tmp_path / "public.csv", schema, source=SOURCE,
            sensitive=[tmp_path / "fit.csv"],
        )  # fmt: skip


def test_a_dataset_of_the_ledger_is_refused(place: Path) -> None:
    key = CustodianKey.create(place / "key")
    ledger = dp.Ledger.in_memory(
        dataset="people", budget=dp.Budget(epsilon=1.0, delta=1e-5), unit=SCHEMA.unit
    )
    ledger.add_dataset("others", content_hmac=content_hmac(place / "public.csv", key))
    with pytest.raises(UsageError) as refused:
        compare(place, ledger=ledger)
    assert refused.value.code == "DPS517"
    with pytest.raises(GateError, match="others"):
        compare(place, ledger=ledger, key=key)
    compare_fresh = place / "fresh.csv"
    pair_frame(300, 9).to_csv(compare_fresh, index=False)
    assert compare(place, "fresh.csv", ledger=ledger, key=key).source == SOURCE


def test_what_was_not_stated_is_asked_for(place: Path) -> None:
    for wrong in ({"source": "  "}, {"sensitive": []}):
        with pytest.raises(UsageError) as refused:
            compare(place, **wrong)
        assert refused.value.code == "DPS353"
    frame = pd.read_csv(place / "public.csv")
    with pytest.raises(UsageError):
        evaluate_public(
            frame,
            frame,
            SCHEMA,
            source=SOURCE,
            sensitive=[place / "fit.csv"],  # type: ignore[arg-type]
        )


def test_a_reference_without_the_unit_is_compared_row_by_row(tmp_path: Path) -> None:
    schema = patients_schema(id="patient", max_rows=3)
    patients_frame(90).to_csv(tmp_path / "fit.csv", index=False)
    public = patients_frame(240, seed=4)
    for name, frame in (("with", public), ("without", public.drop(columns="patient"))):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        report = evaluate_public(
            patients_frame(120, seed=5), tmp_path / f"{name}.csv", schema, source=SOURCE,
            sensitive=[tmp_path / "fit.csv"],
        )  # fmt: skip
        assert report.measured.schema_sha256 == schema.digest()
        assert "PublicReport('patients'" in repr(report)
