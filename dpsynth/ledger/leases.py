"""Leases: the steps of a long run that its ledger has entered before they are taken.

A run that is killed is charged for the steps that were leased to it, not for all it had planned.
Only training with DP-SGD takes so long that this matters, so only its steps can be leased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dpsynth.privacy import Mechanism, PoissonSampledGaussian, mechanism_from_spec

_LEASABLE = PoissonSampledGaussian.kind


def leasable(spec: Mapping[str, Any]) -> dict[str, int]:
    """Return the steps of a plan that can be leased, and how often each is planned to run.

    Parameters
    ----------
    spec : mapping
        Description of the plan, as :meth:`dpsynth.privacy.Plan.spec` gives it.
    """
    return {
        charge["step"]: int(charge["mechanism"]["steps"])
        for charge in spec["charges"]
        if charge["mechanism"]["kind"] == _LEASABLE
    }


def realised(spec: Mapping[str, Any], leased: Mapping[str, int] | None) -> tuple[Mechanism, ...]:
    """Return what a run has executed at most.

    Parameters
    ----------
    spec : mapping
        Description of the plan.
    leased : mapping of str to int, or None
        Steps leased; ``None`` where none were, so that everything may have run.
    """
    mechanisms = []
    for charge in spec["charges"]:
        mechanism = mechanism_from_spec(charge["mechanism"])
        if leased is not None and charge["step"] in leased:
            assert isinstance(mechanism, PoissonSampledGaussian)
            steps = leased[charge["step"]]
            if steps == 0:
                continue
            mechanism = replace(mechanism, steps=steps)
        mechanisms.append(mechanism)
    return tuple(mechanisms)
