"""Visits of a trial: several rows per patient, outcomes of one patient alike."""

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

MOST_VISITS = 4
"""Rows per patient."""

_SITES = ("A", "B", "C", "D")

_COLUMNS: dict[str, dict[str, Any]] = {
    "patient_id": {"kind": "key"},
    "visit": {"kind": "integer", "bounds": [1, MOST_VISITS]},
    "site": {"kind": "categorical", "categories": list(_SITES)},
    "sex": {"kind": "categorical", "categories": ["F", "M"]},
    "age": {"kind": "integer", "bounds": [18, 90]},
    "weight_kg": {"kind": "real", "bounds": [35, 160], "decimals": 1},
    "treated": {"kind": "boolean"},
    "dose_mg": {"kind": "real", "bounds": [0, 40], "decimals": 1},
    "adherence": {"kind": "ordinal", "categories": ["poor", "fair", "good"]},
    "systolic": {"kind": "real", "bounds": [60, 240], "decimals": 1},
    "adverse": {"kind": "boolean", "role": "target"},
}

_TRUTH: Truth = {
    "systolic ~ treated + visit + age + sex + weight_kg": {
        INTERCEPT: 95.0,
        "treated[true]": -6.0,
        "visit": -1.0,
        "age": 0.4,
        "sex[M]": 2.0,
        "weight_kg": 0.25,
    },
    "adverse ~ treated + age + sex + adherence": {
        INTERCEPT: -2.5,
        "treated[true]": 0.9,
        "age": 0.01,
        "sex[M]": 0.0,
        "adherence[fair]": 0.2,
        "adherence[good]": 0.5,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """Visits of patients, one to four rows each.

    Parameters
    ----------
    shared : float
        Part of the noise that all visits of a patient have in common, in [0, 1]: of the width of
        ``systolic``, and chance that ``adverse`` of a visit hangs on the patient's own luck.

    Raises
    ------
    UsageError
        For a part that is none.

    Notes
    -----
    The formulas hold for every row, whatever the other rows of the patient say: they are those of
    a regression that takes rows as they come. Only its standard errors must know the patients.
    """

    name: ClassVar[str] = "visits"
    shared: float = 0.6

    def __post_init__(self) -> None:
        within("shared", self.shared, 0.0, 1.0)

    @property
    def schema(self) -> Schema:
        """Public facts."""
        unit = {"id": "patient_id", "max_rows": MOST_VISITS}
        return schema_of(self.name, _COLUMNS, _TRUTH, protected=("sex",), unit=unit)

    @property
    def truth(self) -> Truth:
        """Coefficients by formula."""
        return MappingProxyType(_TRUTH)

    def draw(self, n: int, rng: np.random.Generator) -> pd.DataFrame:
        """Return ``n`` fresh rows; the last patient's visits are cut off there."""
        many = rng.choice(MOST_VISITS, size=n, p=[0.1, 0.2, 0.3, 0.4]) + 1
        patient = np.repeat(np.arange(n), many)[:n]
        visit = (np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many))[:n] + 1
        frame = _visits(patient, visit, rng)
        pressure, adverse = _TRUTH
        own, together = even(n, span=50.0, rng=rng), even(n, span=50.0, rng=rng)
        noise = (1.0 - self.shared) * own + self.shared * together[patient]
        frame["systolic"] = rounded(linear_predictor(frame, _TRUTH[pressure]) + noise, 1, rng)
        hangs_together = rng.random(n) < self.shared
        luck = np.where(hangs_together, rng.random(n)[patient], rng.random(n))
        frame["adverse"] = bernoulli(frame, _TRUTH[adverse], luck)
        return frame


def _visits(
    patient: np.ndarray[Any, np.dtype[np.int64]],
    visit: np.ndarray[Any, np.dtype[np.int64]],
    rng: np.random.Generator,
) -> pd.DataFrame:
    n = len(patient)
    site = pick(_SITES, np.tile([0.4, 0.3, 0.2, 0.1], (n, 1)), rng)
    male = rng.random(n) < 0.5
    age = cut(rng.normal(58, 14, n), 18, 90)
    base = rng.normal(68 + 13 * male, 12, n)
    # The share of treated patients differs by site, so that both are confounded.
    treated = rng.random(n) < np.where(np.isin(site, ("C", "D")), 0.65, 0.4)
    weight = cut(base[patient] - 0.3 * visit + rng.normal(0, 1, n), 35, 160, 1)
    given = treated[patient]
    dose = np.where(given, cut(2.5 * visit + 0.1 * weight + rng.gamma(2.0, 1.5, n), 0, 40, 1), 0.0)
    keen = np.column_stack([np.full(n, 0.3), np.full(n, 0.8), 1.2 - 0.2 * visit])
    return pd.DataFrame(
        {
            "patient_id": patient,
            "visit": visit,
            "site": site[patient],
            "sex": np.where(male, "M", "F").astype(object)[patient],
            "age": age[patient].astype(np.int64),
            "weight_kg": weight,
            "treated": given,
            "dose_mg": dose,
            "adherence": pick(("poor", "fair", "good"), keen, rng),
        }
    )
