"""The statement as CSV: one line per charge (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json

from dpsynth.certificate.statement import Statement

COLUMNS = (
    "number",
    "charge",
    "day",
    "state",
    "method",
    "dataset",
    "epsilon_alone",
    "delta",
    "capacity_share",
    "capacity_used_so_far",
    "mechanisms",
    "steps_run",
    "releases",
    "plan_sha256",
    "population",
    "ledger_id",
    "sequence",
    "head",
)
"""Columns in order. ``epsilon_alone`` does not add up over lines; ``capacity_share`` does."""

# A cell that begins with one of these may run as a formula, the wide forms included.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def to_csv(statement: Statement) -> str:
    """Return one line per charge, lines ended by CR LF, the first with the names of the columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    used = 0.0
    for number, charge in enumerate(statement.charges, start=1):
        used = min(1.0, used + charge.share)
        mechanisms = [{"step": step, **spec} for step, spec in charge.mechanisms]
        releases = [r.name for r in statement.releases if charge.id in r.charge_ids]
        row = (
            number,
            charge.id,
            charge.day,
            charge.state,
            charge.method,
            charge.dataset,
            charge.epsilon_alone,
            statement.budget.delta,
            charge.share,
            used,
            _json(mechanisms),
            "" if charge.steps_run is None else _json(dict(charge.steps_run)),
            _json(releases) if releases else "",
            charge.plan_sha256,
            statement.population,
            statement.ledger_id,
            statement.sequence,
            statement.head,
        )
        writer.writerow([_safe(value) for value in row])
    return out.getvalue()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _safe(value: object) -> str:
    cell = repr(value) if isinstance(value, float) else str(value)
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA) else cell
