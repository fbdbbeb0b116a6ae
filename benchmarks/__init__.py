"""What a synthetic table is still good for.

``benchmarks.evaluate`` measures one table, for the house. Figures that may leave it are bought
with ``evaluate_dp`` or follow from public rows with ``evaluate_public``. ``import benchmarks``
loads no numerical library: they are imported when something is measured.
"""

from __future__ import annotations

# Bound eagerly, from a module that imports the standard library only: the function and its module
# share a name, and a lazy attribute would turn into the module as soon as anyone imports it.
from benchmarks.disclosure import BoughtReport, PublicReport, evaluate_dp, evaluate_public
from benchmarks.evaluate import evaluate
from benchmarks.report import UtilityReport
from benchmarks.uses import Thresholds

__all__ = [
    "BoughtReport",
    "PublicReport",
    "Thresholds",
    "UtilityReport",
    "evaluate",
    "evaluate_dp",
    "evaluate_public",
]
