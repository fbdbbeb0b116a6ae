"""What an audit or an evaluation made of a table, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dpsynth.evidence import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One verdict.

    Parameters
    ----------
    kind : str
        ``audit`` or ``utility``.
    table_sha256 : str
        Digest of the table.
    verdict : Verdict
        What was said.
    criteria_sha256 : str or None
        Digest of the criteria, where they were fixed before.
    charge_id : str or None
        Charge of the fit that the table was drawn from.
    recorded : str
        When, in UTC.

    Privacy
    -------
    Computed from real rows as a rule: confidential.
    """

    kind: str
    table_sha256: str
    verdict: Verdict
    criteria_sha256: str | None
    charge_id: str | None
    recorded: str

    @classmethod
    def of(cls, time: str, body: Mapping[str, Any]) -> Self:
        """Read an entry."""
        return cls(
            kind=body["kind"],
            table_sha256=body["table_sha256"],
            verdict=Verdict(body["verdict"]),
            criteria_sha256=body["criteria_sha256"],
            charge_id=body["charge_id"],
            recorded=time,
        )
