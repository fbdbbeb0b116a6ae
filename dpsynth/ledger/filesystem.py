"""Network file systems, on which SQLite's locks and flushes are not to be trusted."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from dpsynth.errors import UsageError

_NETWORK = frozenset(
    {
        "9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.davfs2",
        "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2",
        "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb2", "smb3", "smbfs",
    }
)  # fmt: skip

_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def refuse_network(path: Path) -> None:
    """Refuse a path that lies on a network file system, where the system tells it.

    Raises
    ------
    UsageError
        If two machines could open the file at once.
    """
    kind = _kind(path)
    if kind in _NETWORK:
        raise UsageError(
            f"a ledger cannot be kept on a network file system ({kind}): its locks do not hold "
            "between machines, so that the budget could be spent twice.",
            code="DPS514",
            fix="keep it on a local disk, or in a PostgreSQL server.",
        )


def _kind(path: Path) -> str | None:
    """Return the type of the file system of a path; ``None`` where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    where = os.path.realpath(path)
    best, kind = "", None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        # Blanks and the like are written as octal escapes; other characters stand for themselves.
        mount = _OCTAL.sub(lambda escape: chr(int(escape[1], 8)), fields.split()[4])
        inside = where == mount or where.startswith(mount.rstrip("/") + "/")
        # Of two mounts at one place the later one counts.
        if inside and len(mount) >= len(best):
            best, kind = mount, rest.split()[0]
    return kind
