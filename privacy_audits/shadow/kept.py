"""The folder in which finished shadows are kept: one file each, never changed."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dpsynth.errors import IntegrityError
from dpsynth.files import write_bytes
from privacy_audits.shadow.design import ShadowDesign

FORMAT = "privacy_audits.shadows/1"

_SEAL_BYTES = hashlib.sha256().digest_size

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Shadow:
    """What is kept of one fit.

    Parameters
    ----------
    number : int
        Its number in the design.
    present : ndarray of bool, shape (n_targets,)
        Which targets it was fitted to.
    features : tuple of ndarray, each of shape (1 or n_targets, n_features)
        What each feature map makes of its synthetic table; a single row serves all targets.
    """

    number: int
    present: BoolArray
    features: tuple[FloatArray, ...]

    def __repr__(self) -> str:
        return f"Shadow({self.number})"


class KeptShadows:
    """A folder that is bound to one design.

    A file is a SHA-256 of design, number and content, followed by the content: a NumPy archive.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    design : ShadowDesign
        What is run.
    digest : str
        Of design, rows and features (:meth:`ShadowDesign.digest`).

    Raises
    ------
    IntegrityError
        If the folder is that of another design.

    Privacy
    -------
    The files hold figures of synthetic tables, who was in them, and a digest of the real rows:
    confidential, readable by their owner alone.
    """

    def __init__(self, folder: Path, design: ShadowDesign, digest: str) -> None:
        self._folder, self._digest = folder, digest
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "design.json"
        if not path.exists():
            document = {"format": FORMAT, "digest": digest, "design": asdict(design)}
            content = json.dumps(document, indent=1, ensure_ascii=False)
            write_bytes(path, content.encode(), mode=0o600)
            return
        try:
            bound = json.loads(path.read_text("utf-8"))
            found = bound["format"], bound["digest"]
        except (ValueError, KeyError, TypeError):
            raise _damaged(path, fix="name another folder.") from None
        if found != (FORMAT, digest):
            raise IntegrityError(
                "the folder keeps shadows of another design, other rows or other features.",
                code="DPS630",
                fix="name another folder, or restore the design.",
            )

    def add(self, shadow: Shadow) -> None:
        """Keep a shadow, whole or not at all; one that is kept is not replaced."""
        arrays = {f"features_{n}": values for n, values in enumerate(shadow.features)}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, present=shadow.present, **arrays)
        payload = buffer.getvalue()
        content = self._seal(shadow.number, payload) + payload
        write_bytes(self._path(shadow.number), content, mode=0o600)

    def read(self, number: int) -> Shadow | None:
        """Return a shadow, ``None`` where it is not kept yet.

        Raises
        ------
        IntegrityError
            If its file was changed or damaged, or belongs to another design or number.
        """
        path = self._path(number)
        if not path.exists():
            return None
        content = path.read_bytes()
        seal, payload = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
        # Checked before it is parsed: a parser of damaged archives fails in ways of its own.
        if seal != self._seal(number, payload):
            raise _damaged(path, fix="remove it: the run makes that shadow anew.")
        with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
            return Shadow(
                number=number,
                present=arrays["present"],
                features=tuple(arrays[f"features_{n}"] for n in range(len(arrays.files) - 1)),
            )

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.shadow"

    def _seal(self, number: int, payload: bytes) -> bytes:
        return hashlib.sha256(f"{self._digest} {number} ".encode() + payload).digest()

    def __repr__(self) -> str:
        return "KeptShadows(...)"


def _damaged(path: Path, *, fix: str) -> IntegrityError:
    return IntegrityError(f"{path.name!r} was changed or is damaged.", code="DPS631", fix=fix)
