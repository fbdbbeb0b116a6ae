"""How often intervals from synthetic tables contain the truth, on tables whose truth is known.

``python -m benchmarks.validity -o OUT`` fits, draws, runs the regressions of the schema and writes
``OUT/coverage.md`` and ``OUT/coverage.svg``. What was done is kept in ``OUT/runs.jsonl``: the same
command goes on where it was interrupted.
"""
