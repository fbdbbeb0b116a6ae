"""The demonstration: a real table with several rows per person, released with a proof.

The RAND Health Insurance Experiment ships inside statsmodels; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pandas as pd

from dpsynth import workflow
from dpsynth.accountant import Accountant
from dpsynth.errors import UsageError, require_extra
from dpsynth.ledger import Ledger
from dpsynth.methods import method_class
from dpsynth.privacy import Budget
from dpsynth.release import refuse_existing, verify
from dpsynth.schema import Schema
from dpsynth.synthesizer import Progress

BUDGET = Budget(epsilon=3.0, delta=1e-6)


def demo_schema() -> Schema:
    """Return the schema of the demonstration."""
    with resources.as_file(resources.files("dpsynth") / "data" / "randhie.toml") as path:
        return Schema.read(path)


def demo_table() -> Path:
    """Return the path of the table inside statsmodels."""
    statsmodels = require_extra("statsmodels", extra="demo", purpose="The demonstration")
    path = Path(str(statsmodels.__file__)).parent / "datasets" / "randhie" / "src" / "randhie.csv"
    if not path.is_file():
        raise UsageError(
            "this statsmodels does not carry randhie.csv.", fix="pip install -U statsmodels"
        )
    return path


def run_demo(out: Path, *, progress: Progress, say: Callable[[str], None]) -> str:
    """Fit, sample, evaluate, seal and verify; return a short summary.

    Parameters
    ----------
    out : Path
        Folder to create.
    progress : callable
        Receives (steps done, steps in all).
    say : callable
        Receives messages.
    """
    refuse_existing(out)
    schema, data = demo_schema(), demo_table()
    out.mkdir(parents=True)
    with Ledger.create(
        out / "ledger.db",
        population="RAND HIE participants",
        dataset="randhie",
        budget=BUDGET,
        unit=schema.unit,
    ) as ledger:
        say(f"budget of ε = {BUDGET.epsilon:g}, δ = {BUDGET.delta:g} for {schema.unit.describe()}")
        model = method_class("dp-autoregressive")(schema)
        done = workflow.release(
            data,
            model,
            budget=BUDGET,
            ledger=ledger,
            dataset="randhie",
            out=out / "release",
            rows=20_000,
            progress=progress,
        )
        spent = str(ledger.summary())
    checks = verify(done.bundle)
    sound = "verifies" if all(check.passed for check in checks) else "DOES NOT VERIFY"
    preview = pd.read_csv(done.bundle / "synthetic.csv").head(5).iloc[:, :9].to_string(index=False)
    guarantee = Accountant(model.plan_.mechanisms).explain(BUDGET.delta)
    return (
        f"{preview}\n\n{done.report}\n\n{guarantee}\n\n{spent}\n\n"
        f"bundle        {done.bundle} ({sound}: {len(checks)} checks)\n"
        f"confidential  {done.internal}"
    )
