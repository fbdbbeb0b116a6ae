"""Reports of a ledger: a statement of what was spent, as JSON, CSV, a page, or a registry draft.

:class:`Statement` holds all that may leave a ledger; whoever keeps the ledger fills it in.
"""

from __future__ import annotations

import json

from dpsynth.certificate.facts import DeploymentFacts
from dpsynth.certificate.lines import StatementCharge, StatementRelease
from dpsynth.certificate.meaning import Meaning
from dpsynth.certificate.page import to_html
from dpsynth.certificate.registry import to_registry
from dpsynth.certificate.sheet import to_csv
from dpsynth.certificate.statement import Portion, Statement
from dpsynth.errors import UsageError

__all__ = [
    "FORMATS",
    "DeploymentFacts",
    "Meaning",
    "Portion",
    "Statement",
    "StatementCharge",
    "StatementRelease",
    "render",
]

FORMATS = ("json", "csv", "html", "registry-yaml")


def render(statement: Statement, format: str, *, facts: DeploymentFacts | None = None) -> str:
    """Write a statement down.

    Parameters
    ----------
    statement : Statement
        What was spent, and on what.
    format : {"json", "csv", "html", "registry-yaml"}
        ``json`` reads back with :meth:`Statement.from_dict`; ``csv`` has a line per charge, ended
        by CR LF (write it with ``newline=""``); ``html`` is one page without scripts or requests;
        ``registry-yaml`` is a draft for the OpenDP deployments registry.
    facts : DeploymentFacts, optional
        What the custodian adds; for ``registry-yaml`` only, and needed there.

    Returns
    -------
    str

    Raises
    ------
    UsageError
        If the format is unknown, facts are missing or not wanted.
    MissingExtraError
        If the extra ``report`` is not installed.

    Privacy
    -------
    The text depends on the fields of the statement and the facts, and on nothing else: neither on
    the time nor on the machine.
    """
    if format not in FORMATS:
        raise UsageError(f"format must be one of {', '.join(FORMATS)}.", code="DPS521")
    if format == "registry-yaml":
        if facts is None:
            raise UsageError(
                "a registry draft needs what the custodian knows and the ledger does not.",
                code="DPS521",
                fix=f"give a file with {', '.join(DeploymentFacts.required())}.",
            )
        return to_registry(statement, facts)
    if facts is not None:
        raise UsageError(f"{format} takes no facts.", code="DPS521", fix="leave them out.")
    if format == "json":
        document = statement.to_dict()
        return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    return to_csv(statement) if format == "csv" else to_html(statement)
