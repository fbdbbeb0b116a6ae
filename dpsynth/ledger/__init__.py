"""The durable book of budgets: reserve, touch, commit.

A budget belongs to a population of people, not to a file. Every plan that reads any dataset about
them is booked here first, and the book says no before a row is read. See :mod:`dpsynth.filters` for
when a plan is admitted and why that is sound.
"""

from dpsynth.ledger.anchors import Anchor, read_anchor
from dpsynth.ledger.book import Ledger
from dpsynth.ledger.charge import Charge
from dpsynth.ledger.entries import ChargeState
from dpsynth.ledger.summary import ChargeLine, LedgerSummary

__all__ = [
    "Anchor",
    "Charge",
    "ChargeLine",
    "ChargeState",
    "Ledger",
    "LedgerSummary",
    "read_anchor",
]
