"""Which process owns a reservation, and whether it still lives."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, named so that a later one with the same number is not mistaken for it.

    Parameters
    ----------
    host : str
        Name of the machine.
    pid : int
        Process number.
    started : int or None
        Start of the process in clock ticks since boot, where the system tells it.
    boot : str or None
        Identifier of the machine's boot, where the system tells it.
    """

    host: str
    pid: int
    started: int | None
    boot: str | None

    @classmethod
    def current(cls) -> Owner:
        """Return this process."""
        status = _status(os.getpid())
        return cls(
            host=platform.node(),
            pid=os.getpid(),
            started=status[1] if status else None,
            boot=_boot(),
        )

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Owner:
        """Rebuild from :meth:`to_dict`."""
        return cls(**value)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON description."""
        return asdict(self)

    def is_gone(self) -> bool:
        """Tell whether this process certainly no longer runs.

        Only a process of this machine and this boot can be judged; where the system tells no boot
        identifier, ``False``.
        """
        if self.host != platform.node() or self.boot is None or self.boot != _boot():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it is another user's, and lives
        status = _status(self.pid)
        return status is not None and (status[0] in "ZX" or status[1] != self.started)


def _boot() -> str | None:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _status(pid: int) -> tuple[str, int] | None:
    """Return state and start time of a process, ``None`` where the system does not tell them."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program, in brackets, may hold blanks and brackets itself.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
