"""Sweeps over public tables: methods, budgets and repetitions; utility, attacks and ε.

``dpsynth bench sweep.toml -o FOLDER`` reads :mod:`~dpsynth.bench.parsing`, makes the runs
(:mod:`~dpsynth.bench.driver`), keeps each in :mod:`~dpsynth.bench.store` and draws
:mod:`~dpsynth.bench.page`. The package stands above ``benchmarks`` and ``privacy_audits``, which do
not know each other: a frontier needs both.
"""

from __future__ import annotations
