"""A thousand random tamperings, and every one of them is seen."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dpsynth.errors import BudgetError, DPSynthError
from dpsynth.ledger import Anchor, Ledger
from dpsynth.ledger.tables import KEYS, TABLES
from tests.dpsynth.ledger.conftest import create
from tests.dpsynth.ledger.test_book import gaussian_plan, sampled_plan

TAMPERINGS = 1000

Tampering = Callable[[sqlite3.Connection, random.Random], bool]


def history(path: Path, copies: Path) -> Anchor:
    """A ledger with every kind of entry, and a copy of it after each."""
    with create(path) as ledger:

        def keep() -> None:
            name = copies / f"{ledger.anchor.sequence}.db"
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(name)) as target:
                source.backup(target)

        keep()
        ledger.add_dataset("next year")
        keep()
        ledger.recognise("adult", "ab" * 32)
        keep()
        for share in (0.2, 0.3):
            with ledger.reserve(gaussian_plan(share), dataset="adult") as charge:
                keep()
                charge.touch()
                keep()
                charge.commit()
                keep()
        ledger.record_release("adult 2026", table_sha256="cd" * 32, charges=[charge.id])
        keep()
        ledger.reserve(gaussian_plan(0.2), dataset="adult").abort()
        keep()
        with pytest.raises(BudgetError):
            ledger.reserve(gaussian_plan(0.9), dataset="adult")
        keep()
        run = ledger.reserve(sampled_plan(), dataset="adult")
        run.touch(leases=True)
        run.lease("step 0", 50)
        keep()
        run.stop()
        return ledger.anchor


def entries(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT max(seq) FROM entry").fetchone()[0]


def edit(connection: sqlite3.Connection, rng: random.Random) -> bool:
    """Change one character of one field of one entry."""
    seq = rng.randint(1, entries(connection))
    name = rng.choice(["prev_hash", "hash", "kind", "time", "body"])
    text = connection.execute(f"SELECT {name} FROM entry WHERE seq = ?", (seq,)).fetchone()[0]
    place = rng.randrange(len(text))
    changed = text[:place] + rng.choice("0123456789abcxyz~") + text[place + 1 :]
    connection.execute(f"UPDATE entry SET {name} = ? WHERE seq = ?", (changed, seq))
    return changed != text


def delete(connection: sqlite3.Connection, rng: random.Random) -> bool:
    """Delete one entry; half the time the others close the gap."""
    last = entries(connection)
    seq = rng.randint(1, last)
    connection.execute("DELETE FROM entry WHERE seq = ?", (seq,))
    if rng.random() < 0.5:
        for other in range(seq + 1, last + 1):
            connection.execute("UPDATE entry SET seq = ? WHERE seq = ?", (other - 1, other))
    return True


def swap(connection: sqlite3.Connection, rng: random.Random) -> bool:
    """Exchange two entries."""
    one, other = rng.sample(range(1, entries(connection) + 1), 2)
    connection.execute("UPDATE entry SET seq = -1 WHERE seq = ?", (one,))
    connection.execute("UPDATE entry SET seq = ? WHERE seq = ?", (one, other))
    connection.execute("UPDATE entry SET seq = ? WHERE seq = -1", (other,))
    return True


def insert(connection: sqlite3.Connection, rng: random.Random) -> bool:
    """Enter something twice, in the middle or at the end."""
    last = entries(connection)
    seq = rng.randint(1, last)
    for other in range(last, seq, -1):
        connection.execute("UPDATE entry SET seq = ? WHERE seq = ?", (other + 1, other))
    connection.execute(
        "INSERT INTO entry SELECT ?, prev_hash, hash, kind, time, body FROM entry WHERE seq = ?",
        (seq + 1, seq),
    )
    return True


def cut_off(connection: sqlite3.Connection, rng: random.Random) -> bool:
    """Delete the tail."""
    keep = rng.randint(0, entries(connection) - 1)
    connection.execute("DELETE FROM entry WHERE seq > ?", (keep,))
    return True


def edit_tables(connection: sqlite3.Connection, rng: random.Random) -> bool:
    """Change a field of a row that follows from the log, or delete the row."""
    table = rng.choice(list(KEYS))
    keys = [row[0] for row in connection.execute(f"SELECT {KEYS[table]} FROM {table}")]
    key = rng.choice(keys)
    if rng.random() < 0.2:
        connection.execute(f"DELETE FROM {table} WHERE {KEYS[table]} = ?", (key,))
        return True
    name = rng.choice(list(TABLES[table]))
    where = f"FROM {table} WHERE {KEYS[table]} = ?"
    before = connection.execute(f"SELECT {name} {where}", (key,)).fetchone()[0]
    after = rng.choice(["x", 0, 7, 0.25, before if before is None else f"{before}1"])
    connection.execute(f"UPDATE {table} SET {name} = ? WHERE {KEYS[table]} = ?", (after, key))
    stored = connection.execute(f"SELECT {name} {where}", (key,)).fetchone()
    return stored is None or stored[0] != before


def rewrite(connection: sqlite3.Connection, rng: random.Random) -> bool:
    """Change the time of an entry and compute the whole chain after it anew."""
    seq = rng.randint(1, entries(connection))
    rows = connection.execute("SELECT * FROM entry WHERE seq >= ? ORDER BY seq", (seq - 1,))
    chain = list(rows)
    head = None
    for row in chain:
        if row[0] < seq:
            head = row
            continue
        at = row[4] if row[0] > seq else "2001-01-01T00:00:00.000000+00:00"
        prev = "0" * 64 if head is None else head[2]
        lines = "\n".join((prev, str(row[0]), row[3], at, row[5]))
        head = (row[0], prev, hashlib.sha256(lines.encode()).hexdigest(), row[3], at, row[5])
        connection.execute(
            "UPDATE entry SET prev_hash = ?, hash = ?, time = ? WHERE seq = ?",
            (head[1], head[2], at, row[0]),
        )
    return True


IN_PLACE: list[Tampering] = [edit, delete, swap, insert, cut_off, edit_tables, rewrite]


def test_random_tampering_is_always_detected(tmp_path, nobody_has_seen):
    path, copy, copies = tmp_path / "ledger.db", tmp_path / "copy.db", tmp_path / "copies"
    copies.mkdir()
    anchor = history(path, copies)
    older = sorted(copies.iterdir())
    assert len(older) > 10
    # Whoever looks has never seen this ledger and holds nothing but the anchor.
    nobody_has_seen()
    rng = random.Random(11)
    done: Counter[str] = Counter()
    while done.total() < TAMPERINGS:
        if rng.random() < 0.1:
            name = "older copy"
            shutil.copy(rng.choice(older), copy)
        else:
            tampering = rng.choice(IN_PLACE)
            name = tampering.__name__
            shutil.copy(path, copy)
            connection = sqlite3.connect(copy, isolation_level=None)
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("DROP TRIGGER entry_is_never_changed")
            connection.execute("DROP TRIGGER entry_is_never_deleted")
            is_change = tampering(connection, rng)
            connection.close()
            if not is_change:
                continue
        done[name] += 1
        with pytest.raises(DPSynthError), Ledger.open(copy, read_only=True) as ledger:
            ledger.check(anchor=anchor)
    assert len(done) == len(IN_PLACE) + 1
    assert min(done.values()) > 50


def test_the_untouched_ledger_passes_the_same_check(tmp_path, nobody_has_seen):
    (tmp_path / "copies").mkdir()
    anchor = history(tmp_path / "ledger.db", tmp_path / "copies")
    nobody_has_seen()
    shutil.copy(tmp_path / "ledger.db", tmp_path / "copy.db")
    with Ledger.open(tmp_path / "copy.db", read_only=True) as ledger:
        ledger.check(anchor=anchor, recomputed=True)
        head = ledger.anchor
    assert head == anchor
