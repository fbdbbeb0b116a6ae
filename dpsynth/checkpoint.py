"""Checkpoints: what a long fit has released so far, so that it can go on after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpsynth.archive import Arrays, pack, unpack
from dpsynth.errors import UsageError
from dpsynth.files import write_bytes

FORMAT = "dpsynth.checkpoint/1"

Progress = Callable[[int, int], None]

Lease = Callable[[str, int], None]
"""Enters in the ledger that a step of the plan will have run so often (``Charge.lease``)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What an interrupted fit left behind.

    Parameters
    ----------
    document : mapping
        Schema, plan, charge, codec and where the noise came from.
    arrays : mapping of str to ndarray
        State of the training.
    """

    document: Mapping[str, Any]
    arrays: Arrays

    @property
    def charge(self) -> str:
        """Identifier of the charge in the ledger."""
        return self.document["charge"]

    def require(self, **facts: object) -> None:
        """Refuse to go on with a fit that was something else.

        Raises
        ------
        UsageError
            If one of the facts is not the checkpoint's.
        """
        for name, value in facts.items():
            if self.document[name] != value:
                raise UsageError(
                    f"the checkpoint is that of a fit with another {name}.",
                    fix="name the file of this fit, or a new one.",
                )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """How a fit goes on: whom it tells, whom it asks, what it keeps and where it begins.

    Parameters
    ----------
    progress : callable, optional
        Receives (steps done, steps in all) and nothing else.
    lease : callable, optional
        Asks the ledger for steps before they are taken.
    keep : callable, optional
        Receives the state of the training before it asks for steps.
    kept : mapping of str to ndarray, optional
        State with which an interrupted training goes on.
    leased : mapping of str to int
        Steps that were leased before the interruption: they count, and are not taken again.
    """

    progress: Progress | None = None
    lease: Lease | None = None
    keep: Callable[[Arrays], None] | None = None
    kept: Arrays | None = None
    leased: Mapping[str, int]

    @classmethod
    def plain(cls) -> Course:
        """Return a course that tells and keeps nothing."""
        return cls(leased={})


class CheckpointFile:
    """The file of one fit; written anew before every lease, removed when the model is saved.

    Parameters
    ----------
    path : path
        Where it is, or will be.

    Privacy
    -------
    It holds what the charge has bought: noisy counts, noised weights and moments. No row, no exact
    count, no state of a generator.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self) -> Kept | None:
        """Return what was kept, ``None`` where nothing was.

        Raises
        ------
        IntegrityError
            If the file is no checkpoint.
        """
        if not self.path.exists():
            return None
        document, arrays = unpack(self.path, format=FORMAT, what="checkpoint")
        return Kept(document=document, arrays=arrays)

    def write(self, document: Mapping[str, Any], arrays: Arrays) -> None:
        """Put a state in place of the last one, whole or not at all."""
        content = pack({"format": FORMAT, **document}, arrays)
        write_bytes(self.path, content, mode=0o600, replace=True)

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
