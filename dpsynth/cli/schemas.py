"""Commands on schema files."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from dpsynth.cli.console import AsJson, Output, out, say

app = App(name="schema", help="Draft and check schema files.")


@app.command(name="draft")
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
        say(f"wrote {output}: answer every TODO, then run dpsynth schema check {output}")


@app.command(name="check")
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
        out({"schema": str(schema), "ok": True}, "the schema is complete", as_json)
        return
    from dpsynth.diagnose import diagnose

    diagnosis = diagnose(data, read)
    out(diagnosis.to_dict(), str(diagnosis), as_json)
    if not diagnosis.ok:
        raise DataError("the table does not fit the schema.", fix="see the list above.")
