"""Regressions that the schema declares: the same on real and on synthetic rows.

``measure`` compares one synthetic table, ``compare`` several samples of one model, ``combine``
holds the rules by which several tables' regressions become one interval.
"""

from __future__ import annotations

from benchmarks.inference.combining import RULES, Combined, Rule, combine

__all__ = ["RULES", "Combined", "Rule", "combine"]
