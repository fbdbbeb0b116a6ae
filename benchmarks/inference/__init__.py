"""Regressions that the schema declares: the same on real and on synthetic rows.

``measure`` compares one synthetic table, ``compare`` several samples of one model, ``combine``
holds the rules by which the regressions on several tables become one interval.
"""

from __future__ import annotations

from benchmarks.inference.combining import RULES, Combined, Rule, combine
from benchmarks.inference.samples import compare
from benchmarks.inference.section import measure

__all__ = ["RULES", "Combined", "Rule", "combine", "compare", "measure"]
