"""The command line: thin commands over the library.

stdout carries the result, stderr the messages and the progress. Exit codes: 0 ok, 1 internal
error, 2 usage or configuration, 3 schema or data refused, 4 budget refused, 5 validation gate
failed, 6 integrity or overwrite refused, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from dpsynth.errors import DPSynthError, UsageError, require_extra

cyclopts = require_extra("cyclopts", extra="cli", purpose="The command line")

_HELP = """Synthetic tables with a differential privacy proof attached.

Example: dpsynth demo -o demo-release

Exit codes: 0 ok, 1 internal error, 2 usage or configuration, 3 schema or data refused,
4 budget refused, 5 validation gate failed, 6 integrity or overwrite refused, 130 interrupted.
"""


def _version() -> str:
    from dpsynth import __version__

    return __version__


app = cyclopts.App(name="dpsynth", help=_HELP, version=_version)
schema_app = cyclopts.App(name="schema", help="Draft and check schema files.")
ledger_app = cyclopts.App(name="ledger", help="Open, read and check the book of budgets.")
app.command(schema_app)
app.command(ledger_app)

Output = Annotated[Path | None, cyclopts.Parameter(name=["--output", "-o"])]
RequiredOutput = Annotated[Path, cyclopts.Parameter(name=["--output", "-o"])]
Rows = Annotated[int | None, cyclopts.Parameter(name=["-n", "--rows"])]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]


# -- schema -----------------------------------------------------------------------------------


@schema_app.command(name="draft")
def schema_draft(data: Path, *, output: Output = None) -> None:
    """Draft a schema from the names and dtypes of a table; no value is read.

    Parameters
    ----------
    data
        CSV or Parquet file.
    output
        File to write; stdout by default. An existing file is not replaced.
    """
    from dpsynth.files import write_bytes
    from dpsynth.schema import Schema

    text = Schema.draft(data, name=data.stem)
    if output is None:
        print(text, end="")
    else:
        write_bytes(output, text.encode())
        _say(f"wrote {output}: answer every TODO, then run dpsynth schema check {output}")


@schema_app.command(name="check")
def schema_check(schema: Path, *, data: Path | None = None, as_json: AsJson = False) -> None:
    """Check a schema file, and, for the custodian's eyes, a table against it.

    Parameters
    ----------
    schema
        Schema file.
    data
        Table to compare. The result is computed from real rows: do not publish it.
    as_json
        Print one JSON document.
    """
    from dpsynth.errors import DataError
    from dpsynth.schema import Schema

    read = Schema.read(schema)
    if data is None:
        _out({"schema": str(schema), "ok": True}, "the schema is complete", as_json)
        return
    from dpsynth.diagnose import diagnose

    diagnosis = diagnose(data, read)
    _out(diagnosis.to_dict(), str(diagnosis), as_json)
    if not diagnosis.ok:
        raise DataError("the table does not fit the schema.", fix="see the list above.")


# -- plan, fit, sample --------------------------------------------------------------------------


@app.command
def plan(
    *,
    schema: Path,
    method: str = "dp-vae",
    epsilon: float,
    delta: float,
    rows: int | None = None,
    as_json: AsJson = False,
) -> None:
    """Show what a fit would spend; no data is touched.

    Parameters
    ----------
    schema
        Schema file.
    method
        dp-vae or independent.
    epsilon
        ε to spend.
    delta
        δ to spend.
    rows
        Public guess of the number of rows.
    as_json
        Print one JSON document.
    """
    from dpsynth.accountant import Accountant
    from dpsynth.privacy import Budget

    planned = _synthesizer(schema, method).plan(Budget(epsilon=epsilon, delta=delta), rows=rows)
    accountant = Accountant(planned.mechanisms)
    total = accountant.certificate(delta)
    lines = [
        f"method      {planned.method}",
        f"protected   {planned.unit.describe()}, relation {planned.unit.relation}",
        f"total       ε = {total} at δ = {delta}",
        "",
        "step                      ε alone   mechanism",
    ]
    steps = []
    for charge in planned.charges:
        alone = Accountant([charge.mechanism]).certificate(delta)
        spec = {k: v for k, v in charge.mechanism.spec().items() if k not in ("kind", "relation")}
        numbers = ", ".join(
            f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in spec.items()
        )
        lines.append(f"{charge.step:<25} {alone:>7.3f}   {charge.mechanism.kind}: {numbers}")
        steps.append({"step": charge.step, "epsilon_alone": alone})
    lines += ["", accountant.explain(delta)]
    _out({**planned.spec(), "epsilon": total, "steps": steps}, "\n".join(lines), as_json)


@app.command
def fit(
    data: Path,
    *,
    schema: Path,
    method: str = "dp-vae",
    epsilon: float,
    delta: float,
    ledger: Path,
    dataset: str,
    output: RequiredOutput,
    rows: int | None = None,
) -> None:
    """Spend a budget on fitting a method to a table.

    Parameters
    ----------
    data
        CSV or Parquet file with the sensitive rows; opened after the ledger has granted the spend.
    schema
        Schema file.
    method
        dp-vae or independent.
    epsilon
        ε to spend.
    delta
        δ to spend.
    ledger
        Ledger file.
    dataset
        Name of the dataset in the ledger.
    output
        Model file to write; an existing file is not replaced.
    rows
        Public guess of the number of rows.
    """
    from dpsynth.files import refuse_existing
    from dpsynth.ledger import Ledger
    from dpsynth.privacy import Budget

    refuse_existing(output)
    model = _synthesizer(schema, method)
    with Ledger.open(ledger) as book:
        model.fit(
            data,
            budget=Budget(epsilon=epsilon, delta=delta),
            ledger=book,
            dataset=dataset,
            rows=rows,
            progress=_Progress(epsilon),
        )
    model.save(output)
    print(output)


@app.command
def sample(
    model: Path, *, rows: Rows = None, output: RequiredOutput, seed: int | None = None
) -> None:
    """Draw a synthetic table from a model; costs no privacy.

    Parameters
    ----------
    model
        Model file.
    rows
        Number of rows; by default the noisy number of rows that the fit bought.
    output
        .csv or .parquet file to write; an existing file is not replaced.
    seed
        Makes the draw repeatable.
    """
    from dpsynth.files import refuse_existing
    from dpsynth.methods import load
    from dpsynth.table import write_frame

    refuse_existing(output)
    write_frame(load(model).sample(rows, seed=seed), output)
    print(output)


# -- evaluate, release, verify ------------------------------------------------------------------


@app.command
def evaluate(
    *,
    fit: Path,
    holdout: Path,
    synthetic: Path,
    schema: Path,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Measure what a synthetic table is still good for. The result is confidential.

    Parameters
    ----------
    fit
        Rows that the model was fitted to.
    holdout
        Rows that nothing has seen.
    synthetic
        Synthetic table.
    schema
        Schema file.
    output
        Evidence file to write; an existing file is not replaced.
    as_json
        Print one JSON document.
    """
    from benchmarks.evaluate import evaluate as measure
    from dpsynth.evidence import table_sha256
    from dpsynth.files import refuse_existing
    from dpsynth.schema import Schema

    if output is not None:
        refuse_existing(output)
    report = measure(
        synthetic, fit, holdout, Schema.read(schema), table_sha256=table_sha256(synthetic)
    )
    if output is not None:
        report.evidence().write(output)
    _out(report.to_dict(), str(report), as_json)


@app.command
def release(
    data: Path,
    *,
    schema: Path,
    method: str = "dp-vae",
    epsilon: float,
    delta: float,
    ledger: Path,
    dataset: str,
    output: RequiredOutput,
    rows: int | None = None,
    holdout: float = 0.2,
) -> None:
    """Fit, sample, evaluate and seal a bundle that a recipient can verify.

    Parameters
    ----------
    data
        CSV or Parquet file with the sensitive rows.
    schema
        Schema file.
    method
        dp-vae or independent.
    epsilon
        ε to spend.
    delta
        δ to spend.
    ledger
        Ledger file.
    dataset
        Name of the dataset in the ledger.
    output
        Release folder to create; what is confidential goes to OUTPUT-internal.
    rows
        Public guess of the number of rows.
    holdout
        Chance of every unit to be held out for the evaluation.
    """
    from dpsynth import workflow
    from dpsynth.ledger import Ledger
    from dpsynth.privacy import Budget

    with Ledger.open(ledger) as book:
        done = workflow.release(
            data,
            _synthesizer(schema, method),
            budget=Budget(epsilon=epsilon, delta=delta),
            ledger=book,
            dataset=dataset,
            out=output,
            rows=rows,
            holdout=holdout,
            progress=_Progress(epsilon),
        )
    _say(str(done.report))
    print(done.bundle)


@app.command
def verify(bundle: Path, *, as_json: AsJson = False) -> None:
    """Check a release as its recipient; no sensitive data is needed.

    Parameters
    ----------
    bundle
        Release folder.
    as_json
        Print one JSON document.
    """
    from dpsynth.errors import IntegrityError
    from dpsynth.release import verify as check

    checks = check(bundle)
    lines = [
        f"{'ok    ' if c.passed else 'FAILED'}  {c.name}"
        + (f" ({c.detail})" if c.detail and not c.passed else "")
        for c in checks
    ]
    document = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]
    _out({"checks": document, "ok": all(c.passed for c in checks)}, "\n".join(lines), as_json)
    failed = [c.name for c in checks if not c.passed]
    if failed:
        raise IntegrityError(f"the release does not verify: {', '.join(failed)}.", code="DPS604")


# -- ledger -------------------------------------------------------------------------------------


@ledger_app.command(name="init")
def ledger_init(
    ledger: Path,
    *,
    dataset: str,
    epsilon: float,
    delta: float,
    unit: str | None = None,
    max_rows: int = 1,
    relation: str = "add_remove",
    population: str | None = None,
) -> None:
    """Open a book for one population of people.

    Parameters
    ----------
    ledger
        File to create.
    dataset
        Name of the first dataset.
    epsilon
        ε that may ever be spent on these people.
    delta
        δ that may ever be spent.
    unit
        Column that names the privacy unit; absent: one row is one unit.
    max_rows
        Most rows of one unit.
    relation
        add_remove or replace_one.
    population
        Name of the population; by default that of the dataset.
    """
    from dpsynth.ledger import Ledger
    from dpsynth.privacy import Budget, NeighbouringRelation, PrivacyUnit

    if relation not in set(NeighbouringRelation):
        raise UsageError(f"relation must be one of {', '.join(NeighbouringRelation)}.")
    Ledger.create(
        ledger,
        population=population or dataset,
        dataset=dataset,
        budget=Budget(epsilon=epsilon, delta=delta),
        unit=PrivacyUnit(column=unit, max_rows=max_rows, relation=NeighbouringRelation(relation)),
    ).close()
    print(ledger)


@ledger_app.command(name="show")
def ledger_show(ledger: Path, *, as_json: AsJson = False) -> None:
    """Show what was spent and what remains.

    Parameters
    ----------
    ledger
        Ledger file.
    as_json
        Print one JSON document.
    """
    from dpsynth.ledger import Ledger

    with Ledger.open(ledger, read_only=True) as book:
        summary = book.summary()
    _out(summary.to_dict(), str(summary), as_json)


@ledger_app.command(name="check")
def ledger_check(ledger: Path, *, as_json: AsJson = False) -> None:
    """Verify the chain of entries and everything derived from it.

    Parameters
    ----------
    ledger
        Ledger file.
    as_json
        Print one JSON document.
    """
    from dpsynth.ledger import Ledger

    with Ledger.open(ledger, read_only=True) as book:
        book.check()
        anchor = book.anchor
    document = {
        "ok": True,
        "ledger_id": anchor.ledger_id,
        "sequence": anchor.sequence,
        "head": anchor.head,
    }
    text = f"the chain of {anchor.sequence} entries verifies; head {anchor.head}"
    _out(document, text, as_json)


@app.command
def demo(*, output: RequiredOutput = Path("demo-release")) -> None:
    """Release a real table: the RAND Health Insurance Experiment, protected per person.

    Parameters
    ----------
    output
        Folder to create; it receives the bundle, the ledger and the confidential report.
    """
    from dpsynth.demo import run_demo

    print(run_demo(output, progress=_Progress(3.0), say=_say))


# -- plumbing -----------------------------------------------------------------------------------


def _synthesizer(schema: Path, method: str) -> Any:  # noqa: ANN401 - avoids importing at start
    from dpsynth.methods import method_class
    from dpsynth.schema import Schema

    return method_class(method)(Schema.read(schema))


def _out(document: object, text: str, as_json: bool) -> None:
    print(json.dumps(document, indent=1, ensure_ascii=False) if as_json else text)


def _say(message: str) -> None:
    print(message, file=sys.stderr)


class _Progress:
    """Steps and ε on stderr: one moving line on a terminal, one line in ten per cent elsewhere."""

    def __init__(self, epsilon: float) -> None:
        self._epsilon = epsilon

    def __call__(self, done: int, of: int) -> None:
        line = f"step {done}/{of}, ε ≤ {self._epsilon:g} booked"
        if sys.stderr.isatty():
            print(f"\r{line}", end="\n" if done == of else "", file=sys.stderr, flush=True)
        elif done == of or done % max(1, of // 10) == 0:
            print(line, file=sys.stderr, flush=True)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        command(*bound.args, **bound.kwargs)
    except cyclopts.CycloptsError as error:
        _say(f"error: DPS500 {error}")
        return UsageError.exit_code
    except DPSynthError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted; what was booked stays booked")
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:  # the last resort: name the place, never the values
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        _say(f"error: DPS001 internal error ({type(error).__name__} at {place}).")
        return 1
    return 0


def run() -> None:
    """Entry point of the ``dpsynth`` command."""
    sys.exit(main())
