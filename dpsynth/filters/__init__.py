"""Stop rules: whether one more plan may run on a population whose budget is (ε, δ).

Plans may be chosen after looking at earlier outputs. A rule is fixed before anything is touched and
admits plans by sums that hold for every such choice. ``rdp`` is the default everywhere; the proofs
of all rules are in ``docs/filters.md``.
"""

from dpsynth.filters.base import FAILURE_SHARE, FilterKind, Measures, ScalarRule, StopRule
from dpsynth.filters.creation import rule_from_spec, stop_rule
from dpsynth.filters.gaussian import gaussian_delta, gaussian_epsilon
from dpsynth.filters.gdp import GDPRule, gdp_mu_squared
from dpsynth.filters.mixture import MixtureRule
from dpsynth.filters.renyi import RenyiRule
from dpsynth.filters.zcdp import ZCDPRule, zcdp_rho

__all__ = [
    "FAILURE_SHARE",
    "FilterKind",
    "GDPRule",
    "Measures",
    "MixtureRule",
    "RenyiRule",
    "ScalarRule",
    "StopRule",
    "ZCDPRule",
    "gaussian_delta",
    "gaussian_epsilon",
    "gdp_mu_squared",
    "rule_from_spec",
    "stop_rule",
    "zcdp_rho",
]
