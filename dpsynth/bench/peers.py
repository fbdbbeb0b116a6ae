"""Peers: other generators, run as commands in environments of their own.

A peer receives the rows to fit as CSV, the schema as TOML, a budget and a seed, and writes a CSV
table. Nothing of it is installed with us and nothing of it is imported. What it claims about
privacy is recorded as a claim.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dpsynth.bench.configuration import BRACES, CommandSpec
from dpsynth.errors import DPSynthError
from dpsynth.files import read_frame

# Without the name of the run: the same reason is one line of the results.
_SEE = "its log is logs/RUN.log."

# A peer's interpreter must find its own packages, not ours.
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class PeerError(DPSynthError):
    """A peer gave no table; an outcome of its run, not of the sweep."""

    default_code = "DPS341"


def filled(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return the arguments with every placeholder replaced; no shell reads them."""
    return [BRACES.sub(lambda found: values[found[1]], part) for part in command]


def run_peer(spec: CommandSpec, values: Mapping[str, str], *, out: Path, log: Path) -> pd.DataFrame:
    """Run a peer and read what it wrote.

    Parameters
    ----------
    spec : CommandSpec
        The command.
    values : mapping of str to str
        A text for every placeholder.
    out : path
        File that the peer must write, CSV.
    log : path
        Receives what the peer prints.

    Raises
    ------
    PeerError
        ``DPS341`` if it cannot be started, ``DPS342`` if it ends with an error, ``DPS343`` if it
        takes too long, ``DPS344`` if it writes no table.

    Privacy
    -------
    The peer sees all rows to fit: for public tables only.
    """
    kept = {name: text for name, text in os.environ.items() if name not in _OURS}
    with log.open("wb") as printed:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
                filled(spec.command, values),
                cwd=spec.folder,
                env={**kept, **spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise PeerError(
                f"the command cannot be started ({type(error).__name__}).",
                fix="check that the program exists in the peer's environment.",
            ) from None
        code = _ended(process, spec.timeout)
    if code is None:
        raise PeerError(f"the peer gave no table within {spec.timeout:g} s.", code="DPS343")
    if code:
        raise PeerError(f"the peer ended with exit code {code}; {_SEE}", code="DPS342")
    if not out.is_file():
        raise PeerError(f"the peer wrote no table; {_SEE}", code="DPS344")
    try:
        return read_frame(out)
    except DPSynthError:
        raise PeerError(f"the peer wrote no readable table; {_SEE}", code="DPS344") from None


def _ended(process: subprocess.Popen[bytes], timeout: float) -> int | None:
    """Return the exit code, or None where the time was over; nothing of the peer goes on."""
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # The session is the peer's own: what it started ends with it.
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
