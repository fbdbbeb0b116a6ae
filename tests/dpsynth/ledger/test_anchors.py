"""Heads of ledgers that this user has seen, and signed ones that anybody can check."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from dpsynth.errors import IntegrityError, UsageError
from dpsynth.ledger import Anchor, Ledger, read_anchor
from dpsynth.ledger.anchors import AnchorNotes
from dpsynth.ledger.signatures import create_signing_key, sign, verify_signature
from tests.dpsynth.ledger.conftest import create
from tests.dpsynth.ledger.test_book import SMALL

ID = "0f0e0d0c-1111-2222-3333-444455556666"


def anchor(sequence: int, digit: str = "a") -> Anchor:
    return Anchor(ledger_id=ID, sequence=sequence, head=digit * 64)


def test_the_newest_note_counts_whatever_the_order(tmp_path):
    notes = AnchorNotes(tmp_path / "seen")
    assert notes.newest(ID) is None
    for sequence in (3, 5, 4):
        notes.note(anchor(sequence))
    assert notes.newest(ID) == anchor(5)
    assert AnchorNotes(tmp_path / "seen").newest(ID) == anchor(5)


def test_a_line_that_was_cut_is_no_note_and_long_notes_are_shortened(tmp_path):
    notes = AnchorNotes(tmp_path)
    for sequence in range(1, 1100):
        notes.note(anchor(sequence))
    with (tmp_path / ID).open("a") as file:
        file.write("9999 abc")
    assert notes.newest(ID) == anchor(1099)
    assert (tmp_path / ID).read_text().split() == ["1099", "a" * 64]
    assert notes.newest(ID) == anchor(1099)


def test_a_note_that_was_cut_does_not_run_into_the_next_one(tmp_path):
    notes = AnchorNotes(tmp_path)
    notes.note(anchor(1))
    with (tmp_path / ID).open("a") as file:
        file.write("1")  # of "17 ...", when the disk was full
    notes.note(anchor(8))
    assert notes.newest(ID) == anchor(8)


def test_an_identifier_from_a_file_names_no_other_file(tmp_path):
    with pytest.raises(IntegrityError, match="no proper identifier"):
        AnchorNotes(tmp_path).newest("../../../etc/passwd")


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
def test_notes_are_the_users_own(tmp_path):
    AnchorNotes(tmp_path / "seen").note(anchor(1))
    assert stat.S_IMODE((tmp_path / "seen").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "seen" / ID).stat().st_mode) == 0o600


def test_older_copy_is_refused_at_opening(tmp_path):
    path, old = tmp_path / "ledger.db", tmp_path / "old.db"
    create(path).close()
    shutil.copy(path, old)
    with Ledger.open(path) as ledger:
        ledger.reserve(SMALL, dataset="adult").touch()
    shutil.copy(old, path)
    for read_only in (False, True):
        with pytest.raises(IntegrityError, match="DPS614 the ledger ends before entry 6"):
            Ledger.open(path, read_only=read_only)


def test_fork_is_refused_at_opening(tmp_path):
    path, fork = tmp_path / "ledger.db", tmp_path / "fork.db"
    create(path).close()
    shutil.copy(path, fork)
    with Ledger.open(path) as ledger, Ledger.open(fork) as other:
        ledger.reserve(SMALL, dataset="adult").touch()
        other.reserve(SMALL, dataset="adult").touch()
        other.reserve(SMALL, dataset="adult").touch()
    with pytest.raises(IntegrityError, match="DPS614"):
        Ledger.open(path)


def test_a_folder_for_notes_that_cannot_be_used_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DPSYNTH_STATE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="DPSYNTH_STATE"):
        create(tmp_path / "ledger.db")


def test_signature_holds_for_its_anchor_and_key_only(tmp_path):
    public = create_signing_key(tmp_path / "key.pem")
    other = create_signing_key(tmp_path / "other.pem")
    signed = sign(anchor(7), tmp_path / "key.pem")
    assert verify_signature(signed, public) == anchor(7)
    forged = [
        {**signed, "sequence": 8},
        {**signed, "head": "b" * 64},
        {**signed, "signature": "00" * 64},
        {**signed, "signature": "no hex"},
        anchor(7).to_dict(),
    ]
    for document in forged:
        with pytest.raises(IntegrityError, match="DPS615"):
            verify_signature(document, public)
    with pytest.raises(IntegrityError, match="DPS615"):
        verify_signature(signed, other)
    with pytest.raises(UsageError, match="no Ed25519 public key"):
        verify_signature(signed, tmp_path / "key.pem")
    with pytest.raises(UsageError, match="no Ed25519 private key"):
        sign(anchor(7), public)


def test_keys_are_never_replaced_and_private(tmp_path):
    path: Path = tmp_path / "key.pem"
    create_signing_key(path)
    before = path.read_bytes()
    with pytest.raises(IntegrityError, match="exists"):
        create_signing_key(path)
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_anchor_files_that_are_none(tmp_path):
    for content in ("", "[]", "{}", '{"ledger": 3}', '{"ledger_id": "x", "sequence": "y"}'):
        path = tmp_path / "anchor.json"
        path.write_text(content)
        with pytest.raises(UsageError, match="no anchor"):
            read_anchor(path)
