"""What a sweep will cost, roughly: from runs that are kept, or by rule of thumb."""

from __future__ import annotations

from collections.abc import Sequence

from dpsynth.bench.configuration import MethodSpec
from dpsynth.bench.headlines import ONE_RUN
from dpsynth.bench.runs import Run
from dpsynth.bench.store import Store

SECONDS = {
    "independent": 1.0,
    "mst": 1.0,
    "dp-vae": 10.0,
    "dp-autoregressive": 10.0,
    "dp-ctgan": 20.0,
    "pate-gan": 100.0,
}
"""Seconds of one core for 3,000 rows of 18 columns at ε = 1, measured once. Steps, not rows, govern
most of them."""


def estimated(waiting: Sequence[Run], runs: Sequence[Run], store: Store) -> dict[str, float | None]:
    """Return processor seconds by method; None where nothing is known.

    Parameters
    ----------
    waiting : sequence of Run
        Runs to come.
    runs : sequence of Run
        All runs of the sweep: finished ones of the same table and method are the better guide.
    store : Store
        What is kept.
    """
    finished = store.frame(runs).drop_duplicates(ONE_RUN)
    known = finished.groupby(["dataset", "method"])["cpu_seconds"].median().to_dict()
    total: dict[str, float | None] = {}
    for run in waiting:
        method = run.method
        one = known.get((run.material.label, method.label))
        if one is None and isinstance(method, MethodSpec):
            one = SECONDS[method.method]
        before = total.get(method.label, 0.0)
        total[method.label] = None if one is None or before is None else before + float(one)
    return total
