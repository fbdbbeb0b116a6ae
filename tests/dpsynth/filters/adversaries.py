"""Adversaries that choose what is next from what they saw, and the exact δ that they spend.

A transcript is simulated by its privacy loss. Of Gaussians, half of the transcripts are sampled
under an exponential tilt, so that rare losses are common, and the last step is integrated in closed
form; two-point mechanisms are summed over all transcripts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from dpsynth.filters import Measures, StopRule, gaussian_delta
from dpsynth.privacy import Budget

BUDGET = Budget(epsilon=3, delta=1e-5)
KINDS = ("rdp", "zcdp", "gdp", "rdp_mixture")

Cost = tuple[float, ...]
Admits = Callable[[Sequence[Cost], Sequence[float]], bool]


def gaussian_cost(rule: StopRule, rho: float) -> Cost:
    """Cost of Gaussian noise of this ρ in the measure of a rule."""
    curve = tuple(rho * a for a in rule.orders)
    return rule.cost(Measures(rdp=curve, rho=rho, mu_squared=2 * rho))


def most_gaussian(
    rule: StopRule, booked: Sequence[Cost], failures: Sequence[float], admits: Admits | None = None
) -> float:
    """Largest ρ of Gaussian noise that is admitted beside what is booked."""
    admits = admits or rule.admits
    low, high = 0.0, 8.0
    for _ in range(50):
        rho = (low + high) / 2
        fits = admits([*booked, gaussian_cost(rule, rho)], failures)
        low, high = (rho, high) if fits else (low, rho)
    return low


@dataclass(frozen=True)
class Step:
    """What an adversary does next: Gaussian noise, then a failure with this probability."""

    rho: float = 0.0
    failure: float = 0.0


Choice = Callable[[int, tuple[Step, ...]], Step]
"""From the cell in which the loss lies, and the steps before, to the next step."""


@dataclass(frozen=True)
class Spent:
    """A Monte Carlo estimate of δ and its standard error."""

    delta: float
    error: float


def spent_by_gaussians(
    first: Step,
    choices: Sequence[Choice],
    *,
    cells: Sequence[float],
    epsilon: float = BUDGET.epsilon,
    size: int = 20_000,
    tilt: float = 6.0,
    certify: Callable[[tuple[Step, ...]], float] | None = None,
) -> Spent:
    """Estimate the hockey-stick divergence of an adaptive sequence of Gaussians and failures.

    Parameters
    ----------
    first : Step
        Chosen without seeing anything.
    choices : sequence of callable
        Next steps; each sees in which cell of ``cells`` the privacy loss lies.
    certify : callable, optional
        ε that is claimed for a transcript with these steps; ``epsilon`` if left out.
    """
    rng = np.random.default_rng(11)
    # Loss so far, log of how much likelier it is under the tilt, and the tilt that was drawn.
    start = np.zeros((size, 3))
    start[::2, 2] = tilt
    paths: dict[tuple[Step, ...], np.ndarray] = {(first,): start}
    for choice in choices:
        grown: dict[tuple[Step, ...], list[np.ndarray]] = {}
        for steps, state in paths.items():
            loss, log_ratio, drawn = state.T
            variance = 2 * steps[-1].rho
            moved = drawn * variance + rng.standard_normal(len(loss)) * math.sqrt(variance)
            loss = loss + variance / 2 + moved
            log_ratio = log_ratio + tilt * moved - tilt**2 * variance / 2
            state = np.stack([loss, log_ratio, drawn], axis=1)
            cell = np.searchsorted(cells, loss)
            for number in np.unique(cell):
                after = (*steps, choice(int(number), steps))
                grown.setdefault(after, []).append(state[cell == number])
        paths = {steps: np.concatenate(states) for steps, states in grown.items()}
    values = []
    for steps, state in paths.items():
        claimed = certify(steps) if certify else epsilon
        loss, log_ratio, _ = state.T
        mu = math.sqrt(2 * steps[-1].rho)
        if mu > 0:
            value = np.array([gaussian_delta(mu, claimed - x) for x in loss])
        else:
            value = np.maximum(0, -np.expm1(claimed - loss))
        lost = -math.expm1(math.fsum(math.log1p(-step.failure) for step in steps))
        values.append((lost + (1 - lost) * value) * 2 / (1 + np.exp(log_ratio)))
    found = np.concatenate(values)
    return Spent(float(found.mean()), float(found.std() / math.sqrt(len(found))))


# -- mechanisms with two outputs ------------------------------------------------------------------


def renyi(log_p: np.ndarray, log_q: np.ndarray, order: float) -> float:
    return float(np.logaddexp.reduce(order * log_p + (1 - order) * log_q)) / (order - 1)


@dataclass(frozen=True)
class TwoPoint:
    """An output with probability ``p`` has loss ``loss``; the other one takes the rest."""

    p: float
    loss: float

    @property
    def law(self) -> tuple[np.ndarray, np.ndarray]:
        q = self.p * math.exp(-self.loss)
        return np.array([self.p, 1 - self.p]), np.array([q, 1 - q])

    def rdp(self, order: float) -> float:
        p, q = (np.log(law) for law in self.law)
        return max(renyi(p, q, order), renyi(q, p, order), 0.0)

    def cost(self, rule: StopRule) -> Cost:
        """Return the exact cost, but for ρ, which is a percent too high."""
        orders = np.geomspace(1.001, 1000, 30)
        rho = 1.01 * max(self.rdp(a) / a for a in orders) if rule.kind == "zcdp" else None
        # The one corner of the trade-off curve must not lie below that of a Gaussian.
        mu = float(ndtri(self.p) - ndtri(self.p * math.exp(-self.loss)))
        curve = tuple(self.rdp(a) for a in rule.orders)
        return rule.cost(Measures(rdp=curve, rho=rho, mu_squared=mu**2))


def spent_by_two_points(
    first: TwoPoint, when_high: TwoPoint | None, when_low: TwoPoint | None
) -> float:
    """Exact δ of a mechanism and what the adversary runs after each of its outputs."""
    p, q = first.law
    total = 0.0
    for branch, then in enumerate((when_high, when_low)):
        start = math.log(p[branch] / q[branch])
        laws = then.law if then else (np.ones(1), np.ones(1))
        losses = start + np.log(laws[0] / laws[1])
        total += p[branch] * float(laws[0] @ np.maximum(0, -np.expm1(BUDGET.epsilon - losses)))
    return total


def shrunk_to_fit(mechanism: TwoPoint, rule: StopRule, booked: Sequence[Cost]) -> TwoPoint | None:
    """The mechanism with the largest p, at its loss, that the rule still admits."""
    low, high = 1e-16, mechanism.p
    if not rule.admits([*booked, TwoPoint(low, mechanism.loss).cost(rule)], []):
        return None
    for _ in range(50):
        middle = math.sqrt(low * high)
        fits = rule.admits([*booked, TwoPoint(middle, mechanism.loss).cost(rule)], [])
        low, high = (middle, high) if fits else (low, middle)
    return TwoPoint(low, mechanism.loss)
