"""Benches: a part under test to the results of all checks that concern it."""

from tests.broken.benches import accounts, bounds, choosing, fits, loops, releases, sums, tables
from tests.broken.benches.bench import BENCHES, Bench, Results

__all__ = [
    "BENCHES",
    "Bench",
    "Results",
    "accounts",
    "bounds",
    "choosing",
    "fits",
    "loops",
    "releases",
    "sums",
    "tables",
]
