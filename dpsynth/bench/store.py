"""What is kept of a sweep: one small Parquet file per finished run, written in one step.

A run is found by its digest, so that the same command goes on where it was killed, and a changed
sweep file uses again what is equal in it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from dpsynth.bench.measuring import Figure
from dpsynth.bench.runs import FORMAT, Run
from dpsynth.errors import IntegrityError
from dpsynth.files import write_bytes

RUNS, TABLES, SYNTHETIC, LOGS = "runs", "tables", "synthetic", "logs"
RESULTS = "results.parquet"

_KEY = b"dpsynth.bench"
_NUMBERS = ("value", "floor", "reference", "skill", "ci_low", "ci_high")
_FIGURES = pa.schema(
    [("metric", pa.string()), ("direction", pa.string())]
    + [(name, pa.float64()) for name in _NUMBERS]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run: figures, or the reason why there are none.

    Parameters
    ----------
    figures : tuple of Figure
        Empty for a run that failed.
    seconds : float
        Time of fit and sample, on a machine that runs several.
    cpu_seconds : float
        Processor time of fit and sample, of this process and of a peer.
    code, message : str or None
        Why the run failed.
    """

    figures: tuple[Figure, ...]
    seconds: float
    cpu_seconds: float
    code: str | None = None
    message: str | None = None

    @property
    def failed(self) -> bool:
        """Whether there are no figures."""
        return self.code is not None


class Store:
    """The folder of a sweep.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = folder / RUNS
        for name in (RUNS, TABLES):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def finished(self) -> set[str]:
        """Return the digests of the runs that are kept."""
        return {path.stem for path in self._runs.glob("*.parquet") if path.name[0] != "."}

    def write(self, run: Run, outcome: Outcome) -> None:
        """Keep an outcome; an older one of the same run gives way."""
        facts = {
            "format": FORMAT,
            "run": run.identity(),
            "seconds": outcome.seconds,
            "cpu_seconds": outcome.cpu_seconds,
            "code": outcome.code,
            "message": outcome.message,
        }
        table = pa.Table.from_pylist([dict(figure) for figure in outcome.figures], _FIGURES)
        described = table.replace_schema_metadata(
            {_KEY: json.dumps(facts, ensure_ascii=False).encode()}
        )
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(described, buffer)
        write_bytes(self._place(run.digest), buffer.getvalue(), replace=True)

    def read(self, digest: str) -> Outcome:
        """Return the outcome of a finished run.

        Raises
        ------
        IntegrityError
            If the file is not what this program wrote.
        """
        path = self._place(digest)
        try:
            table = pyarrow.parquet.read_table(path)
            facts = json.loads((table.schema.metadata or {})[_KEY])
            return Outcome(
                figures=tuple(Figure(**row) for row in table.to_pylist()),
                seconds=facts["seconds"],
                cpu_seconds=facts["cpu_seconds"],
                code=facts["code"],
                message=facts["message"],
            )
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            raise IntegrityError(
                f"{str(path)!r} holds no run of a sweep.",
                fix="delete the file: the run is then made again.",
            ) from None

    def frame(self, runs: Sequence[Run]) -> pd.DataFrame:
        """Return the finished ones of some runs in long form.

        Parameters
        ----------
        runs : sequence of Run
            Those of a sweep file; what else the folder holds is left out.

        Returns
        -------
        DataFrame
            One row per run and metric; a run that failed has one row without a metric.
        """
        done = self.finished()
        lines: list[dict[str, Any]] = []
        for run in runs:
            if run.digest not in done:
                continue
            outcome = self.read(run.digest)
            about = {
                "dataset": run.material.label,
                "method": run.method.label,
                "guarantee": run.method.guarantee,
                "epsilon": run.budget.epsilon,
                "delta": run.budget.delta,
                "seed": run.seed,
                "status": "failed" if outcome.failed else "done",
                "code": outcome.code,
                "message": outcome.message,
            }
            after = {
                "seconds": outcome.seconds,
                "cpu_seconds": outcome.cpu_seconds,
                "run": run.digest,
            }
            empty = {"metric": None, "direction": None, **dict.fromkeys(_NUMBERS)}
            lines += [{**about, **figure, **after} for figure in outcome.figures or (empty,)]
        return _typed(pd.DataFrame(lines, columns=list(COLUMNS)))

    def consolidate(self, runs: Sequence[Run]) -> pd.DataFrame:
        """Write :data:`RESULTS` and return what it holds."""
        frame = self.frame(runs)
        content = frame.to_parquet(index=False)
        write_bytes(self.folder / RESULTS, content, replace=True)
        return frame

    def _place(self, digest: str) -> Path:
        return self._runs / f"{digest}.parquet"


COLUMNS: dict[str, str] = {
    "dataset": "string",
    "method": "string",
    "guarantee": "string",
    "epsilon": "float64",
    "delta": "float64",
    "seed": "int64",
    "status": "string",
    "code": "string",
    "message": "string",
    "metric": "string",
    "value": "float64",
    "direction": "string",
    "floor": "float64",
    "reference": "float64",
    "skill": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "seconds": "float64",
    "cpu_seconds": "float64",
    "run": "string",
}
"""Columns of the results, and their types."""


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(COLUMNS)
