"""An accountant of its own for the tests: certified lower bounds on the privacy loss.

It shares no code and no method with :mod:`dpsynth.losses`. Every mechanism is given by **one pair
of neighbouring outputs** (P, Q): whatever tells these two apart is a true lower bound. The law of
the privacy loss L = log dP/dQ under P is put on a grid such that δ(ε) = E[(1 - e^(ε-L))₊] can only
shrink, whatever else it is composed with:

* *Contraction.* For fixed other losses the integrand is convex in the likelihood ratio dP/dQ under
  Q. A cell of three grid steps is cut in half. If the mean ratio of its lower half lies at or
  below the first grid point inside, and that of its upper half at or above the second, then moving
  the cell's mass onto these two points, with its masses under P and Q kept, is a mean-preserving
  contraction: δ cannot grow, and the error is of second order in the step.
* *Rounding down.* Where that does not hold, and for atoms, the loss is rounded down.
* *Dropping.* Mass far out is left away.

The composition is a Fourier transform over a window. What wraps around is bounded by Chernoff's
bound on the law itself and taken off δ, and so is an allowance for floating-point error.

References
----------
Blackwell, "Equivalent Comparisons of Experiments", 1953 (contractions lose information).
Doroshenko et al., "Connect the Dots", arXiv 2207.04380 (optimistic and pessimistic grids).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import mpmath
import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]

_FAR = 8.6
"""Standard deviations beyond which mass (4e-18 on each side) is dropped."""

_ROUNDING = 2.0**-50
"""Allowance for floating-point error in δ, for each mechanism run: 13 times what the transform was
seen to err per run (``docs/accounting.md``)."""

_SHORTEST, _LONGEST = 2**17, 2**21
"""Points of the window; doubled until the bound is tight."""


# -- closed forms ---------------------------------------------------------------------------------


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Balle and Wang (arXiv 1805.06530, Theorem 8) with 40 digits; ``mu`` is sensitivity over σ."""
    with mpmath.workdps(40):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        return float(mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Smallest ε ≥ 0 of the closed form at δ."""
    return bisect(lambda epsilon: gaussian_delta(mu, epsilon), delta)


def laplace_delta(scale: float, epsilon: float) -> float:
    """δ(ε) of one Laplace mechanism; ``scale`` is scale over sensitivity."""
    return -math.expm1((epsilon - 1 / scale) / 2) if epsilon < 1 / scale else 0.0


def laplace_epsilon(scale: float, delta: float) -> float:
    """Smallest ε ≥ 0 at δ."""
    return max(0.0, 1 / scale + 2 * math.log1p(-delta))


def bisect(profile, delta: float) -> float:
    """Return where a falling profile reaches δ, from below, to 12 digits."""
    if profile(0.0) <= delta:
        return 0.0
    low, high = 0.0, 1e-3
    while profile(high) > delta:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if profile(middle) > delta else (low, middle)
    return low


# -- pairs of neighbouring outputs ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pair (P, Q), run ``repeats`` times; ``infinite`` is P's mass where Q has none."""

    repeats: int = 1
    infinite: float = 0.0

    def atoms(self) -> tuple[FloatArray, FloatArray]:
        """Losses with positive mass, and P's mass there."""
        return np.empty(0), np.empty(0)

    def span(self) -> tuple[float, float]:
        """Losses between which lies the rest of the mass, but for what is dropped."""
        return 0.0, 0.0

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mass of P and of Q between neighbouring losses, atoms excluded."""
        none = np.zeros(edges.size - 1)
        return none, none


def _normal(x: FloatArray) -> FloatArray:
    """Mass of the standard normal law between neighbouring, ascending points; precise in tails."""
    tail = special.ndtr(-np.abs(x))
    left, right = tail[:-1], tail[1:]
    return np.where(
        x[1:] <= 0, right - left, np.where(x[:-1] >= 0, left - right, 1.0 - left - right)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianPair(Pair):
    """N(mu, 1) against N(0, 1)."""

    mu: float

    def span(self) -> tuple[float, float]:
        return self.mu * (self.mu / 2 - _FAR), self.mu * (self.mu / 2 + _FAR)

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        x = edges / self.mu + self.mu / 2
        return _normal(x - self.mu), _normal(x)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledPair(Pair):
    """(1-q) N(0, σ²) + q N(1, σ²) against N(0, σ²): the unit is removed, or added if ``adding``."""

    q: float
    sigma: float
    adding: bool = False

    def _loss(self, x: float) -> float:
        return float(
            np.logaddexp(math.log1p(-self.q), math.log(self.q) + (x - 0.5) / self.sigma**2)
        )

    def span(self) -> tuple[float, float]:
        if self.adding:
            return -self._loss(_FAR * self.sigma), -self._loss(-_FAR * self.sigma)
        return self._loss(-_FAR * self.sigma), self._loss(1 + _FAR * self.sigma)

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        losses = -edges[::-1] if self.adding else edges
        with np.errstate(divide="ignore"):
            inside = np.maximum(np.expm1(losses) + self.q, 0.0) / self.q
            x = self.sigma**2 * np.log(inside) + 0.5
        without = _normal(x / self.sigma)
        mixed = (1 - self.q) * without + self.q * _normal((x - 1) / self.sigma)
        return (without[::-1], mixed[::-1]) if self.adding else (mixed, without)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledExchange(Pair):
    """(1-q) N(0, σ²) + q N(1, σ²) against (1-q) N(0, σ²) + q N(-1, σ²): a unit is exchanged."""

    q: float
    sigma: float

    def span(self) -> tuple[float, float]:
        far = 1 + _FAR * self.sigma
        keep, gain = math.log1p(-self.q), math.log(self.q) - 0.5 / self.sigma**2
        step = far / self.sigma**2
        high = float(np.logaddexp(keep, gain + step) - np.logaddexp(keep, gain - step))
        return -high, high

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        # The loss is odd and rises in x; e^(x/σ²) solves a quadratic equation.
        weight = self.q * math.exp(-0.5 / self.sigma**2)
        rise = (1 - self.q) * np.expm1(np.abs(edges))
        root = (rise + np.sqrt(rise**2 + 4 * weight**2 * np.exp(np.abs(edges)))) / (2 * weight)
        x = np.sign(edges) * self.sigma**2 * np.log(root)
        centre = (1 - self.q) * _normal(x / self.sigma)
        up, down = _normal((x - 1) / self.sigma), _normal((x + 1) / self.sigma)
        return centre + self.q * up, centre + self.q * down


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplacePair(Pair):
    """Laplace noise around 0 against the same around 1."""

    scale: float

    def atoms(self) -> tuple[FloatArray, FloatArray]:
        top = 1 / self.scale
        return np.array([-top, top]), np.array([math.exp(-top) / 2, 0.5])

    def span(self) -> tuple[float, float]:
        return -1 / self.scale, 1 / self.scale

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        # Between the atoms P(L ≤ l) = e^((l - 1/b)/2) / 2, and Q mirrors P.
        top = 1 / self.scale
        at = np.clip(edges, -top, top)
        return np.diff(np.exp((at - top) / 2) / 2), np.diff(-np.exp((-at - top) / 2) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteGaussianPair(Pair):
    """Discrete Gaussian around 0 against the same around ``shift``."""

    sigma: float
    shift: int = 1

    def atoms(self) -> tuple[FloatArray, FloatArray]:
        reach = math.ceil(_FAR * self.sigma) + 2
        x = np.arange(-reach, reach + 1).astype(np.float64)
        law = np.exp(-(x**2) / (2 * self.sigma**2))
        losses = self.shift * (self.shift - 2 * x[::-1]) / (2 * self.sigma**2)
        return losses, (law / law.sum())[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoOutcomes(Pair):
    """Exponential mechanism with two candidates: shares ``share`` and 1 - ``share``.

    Between neighbours the first gains ``gain`` and the second ``gain - epsilon`` in log-weight.
    """

    epsilon: float
    share: float
    gain: float

    def atoms(self) -> tuple[FloatArray, FloatArray]:
        p = np.array([self.share, 1 - self.share])
        weight = p * np.exp([self.gain, self.gain - self.epsilon])
        return np.log(p * weight.sum() / weight), p


# -- composition ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerBound:
    """Composed law of the privacy loss under P; nothing read off it exceeds the truth.

    Parameters
    ----------
    losses, law : ndarray, shape (n,)
        Ascending losses in nats, and their mass.
    infinite : float
        Mass of infinite loss.
    allowance : float
        What is taken off δ for mass that wrapped around and for floating-point error.
    """

    losses: FloatArray
    law: FloatArray
    infinite: float
    allowance: float

    def delta(self, epsilon: float) -> float:
        """Return a lower bound on δ(ε)."""
        above = self.losses > epsilon
        inside = self.law[above] @ -np.expm1(epsilon - self.losses[above])
        return max(0.0, float(inside) + self.infinite - self.allowance)

    def epsilon(self, delta: float) -> float:
        """Return a lower bound on ε(δ)."""
        above = self.losses > 0
        losses, law = self.losses[above], self.law[above]
        missing = delta + self.allowance - self.infinite
        if missing <= 0:
            return math.inf
        mass = np.cumsum(law[::-1])[::-1]
        other = np.cumsum((law * np.exp(-losses))[::-1])[::-1]
        # δ at the loss before each point is mass - e^ε other; it is linear in e^ε in between.
        before = np.concatenate([[0.0], losses[:-1]])
        reached = np.flatnonzero(mass - np.exp(before) * other >= missing)
        if not reached.size:
            return 0.0
        last = reached[-1]
        return max(0.0, math.log((mass[last] - missing) / other[last]))

    @property
    def variance(self) -> float:
        """Variance of the finite losses."""
        mean = float(self.law @ self.losses) / float(self.law.sum())
        return float(self.law @ (self.losses - mean) ** 2)

    def attack(self, false_positive_rate: float) -> float:
        """Return the false negative rate of the likelihood-ratio attack: some attack reaches it."""
        found = np.cumsum(self.law[::-1]) + self.infinite
        accused = np.cumsum((self.law * np.exp(-self.losses))[::-1]) + self.allowance
        at = np.searchsorted(accused, false_positive_rate, side="right") - 1
        return 1.0 if at < 0 else float(1 - found[at] + self.allowance)


def spread(part: Pair) -> float:
    """Return the standard deviation of one run's loss, about."""
    losses, law = _sketch(part)
    return math.sqrt(float(law @ (losses - law @ losses) ** 2))


def compose(parts: Sequence[Pair], *, lost: float = 1e-13) -> LowerBound:
    """Compose pairs.

    Parameters
    ----------
    parts : sequence of Pair
        All for the same direction.
    lost : float
        Mass that may fall out of the window; a ten-thousandth of the δ asked for is plenty.
    """
    sketches = [_sketch(part) for part in parts]
    variance = sum(part.repeats * spread(part) ** 2 for part in parts)
    top, low = (_edge(parts, sketches, sign, lost) for sign in (1.0, -1.0))
    runs = sum(part.repeats for part in parts)
    n = _SHORTEST
    while True:
        step = 1.02 * (top.at - low.at) / n
        gridded = [_grid(part, step) for part in parts]
        shortfall = sum(part.repeats * g.shortfall for part, g in zip(parts, gridded, strict=True))
        tight = shortfall < 1e-3 * math.sqrt(variance) and runs * step**2 < 1e-3 * variance
        if tight or n == _LONGEST:
            break
        n *= 2
    spectrum = np.ones(n // 2 + 1, dtype=np.complex128)
    for part, g in zip(parts, gridded, strict=True):
        folded = np.bincount((g.first + np.arange(g.law.size)) % n, weights=g.law, minlength=n)
        spectrum *= _power(np.fft.rfft(folded), part.repeats)
    first = math.floor(low.at / step) - n // 100
    law = np.roll(np.fft.irfft(spectrum, n), -(first % n))
    finite = math.prod((1 - part.infinite) ** part.repeats for part in parts)
    # What the window leaves out: below its first point, or above its last.
    last = (first + n - 1) * step
    wrapped = _chernoff(parts, gridded, step, top.tilt, last) + _chernoff(
        parts, gridded, step, low.tilt, first * step
    )
    assert wrapped < 10 * lost, "the window of the reference is too short"
    return LowerBound(
        losses=(first + np.arange(n)) * step,
        law=finite * law,
        infinite=1 - finite,
        allowance=wrapped + _ROUNDING * (runs + 20),
    )


@dataclass(frozen=True, slots=True)
class _Gridded:
    first: int
    law: FloatArray
    shortfall: float


def _grid(part: Pair, h: float) -> _Gridded:
    """Put one law on multiples of ``h`` so that δ can only shrink."""
    low, high = part.span()
    at, mass = part.atoms()
    bottom = min([low, *at]) if high > low else at.min()
    first = 3 * math.floor(bottom / (3 * h)) - 3
    last = 3 * math.floor(max([high, *at]) / (3 * h)) + 3
    law = np.zeros(last - first)
    shortfall = 0.0
    if high > low:
        edges = 1.5 * h * np.arange(2 * (first // 3), 2 * (last // 3) + 1)
        p, q = part.masses(edges)
        (p_low, p_high), (q_low, q_high) = p.reshape(-1, 2).T, q.reshape(-1, 2).T
        p, q = p_low + p_high, q_low + q_high
        cell = first + 3 * np.arange(p.size)
        ratio_u, ratio_v = np.exp((cell + 1) * h), np.exp((cell + 2) * h)
        at_u = (q * ratio_v - p) / math.expm1(h)
        at_v = (p - q * ratio_u) / -math.expm1(-h)
        contracts = (p_low > 0) & (p_high > 0) & (at_u >= 0) & (at_v >= 0)
        contracts &= (p_low <= q_low * ratio_u) & (p_high >= q_high * ratio_v)
        law[1::3] = np.where(contracts, at_u, 0.0)
        law[2::3] = np.where(contracts, at_v, 0.0)
        left = np.flatnonzero(~contracts & (p > 0))
        with np.errstate(divide="ignore", over="ignore"):
            mean = np.log(p[left] / q[left])
        # Clipped because the quotient of two vanishing masses need not lie in its own cell.
        mean = np.clip(np.nan_to_num(mean, nan=-np.inf), cell[left] * h, (cell[left] + 3) * h)
        point = np.minimum(np.floor(mean / h).astype(np.int64), cell[left] + 2)
        np.add.at(law, point - first, p[left])
        shortfall += float(p[left] @ (mean - point * h))
    if at.size:
        point = np.floor(at / h).astype(np.int64)
        np.add.at(law, point - first, mass)
        shortfall += float(mass @ (at - point * h))
    return _Gridded(first, law, shortfall)


def _sketch(part: Pair) -> tuple[FloatArray, FloatArray]:
    """Return some thousand losses and their masses: enough to choose the window."""
    at, mass = part.atoms()
    low, high = part.span()
    if high <= low:
        return at, mass
    # Dense around 0 as well, where rarely sampled mechanisms have most of their mass.
    fine = np.geomspace(1e-8, max(-low, high), 1500)
    points = np.concatenate([np.linspace(low, high, 3001), -fine, fine])
    p, q = part.masses(np.unique(np.clip(points, low, high)))
    kept = (p > 0) & (q > 0)
    return np.concatenate([at, np.log(p[kept] / q[kept])]), np.concatenate([mass, p[kept]])


@dataclass(frozen=True, slots=True)
class _Edge:
    at: float
    tilt: float


def _edge(parts: Sequence[Pair], sketches, sign: float, lost: float) -> _Edge:
    """Return beyond which total loss there is at most ``lost``, and the tilt that shows it."""
    tilts = np.geomspace(1e-2, 1e5, 90)
    cumulant = np.zeros_like(tilts)
    for part, (losses, law) in zip(parts, sketches, strict=True):
        exponents = sign * np.outer(tilts, losses)
        cumulant += part.repeats * special.logsumexp(exponents, b=law, axis=1)
    reach = (cumulant - math.log(lost)) / tilts
    best = int(np.argmin(reach))
    return _Edge(sign * float(reach[best]), sign * float(tilts[best]))


def _chernoff(
    parts: Sequence[Pair], gridded: Sequence[_Gridded], h: float, tilt: float, end: float
) -> float:
    exponent = -tilt * end
    for part, g in zip(parts, gridded, strict=True):
        losses = (g.first + np.arange(g.law.size)) * h
        kept = g.law > 0
        exponent += part.repeats * special.logsumexp(tilt * losses[kept], b=g.law[kept])
    return math.exp(min(exponent, 0.0))


def _power(values: npt.NDArray[np.complex128], times: int) -> npt.NDArray[np.complex128]:
    result = np.ones_like(values)
    while times:
        if times & 1:
            result = result * values
        values = values * values
        times >>= 1
    return result


def lattice_delta(sigma: float, count: int, epsilon: float) -> float:
    """δ(ε) of ``count`` discrete Gaussians of sensitivity 1 by summation of the exact law."""
    first, law = _lattice(sigma, count)
    losses = (2 * (first + np.arange(law.size)) + count) / (2 * sigma**2)
    above = losses > epsilon
    return float(law[above] @ -np.expm1(epsilon - losses[above]))


@lru_cache(maxsize=4)
def _lattice(sigma: float, count: int) -> tuple[int, FloatArray]:
    """Return the first point and the law of the sum of ``count`` discrete Gaussians.

    All terms are positive: far tails have full precision too. Mass below 1e-30 of the largest is
    dropped.
    """
    reach = math.ceil(12 * sigma) + 2
    one = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    total, power = (0, np.ones(1)), (-reach, one / one.sum())
    while count:
        if count & 1:
            total = _convolve(total, power)
        count >>= 1
        if count:
            power = _convolve(power, power)
    return total


def _convolve(one: tuple[int, FloatArray], other: tuple[int, FloatArray]) -> tuple[int, FloatArray]:
    law = np.convolve(one[1], other[1])
    kept = np.flatnonzero(law > 1e-30 * law.max())
    return one[0] + other[0] + int(kept[0]), law[kept[0] : kept[-1] + 1]
