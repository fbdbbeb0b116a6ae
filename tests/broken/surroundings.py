"""What commands of this folder need around them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch


@contextmanager
def private_state() -> Iterator[None]:
    """Keep what ledgers note about themselves out of the user's own folder; use one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.dict("os.environ", {"DPSYNTH_STATE": folder}),
        ):
            yield
    finally:
        torch.set_num_threads(threads)
