"""What a synthetic table is still good for.

``benchmarks.evaluate`` measures one table. ``import benchmarks`` loads no numerical library: they
are imported when something is measured.
"""

from __future__ import annotations

# Bound eagerly, from a module that imports the standard library only: the function and its module
# share a name, and a lazy attribute would turn into the module as soon as anyone imports it.
from benchmarks.evaluate import evaluate
from benchmarks.report import UtilityReport
from benchmarks.uses import Thresholds

__all__ = ["Thresholds", "UtilityReport", "evaluate"]
