"""A membership attack with shadow fits, for research.

The attacker fits the same generator many times, with and without each target, learns from the
synthetic tables how the target shows, and is then tried on fits that had no part in this. Nothing
is assumed about the generator: methods of dpsynth, others, and deliberately leaky ones are attacked
in the same way (:class:`privacy_audits.shadow.runs.Fit`).

It is expensive and weak beside tests that look inside a mechanism
(:mod:`privacy_audits.conformance`): use it where there is nothing but the table to look at, and to
find what enters the table by no mechanism at all, such as bounds that were read off the rows.
"""

from __future__ import annotations

from privacy_audits.shadow.attack import Claim, ShadowAttack, attack
from privacy_audits.shadow.design import Cast, ShadowDesign
from privacy_audits.shadow.features import (
    DEFAULT_MAPS,
    Correlations,
    FeatureMap,
    Histograms,
    Moments,
    Nearest,
    SubsetCounts,
)
from privacy_audits.shadow.generators import DataDomain, ExactMarginals, Method, SmoothedBootstrap
from privacy_audits.shadow.runs import Fit, ShadowRuns, run_shadows
from privacy_audits.shadow.scoring import GaussianRatio, Scores

__all__ = [
    "DEFAULT_MAPS",
    "Cast",
    "Claim",
    "Correlations",
    "DataDomain",
    "ExactMarginals",
    "FeatureMap",
    "Fit",
    "GaussianRatio",
    "Histograms",
    "Method",
    "Moments",
    "Nearest",
    "Scores",
    "ShadowAttack",
    "ShadowDesign",
    "ShadowRuns",
    "SmoothedBootstrap",
    "SubsetCounts",
    "attack",
    "run_shadows",
]
