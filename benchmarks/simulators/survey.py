"""A survey of employees: skewed and spiked numbers, gaps, a numeric target."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from benchmarks.simulators.base import (
    INTERCEPT,
    Truth,
    bernoulli,
    cut,
    even,
    linear_predictor,
    pick,
    rounded,
    schema_of,
    within,
)
from dpsynth.schema import Schema

_REGIONS = ("north", "south", "east", "west", "coast", "islands", "capital", "border")
_SECTORS = ("industry", "trade", "health", "public", "technology")
_SCHOOLING = ("primary", "secondary", "bachelor", "master")

_COLUMNS: dict[str, dict[str, Any]] = {
    "region": {"kind": "categorical", "categories": list(_REGIONS)},
    "sector": {"kind": "categorical", "categories": list(_SECTORS)},
    "schooling": {"kind": "ordinal", "categories": list(_SCHOOLING)},
    "female": {"kind": "boolean"},
    "experience": {"kind": "integer", "bounds": [0, 50]},
    "tenure": {"kind": "integer", "bounds": [0, 50]},
    "hours": {"kind": "integer", "bounds": [1, 80]},
    "commute_km": {"kind": "real", "bounds": [0, 200], "decimals": 1, "missing": True},
    "member": {"kind": "boolean"},
    "log_wage": {"kind": "real", "bounds": [0, 7], "decimals": 2, "role": "target"},
}

_TRUTH: Truth = {
    "log_wage ~ schooling + female + experience + tenure + hours": {
        INTERCEPT: 1.8,
        "schooling[secondary]": 0.15,
        "schooling[bachelor]": 0.45,
        "schooling[master]": 0.6,
        "female[true]": -0.12,
        "experience": 0.012,
        "tenure": 0.005,
        "hours": 0.0,
    },
    "member ~ sector + tenure + female + hours": {
        INTERCEPT: -1.4,
        "sector[trade]": -0.7,
        "sector[health]": 0.3,
        "sector[public]": 1.2,
        "sector[technology]": -1.0,
        "tenure": 0.06,
        "female[true]": 0.0,
        "hours": 0.01,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Employees, one row each; about a third are members of a union.

    Parameters
    ----------
    noise : float
        Width of the noise of ``log_wage``, up to 3.

    Raises
    ------
    UsageError
        For noise that would reach the bounds of the column.
    """

    name: ClassVar[str] = "survey"
    noise: float = 2.0

    def __post_init__(self) -> None:
        within("noise", self.noise, 0.0, 3.0)

    @property
    def schema(self) -> Schema:
        """Public facts."""
        return schema_of(self.name, _COLUMNS, _TRUTH, protected=("female", "region"))

    @property
    def truth(self) -> Truth:
        """Coefficients by formula."""
        return MappingProxyType(_TRUTH)

    def draw(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Return ``n`` fresh rows."""
        frame = _employees(n, rng)
        wage, member = _TRUTH
        frame["member"] = bernoulli(frame, _TRUTH[member], rng.random(n))
        pay = linear_predictor(frame, _TRUTH[wage]) + even(n, span=self.noise, rng=rng)
        frame["log_wage"] = rounded(pay, 2, rng)
        return frame


def _employees(n: int, rng: np.random.Generator) -> pd.DataFrame:
    weights = 1.0 / np.arange(1, len(_REGIONS) + 1)
    region = pick(_REGIONS, np.tile(weights, (n, 1)), rng)
    female = rng.random(n) < 0.47
    in_capital = region == "capital"
    schooling_weights = np.tile([0.15, 0.45, 0.25, 0.15], (n, 1))
    schooling_weights[in_capital, 2:] *= 2.5
    schooling = pick(_SCHOOLING, schooling_weights, rng)
    sectors = np.ones((n, len(_SECTORS)))
    sectors[:, 0] += 1.2 * ~female
    sectors[:, 2] += 1.5 * female
    sectors[:, 3] += in_capital
    sectors[:, 4] *= np.where(np.isin(schooling, _SCHOOLING[2:]), 1.6, 0.3)
    studied = np.select([schooling == "bachelor", schooling == "master"], [4.0, 6.0], 0.0)
    experience = cut(rng.beta(1.3, 1.8, n) * 46 - studied, 0, 50)
    stayed = rng.random(n) < 0.75  # the others have just begun: a spike at zero
    tenure = cut(experience * rng.beta(1.0, 2.0, n) * stayed, 0, 50)
    # Most contracts are one of three; the rest spreads.
    contract = rng.choice([20.0, 38.0, 40.0], size=n, p=[0.25, 0.25, 0.5])
    free = rng.random(n) < 0.3
    hours = cut(np.where(free, rng.normal(36, 11, n), contract), 1, 80)
    distance = rng.lognormal(np.where(in_capital, 1.8, 2.5), 0.9, n)
    commute = np.where(rng.random(n) < 0.12, np.nan, cut(distance, 0, 200, 1))
    return pd.DataFrame(
        {
            "region": region,
            "sector": pick(_SECTORS, sectors, rng),
            "schooling": schooling,
            "female": female,
            "experience": experience.astype(np.int64),
            "tenure": tenure.astype(np.int64),
            "hours": hours.astype(np.int64),
            "commute_km": commute,
        }
    )
