"""One-run canary audits: the mechanisms of a fit, run once with made-up records among the rows.

m canaries are in or out by one fair coin each, and a log-likelihood ratio guesses the coins from
the noisy answers. Much right guessing refutes a claimed ε; little shows nothing, which is why every
bound stands beside its ceiling.

By default the other rows are a *released* table (``surrogate``): then everything here is
post-processing of the release, costs nothing and may be published. :func:`audit_method` is the way
in; docs/audits-tightness.md holds what right and broken code show.

What it cannot see: shuffled or fixed batches instead of Poisson samples (in one step a canary looks
the same), domains that were read off the real rows, and the accountant, from which the claim itself
comes. Noise that is a tenth too small is seen in one audit of four. For the first, the second and
the last there is :mod:`privacy_audits.conformance`.

References
----------
Steinke, Nasr, Jagielski, "Privacy Auditing with One (1) Training Run", arXiv 2305.08846.
Nasr et al., "Adversary Instantiation", arXiv 2101.04535 (gradient canaries).
"""

from __future__ import annotations

from privacy_audits.canaries.method import LEAST_CANARIES, audit_method, has_canaries
from privacy_audits.canaries.result import ALPHA, REPORTED, CanaryAudit, assess, audit_twice

__all__ = [
    "ALPHA",
    "LEAST_CANARIES",
    "REPORTED",
    "CanaryAudit",
    "assess",
    "audit_method",
    "audit_twice",
    "has_canaries",
]
