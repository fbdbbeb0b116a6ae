"""How a ledger slows down as it grows: ``python -m benchmarks.ledger_growth [URL]``.

Reservations of a plan whose price is known, so that the ledger alone is timed: the price of a new
plan is worked out before the write lock is taken, and does not depend on the ledger.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dpsynth.ledger import Ledger
from dpsynth.privacy import Budget, Gaussian, NeighbouringRelation, Plan, PlannedCharge, PrivacyUnit

SIZES = (10, 100, 1_000, 10_000)
SAMPLES = 50


def plan(sigma: float) -> Plan:
    """Return a plan of one Gaussian."""
    noise = Gaussian(relation=NeighbouringRelation.ADD_REMOVE, noise_multiplier=sigma)
    return Plan(
        method="benchmark",
        unit=PrivacyUnit(),
        budget=Budget(epsilon=1.0, delta=1e-6),
        charges=(PlannedCharge(step="query", mechanism=noise),),
    )


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(address: str | Path) -> None:
    """Print the curve."""
    ledger = Ledger.create(
        address,
        population="benchmark",
        dataset="benchmark",
        budget=Budget(epsilon=10.0, delta=1e-5),
        unit=PrivacyUnit(),
    )
    plans = [plan(1000.0 + i) for i in range(10)]
    charges = 0
    print("charges  reserve median  slowest      show     check      open")
    for size in SIZES:
        while charges < size - SAMPLES:
            with ledger.reserve(plans[charges % 10], dataset="benchmark") as charge:
                charge.touch()
                charge.commit()
            charges += 1
        times = []
        for _ in range(min(SAMPLES, size - charges)):
            times.append(seconds(lambda: ledger.reserve(plans[0], dataset="benchmark")))
            charges += 1
        reserve = [1000 * t for t in times]
        show = seconds(lambda: str(ledger.summary()))
        check = seconds(ledger.check)
        opened = seconds(lambda: Ledger.open(address).close())
        print(
            f"{size:>7}  {statistics.median(reserve):>11.1f} ms  {max(reserve):>5.1f} ms"
            f"  {show:>6.2f} s  {check:>6.2f} s  {opened:>6.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1] if len(sys.argv) > 1 else Path(folder) / "ledger.db")
