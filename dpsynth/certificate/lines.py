"""Lines of a statement: a charge on a budget, and a table that was released."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Self

from dpsynth.certificate._checks import (
    SLACK,
    array,
    choice,
    day,
    digest,
    each,
    exact,
    malformed,
    number,
    text,
    whole,
)
from dpsynth.privacy import mechanism_from_spec

STATES = ("reserved", "touched", "stopped", "committed", "aborted")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementCharge:
    """One charge on a population's budget.

    Parameters
    ----------
    id : str
        Identifier in the ledger.
    method : str
        Name of the method.
    dataset : str
        Name of the dataset.
    state : {"reserved", "touched", "stopped", "committed", "aborted"}
        Where it stands. All but an aborted charge count.
    day : str
        Date of booking, YYYY-MM-DD. A time of day would tell how long runs took, which may depend
        on the data.
    epsilon_alone : float
        ε of this charge on its own at the δ of the budget; these do not add up.
    share : float
        Part of the filter's capacity that it takes, in [0, 1]; these add up. 0 if aborted.
    mechanisms : tuple of (str, mapping)
        Step and :meth:`dpsynth.privacy.Mechanism.spec` of each mechanism, in order.
    steps_run : mapping of str to int, optional
        Steps that were run, for a run that was stopped early, by the name of the step.
    step_shares : tuple of float, optional
        Part of the capacity that each mechanism takes; they add up to ``share``. Without it
        figures show the charge as a whole.
    plan_sha256 : str
        Digest of the frozen plan.

    Raises
    ------
    UsageError
        If a field is malformed. The message names the field only.
    """

    id: str
    method: str
    dataset: str
    state: str
    day: str
    epsilon_alone: float
    share: float
    mechanisms: tuple[tuple[str, Mapping[str, Any]], ...] = field(hash=False)
    plan_sha256: str
    steps_run: Mapping[str, int] | None = field(default=None, hash=False)
    step_shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("id", "method", "dataset"):
            text(f"charge.{name}", getattr(self, name))
        choice("charge.state", self.state, STATES)
        day("charge.day", self.day)
        digest("charge.plan_sha256", self.plan_sha256)
        _set(self, "epsilon_alone", number("charge.epsilon_alone", self.epsilon_alone))
        _set(self, "share", number("charge.share", self.share, 0.0, 1.0))
        _set(self, "mechanisms", each("charge.mechanisms", self.mechanisms, _mechanism))
        if not self.counts and self.share:
            malformed("charge.share", "0 for an aborted charge")
        if self.steps_run is not None:
            _set(self, "steps_run", _steps_run(self.steps_run, [s for s, _ in self.mechanisms]))
        if self.step_shares is not None:
            parts = each("charge.step_shares", self.step_shares, lambda n, v: number(n, v, 0, 1))
            if len(parts) != len(self.mechanisms) or abs(math.fsum(parts) - self.share) > SLACK:
                malformed("charge.step_shares", "one share per mechanism, together the charge's")
            _set(self, "step_shares", parts)

    @property
    def counts(self) -> bool:
        """Whether the charge takes part of the budget."""
        return self.state != "aborted"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "id": self.id,
            "method": self.method,
            "dataset": self.dataset,
            "state": self.state,
            "day": self.day,
            "epsilon_alone": self.epsilon_alone,
            "share": self.share,
            "mechanisms": [{"step": s, "mechanism": dict(spec)} for s, spec in self.mechanisms],
            "steps_run": None if self.steps_run is None else dict(self.steps_run),
            "step_shares": None if self.step_shares is None else list(self.step_shares),
            "plan_sha256": self.plan_sha256,
        }

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Rebuild from :meth:`to_dict`; other fields are refused."""
        found = dict(exact(document, _names(cls), "charge"))
        lines = array(found.pop("mechanisms"), "charge.mechanisms")
        entries = [exact(line, ("step", "mechanism"), "charge.mechanisms") for line in lines]
        return cls(mechanisms=tuple((e["step"], e["mechanism"]) for e in entries), **found)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRelease:
    """One table that was released.

    Parameters
    ----------
    id : str
        Identifier in the ledger.
    name : str
        Name of the release.
    day : str
        Date, YYYY-MM-DD.
    table_sha256 : str
        Digest of the released table's file.
    charge_ids : tuple of str
        Charges that it rests on.
    epsilon : float
        ε of those charges together, at the δ of the budget, for parameters that were fixed before
        the first of them ran. Of one charge alone it needs no such condition.

    Raises
    ------
    UsageError
        If a field is malformed. The message names the field only.
    """

    id: str
    name: str
    day: str
    table_sha256: str
    charge_ids: tuple[str, ...]
    epsilon: float

    def __post_init__(self) -> None:
        text("release.id", self.id)
        text("release.name", self.name)
        day("release.day", self.day)
        digest("release.table_sha256", self.table_sha256)
        _set(self, "charge_ids", each("release.charge_ids", self.charge_ids, text))
        _set(self, "epsilon", number("release.epsilon", self.epsilon))
        if len(set(self.charge_ids)) != len(self.charge_ids):
            malformed("release.charge_ids", "named once each")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        found = {name: getattr(self, name) for name in _names(type(self))}
        return {**found, "charge_ids": list(self.charge_ids)}

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Rebuild from :meth:`to_dict`; other fields are refused."""
        return cls(**exact(document, _names(cls), "release"))


def _names(kind: type[StatementCharge | StatementRelease]) -> list[str]:
    return [f.name for f in fields(kind)]


def _set(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)


def _mechanism(name: str, value: object) -> tuple[str, Mapping[str, Any]]:
    """Return a step and the fields that its kind of mechanism has, and no other."""
    entry = each(name, value, lambda _, item: item)
    if len(entry) != 2 or not isinstance(entry[1], Mapping):
        malformed(name, "made of pairs of a step and a mechanism")
    try:
        spec = mechanism_from_spec(entry[1]).spec()
    except (TypeError, ValueError, OverflowError):
        malformed(name, "mechanisms that this version of dpsynth knows")
    return text(f"step of {name}", entry[0]), MappingProxyType(spec)


def _steps_run(value: object, steps: list[str]) -> Mapping[str, int]:
    if not isinstance(value, Mapping) or not set(value) <= set(steps):
        malformed("charge.steps_run", "a number for steps of the charge")
    return MappingProxyType({n: whole("charge.steps_run", v) for n, v in sorted(value.items())})
