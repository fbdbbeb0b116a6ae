"""Admissions to a hospital: mixed kinds, a skewed numeric outcome and an uncommon boolean one."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from benchmarks.simulators.base import (
    INTERCEPT,
    FloatArray,
    Truth,
    bernoulli,
    cut,
    linear_predictor,
    pick,
    rounded,
    schema_of,
    skewed,
    within,
)
from dpsynth.schema import Schema

_SEVERITY = ("low", "medium", "high")
_WARDS = ("medicine", "surgery", "cardiology", "oncology", "geriatrics")

_COLUMNS: dict[str, dict[str, Any]] = {
    "sex": {"kind": "categorical", "categories": ["F", "M"]},
    "age": {"kind": "integer", "bounds": [18, 100]},
    "smoker": {"kind": "boolean"},
    "bmi": {"kind": "real", "bounds": [14, 60], "decimals": 1},
    "comorbidities": {"kind": "integer", "bounds": [0, 10]},
    "severity": {"kind": "ordinal", "categories": list(_SEVERITY)},
    "emergency": {"kind": "boolean"},
    "ward": {"kind": "categorical", "categories": list(_WARDS)},
    "systolic": {"kind": "integer", "bounds": [80, 220]},
    "los_days": {"kind": "real", "bounds": [0, 40], "decimals": 1},
    "died": {"kind": "boolean", "role": "target"},
}

_TRUTH: Truth = {
    "died ~ age + sex + smoker + comorbidities + severity + bmi": {
        INTERCEPT: -6.3,
        "age": 0.05,
        "sex[M]": 0.2,
        "smoker[true]": 0.5,
        "comorbidities": 0.2,
        "severity[medium]": 0.6,
        "severity[high]": 1.4,
        "bmi": 0.0,
    },
    "los_days ~ age + smoker + comorbidities + severity + emergency": {
        INTERCEPT: 3.4,
        "age": 0.03,
        "smoker[true]": 0.4,
        "comorbidities": 0.5,
        "severity[medium]": 1.2,
        "severity[high]": 3.5,
        "emergency[true]": -0.6,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Admissions of patients, one row each; about one in eight dies.

    Parameters
    ----------
    noise_days : float
        Width of the noise of ``los_days``, up to 14 days.

    Raises
    ------
    UsageError
        For noise that would reach the bounds of the column.
    """

    name: ClassVar[str] = "health"
    noise_days: float = 12.0

    def __post_init__(self) -> None:
        within("noise_days", self.noise_days, 0.0, 14.0)

    @property
    def schema(self) -> Schema:
        """Public facts."""
        return schema_of(self.name, _COLUMNS, _TRUTH, protected=("sex",))

    @property
    def truth(self) -> Truth:
        """Coefficients by formula."""
        return MappingProxyType(_TRUTH)

    def draw(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Return ``n`` fresh rows."""
        frame = _patients(n, rng)
        died, stay = _TRUTH
        days = linear_predictor(frame, _TRUTH[stay]) + skewed(n, span=self.noise_days, rng=rng)
        frame["los_days"] = rounded(days, 1, rng)
        frame["died"] = bernoulli(frame, _TRUTH[died], rng.random(n))
        return frame


def _patients(n: int, rng: np.random.Generator) -> pd.DataFrame:
    male = rng.random(n) < 0.48
    old = rng.random(n) < 0.6
    age = cut(np.where(old, rng.normal(71, 11, n), rng.normal(42, 13, n)), 18, 100)
    smoker = rng.random(n) < 0.12 + 0.1 * male + 0.08 * (age < 65)
    bmi = cut(20 + rng.gamma(4.0, 1.8, n) - 0.02 * (age - 60), 14, 60, 1)
    comorbidities = cut(rng.poisson(0.3 + 0.03 * (age - 18)).astype(np.float64), 0, 10)
    burden = 0.02 * (age - 60) + 0.35 * comorbidities + rng.logistic(size=n)
    severity = np.array(_SEVERITY, dtype=object)[(burden > 1.0).astype(int) + (burden > 2.6)]
    emergency = rng.random(n) < _logistic(burden - 1.0)
    systolic = cut(105 + 0.35 * age + 0.6 * (bmi - 25) + rng.normal(0, 13, n), 80, 220)
    wards = np.ones((n, len(_WARDS)))
    wards[:, 1] += 1.5 * ~emergency
    wards[:, 2] += 1.5 * (systolic > 145)
    wards[:, 3] *= np.where(emergency, 0.3, 0.8)
    wards[:, 4] = np.where(age >= 75, 4.0, 0.02)
    return pd.DataFrame(
        {
            "sex": np.where(male, "M", "F").astype(object),
            "age": age.astype(np.int64),
            "smoker": smoker,
            "bmi": bmi,
            "comorbidities": comorbidities.astype(np.int64),
            "severity": severity,
            "emergency": emergency,
            "ward": pick(_WARDS, wards, rng),
            "systolic": systolic.astype(np.int64),
        }
    )


def _logistic(values: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-values))
