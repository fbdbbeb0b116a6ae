"""The only estimators of leakage that audits may use: each states a bound and when it is one.

====================  ==========================================  =============================
estimator             reads                                       holds for
====================  ==========================================  =============================
clopper_pearson       errors of one threshold, many runs          every (ε, δ)-DP mechanism
gaussian              errors of one threshold, many runs          Gaussian trade-off curves
d_prime               all scores                                  normal scores of one spread
one_run               correct guesses about coins                 every (ε, δ)-DP mechanism
one_run_fdp           correct guesses about coins                 Gaussian trade-off curves
one_run_order         the most confident guesses about coins      canaries that do not interfere
====================  ==========================================  =============================

A bound from below never shows that a mechanism is private. A bound of 0 is to be read beside its
ceiling, the most that a perfect attack could have shown.
"""

from __future__ import annotations

from privacy_audits.estimate.bound import Bound
from privacy_audits.estimate.caps import (
    advantage_cap,
    auc_cap,
    gaussian_advantage_cap,
    gaussian_auc_cap,
    gaussian_tpr_cap,
    tpr_cap,
)
from privacy_audits.estimate.clopper_pearson import clopper_pearson, multi_run_ceiling
from privacy_audits.estimate.confusion import Confusion, upper_rate
from privacy_audits.estimate.conversion import delta_of, epsilon_of_mu, mu_of_epsilon
from privacy_audits.estimate.d_prime import d_prime, d_prime_p_value
from privacy_audits.estimate.declared import (
    best_of,
    best_threshold,
    numbers_of_guesses,
    threshold_on_half,
)
from privacy_audits.estimate.gaussian import gaussian
from privacy_audits.estimate.guesses import Guesses
from privacy_audits.estimate.multiplicity import bonferroni, confirmed, holm, release_level
from privacy_audits.estimate.one_run import one_run, one_run_ceiling, one_run_p_value
from privacy_audits.estimate.one_run_fdp import one_run_fdp
from privacy_audits.estimate.one_run_order import (
    one_run_order,
    one_run_order_sampled,
    order_p_value,
)

__all__ = [
    "Bound",
    "Confusion",
    "Guesses",
    "advantage_cap",
    "auc_cap",
    "best_of",
    "best_threshold",
    "bonferroni",
    "clopper_pearson",
    "confirmed",
    "d_prime",
    "d_prime_p_value",
    "delta_of",
    "epsilon_of_mu",
    "gaussian",
    "gaussian_advantage_cap",
    "gaussian_auc_cap",
    "gaussian_tpr_cap",
    "holm",
    "mu_of_epsilon",
    "multi_run_ceiling",
    "numbers_of_guesses",
    "one_run",
    "one_run_ceiling",
    "one_run_fdp",
    "one_run_order",
    "one_run_order_sampled",
    "one_run_p_value",
    "order_p_value",
    "release_level",
    "threshold_on_half",
    "tpr_cap",
    "upper_rate",
]
