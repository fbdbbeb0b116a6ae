"""All that rests on models of the declared target, trained once.

Prediction, privately trained models, groups of protected columns and agreement on what is
important look at the same learners (:mod:`benchmarks.training`).
"""

from __future__ import annotations

import numpy as np

from benchmarks import importance, prediction, private_reference, subgroups, training
from benchmarks.discretise import Tables
from benchmarks.report import Section
from dpsynth.privacy import Budget


def measure(tables: Tables, *, rng: np.random.Generator, budget: Budget | None = None) -> Section:
    """Train, and measure everything that is asked of the learners.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Source of a stream for each part, so that none changes the figures of another.
    budget : Budget, optional
        What the synthetic table was released under; models trained under it on the fitted rows are
        compared with. Nothing is spent: see :mod:`benchmarks.private_reference`.
    """
    streams = rng.spawn(5)
    trained = training.train(tables, rng=streams[0])
    private = private_reference.measure(tables, rng=streams[1], trained=trained, budget=budget)
    sections = (
        prediction.measure(
            tables, rng=streams[2], trained=trained, private=private_reference.best(private)
        ),
        private,
        subgroups.measure(tables, rng=streams[3], trained=trained),
        importance.measure(tables, rng=streams[4], trained=trained),
    )
    return Section(
        metrics=tuple(metric for section in sections for metric in section.metrics),
        worst={name: rows for section in sections for name, rows in section.worst.items()},
        findings=tuple(finding for section in sections for finding in section.findings),
        tables={name: rows for section in sections for name, rows in section.tables.items()},
    )
