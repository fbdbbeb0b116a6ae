"""Anchors: heads of a chain, kept outside the ledger, against which an older copy is seen.

Every process notes the head of a ledger it has written in a folder of the user's own. A ledger that
is opened later and ends before that, or says something else there, has been restored from an old
copy or forked, and its budget would be spent twice.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

from dpsynth.errors import IntegrityError, UsageError

STATE_VARIABLE = "DPSYNTH_STATE"
"""Environment variable that names another folder for what is noted."""

_LINES = 1000
"""Notes of one ledger before the file is written anew."""

_NAME = re.compile(r"[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The head of a ledger's chain: kept elsewhere, it shows that nothing was cut off since.

    Parameters
    ----------
    ledger_id : str
        Identifier of the ledger.
    sequence : int
        Number of the last entry.
    head : str
        Hash of the last entry.
    """

    ledger_id: str
    sequence: int
    head: str

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON description."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Anchor:
        """Rebuild from :meth:`to_dict`; other fields are ignored.

        Raises
        ------
        UsageError
            If it is no anchor.
        """
        try:
            return cls(
                ledger_id=str(value["ledger_id"]),
                sequence=int(value["sequence"]),
                head=str(value["head"]),
            )
        except (KeyError, TypeError, ValueError):
            raise UsageError(
                "this is no anchor of a ledger.",
                fix="give what `dpsynth ledger anchor` wrote, or a release's manifest.json.",
            ) from None


class AnchorNotes:
    """What one user's processes have seen of ledgers.

    Parameters
    ----------
    folder : Path, optional
        Where it is noted: by default ``$DPSYNTH_STATE``, or the user's folder for state.
    """

    def __init__(self, folder: Path | None = None) -> None:
        named = os.environ.get(STATE_VARIABLE)
        home = Path(named) if named else platformdirs.user_state_path("dpsynth")
        self._folder = folder or home / "anchors"

    def newest(self, ledger_id: str) -> Anchor | None:
        """Return the latest head of a ledger that was noted."""
        try:
            lines = self._path(ledger_id).read_text(encoding="ascii", errors="replace").split("\n")
        except FileNotFoundError:
            return None
        except OSError:
            raise self._refusal() from None
        # The last line of a process that was killed may be cut.
        noted = [line.split() for line in lines if re.fullmatch(r"\d+ [0-9a-f]{64}", line)]
        if not noted:
            return None
        sequence, head = max(noted, key=lambda note: int(note[0]))
        anchor = Anchor(ledger_id=ledger_id, sequence=int(sequence), head=head)
        if len(noted) > _LINES:
            self._shorten(anchor)
        return anchor

    def note(self, anchor: Anchor) -> None:
        """Note a head; notes of several processes do not disturb one another.

        Raises
        ------
        UsageError
            If the folder cannot be written.
        """
        path = self._path(anchor.ledger_id)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # One short write in append mode is not mixed up with others.
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, _line(anchor))
            finally:
                os.close(handle)
        except OSError:
            raise self._refusal() from None

    def _shorten(self, anchor: Anchor) -> None:
        # What another process notes in this moment may be lost: the next head that is noted, or
        # the one after, stands for it.
        path = self._path(anchor.ledger_id)
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            scratch.write_bytes(_line(anchor))
            scratch.replace(path)
        except OSError:
            raise self._refusal() from None

    def _path(self, ledger_id: str) -> Path:
        if not _NAME.fullmatch(ledger_id):
            # It comes from a file that anybody may have written, and becomes the name of another.
            raise IntegrityError("the ledger has no proper identifier.", code="DPS610")
        return self._folder / ledger_id

    @staticmethod
    def _refusal() -> UsageError:
        return UsageError(
            "the folder in which the heads of ledgers are noted cannot be used.",
            code="DPS516",
            fix=f"make it writable, or name another in the environment variable {STATE_VARIABLE}.",
        )


def _line(anchor: Anchor) -> bytes:
    # It begins a line as well as it ends one: what a full disk or a kill left unfinished before it
    # must not run together with it into the note of an entry that never was.
    return f"\n{anchor.sequence} {anchor.head}\n".encode("ascii")


def read_anchor(path: Path) -> dict[str, Any]:
    """Return the anchor in a file: one of its own, or that of a release's manifest.

    Raises
    ------
    UsageError
        If there is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document.get("ledger", document)
    except (OSError, ValueError, AttributeError):
        found = {}
    Anchor.from_dict(found)
    return dict(found)
