"""What the commands share: arguments, output, progress."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
RequiredOutput = Annotated[Path, Parameter(name=["--output", "-o"])]
Rows = Annotated[int | None, Parameter(name=["-n", "--rows"])]
AsJson = Annotated[bool, Parameter(name="--json", negative="")]


def synthesizer(schema: Path, method: str) -> Any:  # noqa: ANN401 - avoids importing at start
    """Return an unfitted method for a schema file."""
    from dpsynth.methods import method_class
    from dpsynth.schema import Schema

    return method_class(method)(Schema.read(schema))


def custodian_key(path: Path | None) -> Any:  # noqa: ANN401 - avoids importing at start
    """Return the custodian's key, if one is named."""
    if path is None:
        return None
    from dpsynth.identity import CustodianKey

    return CustodianKey.read(path)


def out(document: object, text: str, as_json: bool) -> None:
    """Print the result, as one JSON document or as text."""
    print(json.dumps(document, indent=1, ensure_ascii=False) if as_json else text)


def say(message: str) -> None:
    """Print a message, which is no result."""
    print(message, file=sys.stderr)


class Progress:
    """Steps and ε on stderr: one moving line on a terminal, one line in ten per cent elsewhere."""

    def __init__(self, epsilon: float) -> None:
        self._epsilon = epsilon

    def __call__(self, done: int, of: int) -> None:
        """Show that ``done`` steps ``of`` all have been taken."""
        line = f"step {done}/{of}, ε ≤ {self._epsilon:g} booked"
        if sys.stderr.isatty():
            print(f"\r{line}", end="\n" if done == of else "", file=sys.stderr, flush=True)
        elif done == of or done % max(1, of // 10) == 0:
            print(line, file=sys.stderr, flush=True)
