"""Tables whose truth is known: for coverage studies, sweeps and demonstrations.

Nobody stands behind a row, so that nothing here is confidential. ``draw`` gives rows,
``schema`` the public facts about them and ``truth`` the coefficients that a regression on
infinitely many rows would give.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.simulators.base import Simulator
from benchmarks.simulators.health import Health
from benchmarks.simulators.survey import Survey
from benchmarks.simulators.visits import Visits

__all__ = ["SIMULATORS", "Health", "Simulator", "Survey", "Visits"]

SIMULATORS: Mapping[str, Simulator] = MappingProxyType(
    {simulator.name: simulator for simulator in (Health(), Survey(), Visits())}
)
"""All simulators with their defaults, by name."""
