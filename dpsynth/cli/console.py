"""What the commands share: arguments, output, progress."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Self

from cyclopts import Parameter

Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
RequiredOutput = Annotated[Path, Parameter(name=["--output", "-o"])]
Rows = Annotated[int | None, Parameter(name=["-n", "--rows"])]
AsJson = Annotated[bool, Parameter(name="--json", negative="")]


def synthesizer(
    schema: Path, method: str, *, epsilon: float, delta: float, rows: int | None
) -> Any:  # noqa: ANN401 - avoids importing at start
    """Return an unfitted method for a schema file; ``auto`` is settled by public quantities."""
    from dpsynth.methods import AUTO, choose, method_class
    from dpsynth.privacy import Budget
    from dpsynth.schema import Schema

    facts = Schema.read(schema)
    if method == AUTO:
        method = choose(facts, Budget(epsilon=epsilon, delta=delta), rows=rows)
        say(f"method: {method}")
    return method_class(method)(facts)


def custodian_key(path: Path | None) -> Any:  # noqa: ANN401 - avoids importing at start
    """Return the custodian's key, if one is named."""
    if path is None:
        return None
    from dpsynth.identity import CustodianKey

    return CustodianKey.read(path)


def claimed(epsilon: float | None, delta: float | None) -> Any:  # noqa: ANN401 - see above
    """Return the budget of a release, if one is named.

    Raises
    ------
    UsageError
        If only half of it is named.
    """
    if epsilon is None and delta is None:
        return None
    from dpsynth.errors import UsageError
    from dpsynth.privacy import Budget

    if epsilon is None or delta is None:
        raise UsageError("a budget is an ε and a δ.", fix="give both --epsilon and --delta.")
    return Budget(epsilon=epsilon, delta=delta)


def hand_over(report: Any, *, page: Path | None, output: Path | None, as_json: bool) -> None:  # noqa: ANN401 - see above
    """Print a report and write its evidence and its confidential page."""
    out(report.to_dict(), str(report), as_json)
    if output is not None:
        report.evidence().write(output)
    if page is not None:
        report.save(page)
        say(f"{page} is confidential")


def out(document: object, text: str, as_json: bool) -> None:
    """Print the result, as one JSON document or as text."""
    print(json.dumps(document, indent=1, ensure_ascii=False) if as_json else text)


def say(message: str) -> None:
    """Print a message, which is no result."""
    print(message, file=sys.stderr)


class Progress:
    """Steps, time left and ε on stderr: a bar on a terminal, one line in ten per cent elsewhere.

    Parameters
    ----------
    epsilon : float
        What is booked.
    """

    def __init__(self, epsilon: float) -> None:
        self._booked = f"ε ≤ {epsilon:g} booked"
        self._began: tuple[float, int] | None = None
        self._bar: Any = None

    def __call__(self, done: int, of: int) -> None:
        """Show that ``done`` steps ``of`` all have been taken."""
        if sys.stderr.isatty():
            self._move_bar(done, of)
            return
        # Steps that an earlier run took tell nothing of the speed of this one.
        since, first = self._began = self._began or (time.monotonic(), done - 1)
        if done == of or done % max(1, of // 10) == 0:
            left = (time.monotonic() - since) / max(1, done - first) * (of - done)
            say(f"step {done}/{of}, {clock(left)} left, {self._booked}")

    def _move_bar(self, done: int, of: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("step {task.completed}/{task.total}"),
                BarColumn(),
                TimeRemainingColumn(),
                TextColumn(self._booked),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._bar.add_task("training", total=of, completed=done - 1)
        self._bar.update(self._bar.task_ids[0], completed=done)
        if done == of:
            self.close()

    def close(self) -> None:
        """Leave the terminal as it was; a run that is interrupted needs it."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
