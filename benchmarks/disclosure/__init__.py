"""Figures about a table that may leave the house.

What :func:`benchmarks.evaluate` says is computed from real rows and confidential. Two other ways
give figures that need not be: :func:`evaluate_dp` buys a few noisy ones from the ledger, and
:func:`evaluate_public` compares the table with rows that were published.
"""

from __future__ import annotations

from benchmarks.disclosure.bought import BoughtReport
from benchmarks.disclosure.public import PublicReport, evaluate_public
from benchmarks.disclosure.purchase import (
    Reservation,
    evaluate_dp,
    evaluation_plan,
    reserve_evaluation,
)

__all__ = [
    "BoughtReport",
    "PublicReport",
    "Reservation",
    "evaluate_dp",
    "evaluate_public",
    "evaluation_plan",
    "reserve_evaluation",
]
