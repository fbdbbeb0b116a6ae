"""What ``dpsynth evaluate`` does where its figures may leave the house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dpsynth.cli.console import custodian_key
from dpsynth.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.disclosure import BoughtReport, PublicReport
    from dpsynth.schema import Schema

_NEEDED = {
    "internal": ("holdout",),
    "dp": ("ledger", "dataset"),
    "public-reference": ("reference", "source"),
}
_POSSIBLE = {
    "internal": ("epsilon", "delta", "page"),
    "dp": ("epsilon", "delta", "key"),
    "public-reference": ("holdout", "ledger", "key"),
}


def require_options(disclosure: str, given: Mapping[str, object]) -> None:
    """Refuse options that are missing, and those that would be ignored.

    Raises
    ------
    UsageError
        Naming all of them.
    """
    missing = [name for name in _NEEDED[disclosure] if given[name] is None]
    if missing:
        raise UsageError(
            f"--disclosure {disclosure} needs {_listed(missing)}.", fix="give what is missing."
        )
    known = {*_NEEDED[disclosure], *_POSSIBLE[disclosure]}
    idle = [name for name, value in given.items() if value is not None and name not in known]
    if idle:
        raise UsageError(
            f"--disclosure {disclosure} has no use for {_listed(idle)}.", fix="leave them out."
        )


def bought(
    synthetic: Path,
    data: Path,
    schema: Schema,
    *,
    ledger: str,
    dataset: str,
    epsilon: float | None,
    delta: float | None,
    key: Path | None,
) -> BoughtReport:
    """Buy noisy figures from a ledger."""
    from benchmarks.disclosure import evaluate_dp
    from dpsynth.ledger import Ledger

    with Ledger.open(ledger) as book:
        return evaluate_dp(
            synthetic,
            data,
            schema,
            ledger=book,
            dataset=dataset,
            epsilon=epsilon,
            delta=delta,
            key=custodian_key(key),
        )


def public(
    synthetic: Path,
    reference: Path,
    schema: Schema,
    *,
    source: str,
    sensitive: Sequence[Path],
    ledger: str | None,
    key: Path | None,
    seed: int,
) -> PublicReport:
    """Compare with a public table."""
    from benchmarks.disclosure import evaluate_public
    from dpsynth.ledger import Ledger

    def compare(book: Ledger | None) -> PublicReport:
        return evaluate_public(
            synthetic,
            reference,
            schema,
            source=source,
            sensitive=sensitive,
            ledger=book,
            key=custodian_key(key),
            seed=seed,
        )

    if ledger is None:
        return compare(None)
    with Ledger.open(ledger, read_only=True) as book:
        return compare(book)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)
