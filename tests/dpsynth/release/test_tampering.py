"""Tampering: every one is found, and the check that fails says where."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from dpsynth.errors import IntegrityError, UsageError
from dpsynth.evidence import Evidence
from dpsynth.ledger.signatures import create_signing_key
from dpsynth.release import sign, verify
from dpsynth.release.manifest import to_json
from tests.dpsynth.release.examples import edit_manifest, files_of, put_sums_right

RANDOM_TAMPERINGS = 450
EDITED_LEAVES = 50

Change = Callable[[Path, random.Random], None]


def failures(bundle: Path, key: Path | None = None) -> dict[str, str]:
    return {c.name: c.detail for c in verify(bundle, key=key) if not c.passed}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    create_signing_key(path)
    return path


@pytest.fixture(scope="module")
def signed(whole: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = Path(shutil.copytree(whole, tmp_path_factory.mktemp("signed") / "release"))
    sign(bundle, key)
    return bundle


# -- any byte of any file -----------------------------------------------------------------------


def flip(bundle: Path, rng: random.Random) -> None:
    path = bundle / rng.choice(sorted(files_of(bundle)))
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))


def insert(bundle: Path, rng: random.Random) -> None:
    path = bundle / rng.choice(sorted(files_of(bundle)))
    content = path.read_bytes()
    at = rng.randrange(len(content) + 1)
    path.write_bytes(content[:at] + bytes([rng.randrange(256)]) + content[at:])


def cut(bundle: Path, rng: random.Random) -> None:
    path = bundle / rng.choice(sorted(files_of(bundle)))
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def remove(bundle: Path, rng: random.Random) -> None:
    names = sorted(set(files_of(bundle)) - {"SHA256SUMS", "manifest.json"})
    (bundle / rng.choice(names)).unlink()


def swap(bundle: Path, rng: random.Random) -> None:
    one, other = (bundle / name for name in rng.sample(sorted(files_of(bundle)), 2))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def add(bundle: Path, rng: random.Random) -> None:
    folder = bundle / rng.choice([".", "evidence", "more"])
    folder.mkdir(exist_ok=True)
    (folder / f"extra-{rng.randrange(10**6)}").write_text("x")


def test_random_tamperings_are_all_found(signed: Path, key: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    public = key.with_name("key.pub")
    assert not failures(signed, public)
    changes: list[Change] = [flip, flip, flip, insert, cut, remove, swap, add]
    for number in range(RANDOM_TAMPERINGS):
        change = changes[number % len(changes)]
        bundle = Path(shutil.copytree(signed, tmp_path / "release"))
        change(bundle, rng)
        assert failures(bundle, public), f"{change.__name__} number {number}"
        shutil.rmtree(bundle)


# -- with checksums that were put right ---------------------------------------------------------


def leaves(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield from leaves(value, (*path, name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from leaves(value, (*path, index))
    else:
        yield path


def other_than(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.9 if value else 0.1
    if isinstance(value, str):
        digits = [i for i, character in enumerate(value) if character.isdecimal()]
        at = digits[-1] if digits else len(value) - 1
        new = str((int(value[at]) + 1) % 10) if digits else "x" if value[at] != "x" else "y"
        return value[:at] + new + value[at + 1 :]
    return "x"


def test_every_edited_field_of_the_manifest_is_found_with_new_checksums(bundle: Path) -> None:
    original = files_of(bundle)
    document = json.loads(original["manifest.json"])
    places = list(leaves(document))
    assert len(places) > EDITED_LEAVES
    for place in random.Random(1).sample(places, EDITED_LEAVES):
        changed = json.loads(original["manifest.json"])
        target = changed
        for step in place[:-1]:
            target = target[step]
        target[place[-1]] = other_than(target[place[-1]])
        (bundle / "manifest.json").write_text(to_json(changed), encoding="utf-8")
        put_sums_right(bundle)
        assert failures(bundle), place
        (bundle / "manifest.json").write_bytes(original["manifest.json"])
    put_sums_right(bundle)
    assert not failures(bundle)


@pytest.mark.parametrize(
    "name", ["report.html", "GUARANTEE.txt", "DATASHEET.md", "dp-registry.yaml", "croissant.json"]
)
def test_an_edited_epsilon_in_any_text_is_found_by_name(bundle: Path, name: str) -> None:
    document = json.loads((bundle / "manifest.json").read_text())
    epsilon = document["privacy"]["epsilon"]
    path = bundle / name
    text = path.read_text(encoding="utf-8")
    shown = f"{epsilon:.3f}" if f"{epsilon:.3f}" in text else str(epsilon)
    assert shown in text
    path.write_text(text.replace(shown, "0.1"), encoding="utf-8")
    put_sums_right(bundle)
    assert list(failures(bundle)) == [f"{name} says what the manifest says"]


def test_an_epsilon_that_was_edited_everywhere_is_found(bundle: Path) -> None:
    from dpsynth.release.contents import rendered
    from dpsynth.schema import Schema

    def cheaper(document: dict[str, Any]) -> None:
        document["privacy"]["epsilon"] = 0.5
        document["ledger"]["charges"][0]["epsilon_alone"] = 0.5
        document["ledger"]["cumulative"]["epsilon"] = 0.5

    edit_manifest(bundle, cheaper)
    document = json.loads((bundle / "manifest.json").read_text())
    items = [Evidence.read(bundle / e["file"]) for e in document["validation"]["evidence"]]
    for name, text in rendered(document, Schema.read(bundle / "schema.toml"), items).items():
        (bundle / name).write_text(text, encoding="utf-8")
    put_sums_right(bundle)
    found = failures(bundle)
    assert "privacy.epsilon" in found["the manifest follows from plan, ledger and schema"]
    assert "epsilon_alone" in found["the ledger's figures follow from the mechanisms"]


def test_more_noise_than_was_booked_is_found(bundle: Path) -> None:
    edit_manifest(
        bundle, lambda m: m["privacy"]["plan"]["charges"][0]["mechanism"].update(sigma=1e6)
    )
    found = failures(bundle)
    assert "mechanisms" in found["the plan is that of schema and first charge"]


def test_a_row_outside_the_schema_is_found_by_column_and_without_its_value(bundle: Path) -> None:
    table = bundle / "synthetic.csv"
    frame = pd.read_csv(table)
    frame.loc[0, "age"] = 4000
    frame.to_csv(table, index=False, lineterminator="\n")
    digest = hashlib.sha256(table.read_bytes()).hexdigest()

    def follow(document: dict[str, Any]) -> None:
        document["table"]["sha256"] = document["table"]["files"][0]["sha256"] = digest
        document["id"] = f"urn:dpsynth:release:{digest}"

    edit_manifest(bundle, follow)
    found = failures(bundle)
    assert "age" in found["every row fits the schema"]
    assert "CSV and Parquet hold the same cells" in found
    assert "evidence is about this table and may be public" in found
    assert "4000" not in "".join(found.values())


def test_evidence_that_may_not_be_public_is_found(bundle: Path) -> None:
    path = bundle / "evidence" / "utility-public-reference.json"
    text = path.read_text(encoding="utf-8").replace('"public-reference"', '"internal"')
    path.write_text(text, encoding="utf-8")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(bundle, lambda m: m["validation"]["evidence"][1].update(sha256=digest))
    assert failures(bundle)["evidence is about this table and may be public"] == (
        "evidence/utility-public-reference.json"
    )


def test_an_audit_that_blocks_is_found_though_the_manifest_says_otherwise(bundle: Path) -> None:
    path = bundle / "evidence" / "audit-post-processing.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    Evidence.from_json(json.dumps({**document, "verdict": "block"})).write(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(bundle, lambda m: m["validation"]["evidence"][0].update(sha256=digest))
    found = failures(bundle)
    assert found["evidence is about this table and may be public"] == (
        "evidence/audit-post-processing.json"
    )
    assert "texts follow from the manifest" in found


def test_removed_evidence_is_found(bundle: Path) -> None:
    (bundle / "evidence" / "audit-post-processing.json").unlink()
    put_sums_right(bundle)
    assert failures(bundle)
    edit_manifest(bundle, lambda m: m["validation"]["evidence"].pop(0))
    found = failures(bundle)
    assert "validation.statements" in found["the manifest follows from plan, ledger and schema"]


def test_the_names_of_what_is_missing_or_too_much_are_given(bundle: Path) -> None:
    (bundle / "schema.toml").unlink()
    (bundle / "evidence" / "notes.txt").write_text("x")
    found = failures(bundle)
    assert found["the folder holds the listed files and no other"] == (
        "missing or too much: schema.toml, evidence/notes.txt"
    )
    assert "checksum of schema.toml" in found
    assert found["contents"].startswith("not looked at")


def test_a_link_in_place_of_a_file_is_found(bundle: Path, tmp_path: Path) -> None:
    (bundle / "synthetic.csv").rename(tmp_path / "elsewhere.csv")
    (bundle / "synthetic.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert "checksum of synthetic.csv" in failures(bundle)


def test_checksums_that_are_a_link_are_found(bundle: Path, tmp_path: Path) -> None:
    (bundle / "SHA256SUMS").rename(tmp_path / "elsewhere")
    (bundle / "SHA256SUMS").symlink_to(tmp_path / "elsewhere")
    assert "SHA256SUMS is well-formed" in failures(bundle)


@pytest.mark.parametrize("kind", ["pipe", "link", "large"])
def test_what_is_no_plain_file_is_no_signature(bundle: Path, kind: str) -> None:
    # A pipe that nobody writes to, or a device without an end, would keep the reader for ever.
    path = bundle / "SHA256SUMS.sig"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"x" * 5000)
    assert "signature of the checksums is well-formed" in failures(bundle)


def test_more_rows_than_the_csv_has_lines_are_not_read(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A hundred million equal rows are a few hundred kilobytes of Parquet.
    path = bundle / "synthetic.parquet"
    table = pyarrow.parquet.read_table(path)
    longer = pa.concat_tables([table] * 50).replace_schema_metadata(table.schema.metadata)
    pyarrow.parquet.write_table(longer, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    read = mock.Mock(side_effect=AssertionError)
    monkeypatch.setattr("dpsynth.release.tables.read_frame", read)
    monkeypatch.setattr("dpsynth.release.verifying.read_frame", read)
    for rows in (len(table), len(longer)):

        def follow(document: dict[str, Any], rows: int = rows) -> None:
            document["table"]["files"][1]["sha256"] = digest
            document["table"]["rows"] = rows

        edit_manifest(bundle, follow)
        found = failures(bundle)
        assert found["every row fits the schema"] == "another number of rows than stated"
        assert "CSV and Parquet hold the same cells" in found
    assert not read.called


def test_no_word_of_a_stranger_moves_the_cursor(bundle: Path) -> None:
    table = bundle / "synthetic.csv"
    table.write_bytes(b'"\x1b[2Jcolumn",' + table.read_bytes().replace(b"\n", b"\n,"))
    edit_manifest(bundle, lambda m: m["software"].update(dpsynth="9.9\x1b[1A\nok  everything"))
    details = "".join(failures(bundle).values())
    assert "verify with that version" in details
    assert details.isprintable()


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "evidence/../../outside", "a/b"])
def test_names_outside_the_folder_are_refused(bundle: Path, name: str) -> None:
    path = bundle / "SHA256SUMS"
    path.write_text(path.read_text() + f"{'0' * 64}  {name}\n")
    assert "SHA256SUMS is well-formed" in failures(bundle)


def test_a_signature_is_that_of_its_key(signed: Path, key: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    create_signing_key(other)
    assert failures(signed, other.with_name("other.pub")) == {
        "signature of the checksums": "it is not this key's",
        "contents": "not looked at: a file or the list of files was changed",
    }
    assert not failures(signed)  # without a key, only its form is looked at
    with pytest.raises(UsageError, match="public key"):
        verify(signed, key=key)
    with pytest.raises(IntegrityError, match="DPS601"):
        sign(signed, key)


def test_a_missing_signature_is_found_where_one_is_asked_for(bundle: Path, key: Path) -> None:
    assert "there is none" in failures(bundle, key.with_name("key.pub")).values()


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path, key: Path) -> None:
    with pytest.raises(IntegrityError, match="DPS603"):
        verify(tmp_path)
    with pytest.raises(IntegrityError, match="DPS603"):
        sign(tmp_path, key)


def test_a_release_of_another_version_says_so(bundle: Path) -> None:
    edit_manifest(bundle, lambda m: m["software"].update(dpsynth="9.9"))
    assert any("verify with that version" in detail for detail in failures(bundle).values())
