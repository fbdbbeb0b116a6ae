"""One file of JSON and tensors: what models and checkpoints are kept in. Never a pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.errors import IntegrityError, UsageError, require_extra

Arrays = Mapping[str, npt.NDArray[np.float32]]

_DOCUMENT = "model.json"
_TENSORS = "weights.safetensors"


def pack(document: Mapping[str, Any], arrays: Arrays) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    document : mapping
        JSON; its ``format`` tells what the file is.
    arrays : mapping of str to ndarray
        Tensors by name, possibly none.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_DOCUMENT, json.dumps(document, indent=1, allow_nan=False))
        if arrays:
            tensors = require_extra(
                "safetensors.numpy", extra="neural", purpose="Saving a neural model"
            )
            archive.writestr(_TENSORS, tensors.save(dict(arrays)))
    return buffer.getvalue()


def unpack(
    path: str | Path, *, format: str, what: str
) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.float32]]]:
    """Read a file that :func:`pack` made.

    Parameters
    ----------
    path : path
        The file.
    format : str
        Format that its document must name.
    what : str
        What the file is, for messages.

    Raises
    ------
    UsageError
        If there is no such file.
    IntegrityError
        If it is something else, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            document = json.loads(archive.read(_DOCUMENT))
            stored = archive.read(_TENSORS) if _TENSORS in archive.namelist() else b""
    except FileNotFoundError:
        raise UsageError(f"there is no {what} at {str(path)!r}.") from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        raise IntegrityError(
            f"{str(path)!r} is not a dpsynth {what}, or it is damaged.", code="DPS602"
        ) from None
    if not isinstance(document, dict) or document.get("format") != format:
        raise IntegrityError(f"{str(path)!r} is not a {what} of format {format}.", code="DPS602")
    if not stored:
        return document, {}
    tensors = require_extra("safetensors.numpy", extra="neural", purpose="Loading a neural model")
    return document, tensors.load(stored)
