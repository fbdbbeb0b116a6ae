"""Utility against ε: methods, budgets and repetitions on tables that are public anyway.

``python -m benchmarks.frontier FOLDER... -o OUT`` fits, measures, and draws ``OUT/frontier.svg``.
What was measured is kept in ``OUT/runs.jsonl``: the same command goes on where it was interrupted.
"""
