"""dpsynth: synthetic tables with a differential privacy proof attached.

Names are resolved on first use, so that ``import dpsynth`` loads neither torch nor scikit-learn.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dpsynth import siblings

if TYPE_CHECKING:
    from dpsynth.accountant import Accountant
    from dpsynth.calibration import AttackRisk
    from dpsynth.ledger import Ledger
    from dpsynth.marginals.independent import Independent
    from dpsynth.marginals.mst import MST
    from dpsynth.methods import load
    from dpsynth.neural.autoregressive import DPAutoregressive
    from dpsynth.neural.ctgan import DPCTGAN
    from dpsynth.neural.pategan import PATEGAN
    from dpsynth.neural.vae import DPVAE
    from dpsynth.noise import NoiseSource
    from dpsynth.privacy import Budget, NeighbouringRelation, Plan, PrivacyUnit
    from dpsynth.schema import Schema
    from dpsynth.scoring import TwoWayScore
    from dpsynth.selection import PrivateSearch

siblings.install()

__version__ = "0.1.0"

_WHERE = {
    "Accountant": "dpsynth.accountant",
    "AttackRisk": "dpsynth.calibration",
    "Budget": "dpsynth.privacy",
    "DPAutoregressive": "dpsynth.neural.autoregressive",
    "DPCTGAN": "dpsynth.neural.ctgan",
    "DPVAE": "dpsynth.neural.vae",
    "Independent": "dpsynth.marginals.independent",
    "Ledger": "dpsynth.ledger",
    "MST": "dpsynth.marginals.mst",
    "NeighbouringRelation": "dpsynth.privacy",
    "NoiseSource": "dpsynth.noise",
    "PATEGAN": "dpsynth.neural.pategan",
    "Plan": "dpsynth.privacy",
    "PrivacyUnit": "dpsynth.privacy",
    "PrivateSearch": "dpsynth.selection",
    "Schema": "dpsynth.schema",
    "TwoWayScore": "dpsynth.scoring",
    "load": "dpsynth.methods",
}

__all__ = [
    "DPCTGAN",
    "DPVAE",
    "MST",
    "PATEGAN",
    "Accountant",
    "AttackRisk",
    "Budget",
    "DPAutoregressive",
    "Independent",
    "Ledger",
    "NeighbouringRelation",
    "NoiseSource",
    "Plan",
    "PrivacyUnit",
    "PrivateSearch",
    "Schema",
    "TwoWayScore",
    "load",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    if name not in _WHERE:
        raise AttributeError(f"module 'dpsynth' has no attribute {name!r}")
    module = _WHERE[name]
    if module.startswith("dpsynth.neural"):
        from dpsynth.errors import require_extra

        require_extra("torch", extra="neural", purpose=name)
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
