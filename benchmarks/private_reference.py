"""Release data, or a model? Models that are trained under differential privacy on the fitted rows.

They stand beside TSTR: the same task, the same rows, the same ε. Where one of them does much better
than learners of the synthetic table, and prediction is all that is wanted, a model would have been
the better release.

**This is no release.** The models are trained for the custodian's eyes, are never written anywhere
and are **not booked in a ledger**. Their scores are computed on real rows of the holdout, hence
internal like every other figure of an evaluation. Whoever wants to publish such a model trains one
anew and pays for it.

Everything that the noise is scaled with is public: bounds and levels come from the schema. Columns
whose bounds or levels are discovered are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks import models
from benchmarks.discretise import Conformed, Tables
from benchmarks.models import Constant, Learner
from benchmarks.report import Direction, Metric, Section
from benchmarks.scores import Regressed, whole
from benchmarks.training import Trained
from dpsynth.evidence import Finding, Severity
from dpsynth.privacy import Budget, NeighbouringRelation
from dpsynth.schema import Column

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FITS = 5
"""Fits with different noise; the median is reported."""
WIDEST = 200
"""Features; beyond them, columns with the most levels are left out."""
MOST_CLASSES = 20
"""Classes of the target; they divide ε, and with more of them little is left for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """How one column becomes features.

    Parameters
    ----------
    place : int
        Place of the column.
    levels : int
        Levels of a discrete column; 0 for a number.
    bounds : tuple of float
        Public bounds of a number.
    missing : bool
        Whether null has a feature of its own.
    """

    place: int
    levels: int = 0
    bounds: tuple[float, float] = (0.0, 0.0)
    missing: bool = False

    @property
    def width(self) -> int:
        """Features of the column."""
        return (self.levels or 1) + int(self.missing)

    def encode(self, table: Conformed) -> FloatArray:
        """Return features, shape (n_rows, width), each row with a norm of at most 1.

        Numbers lie in [-1, 1] between their bounds, null in the middle; levels are 0 or 1.
        """
        out = np.zeros((len(table), self.width))
        codes = table.codes[:, self.place]
        if self.levels:
            # A null that the schema does not provide for is no level: all zero.
            known = codes < self.width
            out[np.flatnonzero(known), codes[known]] = 1.0
            return out
        numbers = table.features[:, self.place]
        null = np.isnan(numbers)
        low, high = self.bounds
        half = high / 2 - low / 2
        if half > 0:
            scaled = (np.where(null, low, numbers) - (low / 2 + high / 2)) / half
            out[:, 0] = np.where(null, 0.0, np.clip(scaled, -1.0, 1.0))
        if self.missing:
            out[:, 1] = null
        return out


def blocks(tables: Tables, *, without: int) -> tuple[list[Block], list[str]]:
    """Describe the columns whose facts are public, and name those that are left out.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid; only the schema is asked.
    without : int
        Place of the target.
    """
    found, left = [], []
    for place, column in enumerate(tables.columns):
        if place == without:
            continue
        if column.discovers:
            left.append(column.name)
        elif isinstance(column.bounds, tuple):
            found.append(Block(place=place, bounds=column.bounds, missing=column.missing))
        else:
            found.append(Block(place=place, levels=len(column.levels), missing=column.missing))
    width, kept = 0, []
    for block in sorted(found, key=lambda block: block.width):
        width += block.width
        if width <= WIDEST:
            kept.append(block)
        else:
            left.append(tables.columns[block.place].name)
    return sorted(kept, key=lambda block: block.place), left


def measure(
    tables: Tables,
    *,
    rng: np.random.Generator,
    trained: Trained | Finding,
    budget: Budget | None,
) -> Section:
    """Train private models of the declared target on the rows that TRTR was trained on.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws seeds of the noise, and rows of units that have too many.
    trained : Trained or Finding
        What :func:`benchmarks.training.train` returned.
    budget : Budget or None
        What the synthetic table was released under; None leaves the reference out.

    Returns
    -------
    Section
        ``reference.dp-logistic.*`` and ``reference.dp-bayes.*`` (Gaussian naive Bayes) of a target
        with levels, ``reference.dp-linear.*`` of a number: median of five fits with their range as
        the interval, which is the noise of the mechanism and not the sampling of the holdout. The
        floor is the linear model without privacy.

    Privacy
    -------
    Research only; see the top of this module. Each fit spends ε and δ = 0, hence no more than the
    budget. A unit has at most ``max_rows`` rows, each protected at ε / ``max_rows``, with one row
    replaced by another as the neighbouring relation; under ``replace_one`` naive Bayes gets half of
    that, because a row that changes its class changes two of the groups that it counts. The number
    of training rows counts as public, which it is not under ``add_remove``: that small advantage
    stays on the side of the models. Noise comes from a seed, so that figures can be repeated: fit
    for a comparison, not for a release.

    References
    ----------
    Chaudhuri, Monteleoni and Sarwate 2011, "Differentially private empirical risk minimization";
    Vaidya et al. 2013, "Differentially private naive Bayes classification"; Zhang et al. 2012,
    "Functional mechanism"; Holohan et al. 2019, "diffprivlib".
    """
    if isinstance(trained, Finding):
        return Section()
    if budget is None:
        return _nothing("DPS335", "no budget was given")
    target = tables.columns[trained.task.place]
    if target.discovers:
        return _nothing("DPS336", f"bounds or levels of the target {target.name} are discovered")
    chosen, left = blocks(tables, without=trained.task.place)
    if not chosen:
        return _nothing("DPS336", "no column beside the target has public bounds or levels")
    if target.is_discrete and not 2 <= _declared(target) <= MOST_CLASSES:
        why = f"the target {target.name} has one declared level, or more than {MOST_CLASSES}"
        return _nothing("DPS336", why)
    rows = _capped(trained.train["trtr"], tables.schema.unit.max_rows, rng)
    seeds = rng.integers(2**31, size=FITS).tolist()
    epsilon = budget.epsilon / tables.schema.unit.max_rows
    reference = _Reference(tables, trained, chosen, rows)
    metrics: list[Metric] = []
    with models.one_thread():
        if trained.task.regression:
            fits = [reference.linear(epsilon, seed) for seed in seeds]
            metrics += _summary("dp-linear", fits, trained)
        else:
            halved = tables.schema.unit.relation is NeighbouringRelation.REPLACE_ONE
            bayes = epsilon / 2 if halved else epsilon
            fits = [reference.bayes(bayes, seed) for seed in seeds]
            metrics += _summary("dp-bayes", fits, trained)
            fits = [reference.logistic(epsilon, seed) for seed in seeds]
            metrics += _summary("dp-logistic", fits, trained)
    return Section(metrics=tuple(metrics), findings=tuple(_said(left)))


def best(section: Section) -> dict[str, float]:
    """Return the best figure of each score; picking it flatters the private models a little.

    Parameters
    ----------
    section : Section
        What :func:`measure` returned.
    """
    out: dict[str, float] = {}
    for metric in section.metrics:
        score = metric.name.rpartition(".")[2]
        choose = max if metric.direction == "higher" else min
        out[score] = choose(out.get(score, metric.value), metric.value)
    return out


class _Reference:
    """Private models of one task on public features."""

    def __init__(
        self, tables: Tables, trained: Trained, chosen: list[Block], rows: Conformed
    ) -> None:
        self.task = trained.task
        place = self.task.place
        column = tables.columns[place]
        self.bounds = column.bounds if isinstance(column.bounds, tuple) else (0.0, 0.0)
        self.declared = np.arange(_declared(column))
        if not self.task.regression:
            rows = rows.take(np.flatnonzero(rows.codes[:, place] < len(self.declared)))
        self.target = self.task.target(rows)
        self.blocks = chosen
        self.train, self.test = (
            np.hstack([block.encode(table) for block in chosen]) for table in (rows, self.task.test)
        )

    def logistic(self, epsilon: float, seed: int) -> dict[str, float]:
        """Return scores of logistic regression with a perturbed objective.

        The intercept is a feature like any other and all rows have a norm of at most 1: for its own
        intercept, diffprivlib 0.6.6 enlarges the norm, but takes the norm where its square bounds
        the curvature of the loss.
        """
        from diffprivlib.models import LogisticRegression

        scale = 1.0 / np.sqrt(1 + len(self.blocks))

        def scaled(features: FloatArray) -> FloatArray:
            return np.column_stack([np.ones(len(features)), features]) * scale

        # One model for each class but of two classes; half of its ε buys the curvature of the loss,
        # as much as it can be without regularisation, and the other half is noise.
        share = epsilon / (len(self.declared) if len(self.declared) > 2 else 1)
        learner = LogisticRegression(
            epsilon=epsilon,
            data_norm=1.0,
            C=float(np.clip(4.0 * np.expm1(min(share, 40.0) / 4.0), 1.0, 1e4)),
            fit_intercept=False,
            max_iter=300,
            random_state=seed,
        )
        return self._classified(learner, scaled(self.train), scaled(self.test))

    def bayes(self, epsilon: float, seed: int) -> dict[str, float]:
        """Return scores of Gaussian naive Bayes with noisy counts, means and variances."""
        from diffprivlib.models import GaussianNB

        low = np.concatenate(
            [[0.0 if block.levels else -1.0, *[0.0] * (block.width - 1)] for block in self.blocks]
        )
        learner = GaussianNB(
            epsilon=epsilon,
            bounds=(low, np.ones_like(low)),
            var_smoothing=1e-3,
            random_state=seed,
        )
        return self._classified(learner, self.train, self.test)

    def linear(self, epsilon: float, seed: int) -> dict[str, float]:
        """Return scores of least squares with noisy second moments (the functional mechanism).

        diffprivlib 0.6.6 scales the noise of a squared feature with the square of its *lower* bound
        alone. Here no feature has an upper bound of larger size: levels are 0 or -1. Its own
        minimiser does not end where noise makes the moments indefinite; the directions that noise
        alone could have made are dropped instead, and predictions cut to the bounds of the target,
        which costs no privacy.
        """
        from diffprivlib.models import LinearRegression

        low, high = self.bounds
        if high <= low:
            return whole(self.task.outcome(Constant(low)))

        def signed(features: FloatArray) -> FloatArray:
            return np.column_stack([-np.ones(len(features)), features * sign])

        number = np.concatenate(
            [[not block.levels, *[False] * (block.width - 1)] for block in self.blocks]
        )
        sign = np.where(number, 1.0, -1.0)
        upper = np.concatenate([[0.0], number.astype(float)])
        centre, half = low / 2 + high / 2, high / 2 - low / 2
        target = np.clip((self.target - centre) / half, -1.0, 1.0)
        learner = LinearRegression(
            epsilon=epsilon,
            bounds_X=(-np.ones_like(upper), upper),
            bounds_y=(-1.0, 1.0),
            fit_intercept=False,
            random_state=seed,
        )
        with public_only():
            learner.fit(signed(self.train), target)
        _, first, second = learner._obj_coefs
        width = len(upper)
        share = epsilon / (1 + width + width * (width + 1) / 2)
        # Laplace noise of sensitivity at most 2; a symmetric matrix of such entries has its
        # eigenvalues within twice their deviation times the root of its size.
        noise = 2.0 * np.sqrt(2.0) * (2.0 / share) * np.sqrt(width)
        values, vectors = np.linalg.eigh(second)
        kept = values > max(noise, 1e-9 * np.abs(values).max())
        weights = vectors[:, kept] @ ((vectors[:, kept].T @ first[:, 0]) / values[kept])
        predicted = np.clip(signed(self.test) @ weights, -1.0, 1.0)
        return whole(Regressed(predicted * half + centre, self.task.truth))

    def _classified(
        self, learner: Learner, train: FloatArray, test: FloatArray
    ) -> dict[str, float]:
        # One made-up row for each declared level, all zero: which classes there are is then a
        # public fact, and a level without rows is no obstacle.
        features = np.vstack([train, np.zeros((len(self.declared), train.shape[1]))])
        target = np.concatenate([self.target, self.declared])
        with public_only():
            learner.fit(features, target)
            return whole(self.task.outcome(learner, test))


@contextmanager
def public_only() -> Iterator[None]:
    """Refuse whatever diffprivlib would read off the rows; silence what is no concern here."""
    from diffprivlib.utils import PrivacyLeakWarning

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PrivacyLeakWarning)
        yield


def _declared(column: Column) -> int:
    """Count levels, without the one that is reserved for what the schema does not list."""
    return len(column.levels) - int(column.other is None)


def _capped(table: Conformed, most: int, rng: np.random.Generator) -> Conformed:
    """Keep at most ``most`` rows of each unit, at random."""
    shuffled = rng.permutation(len(table))
    order = shuffled[np.argsort(table.units[shuffled], kind="stable")]
    units = table.units[order]
    first = np.searchsorted(units, units, side="left")
    return table.take(np.sort(order[np.arange(len(units)) - first < most]))


def _summary(name: str, fits: list[dict[str, float]], trained: Trained) -> list[Metric]:
    linear = whole(trained.outcomes["trtr", "linear"])
    dummy = trained.outcomes["trtr", "dummy"]
    constant = whole(dummy)
    directions: Mapping[str, Direction] = dummy.directions
    out = []
    for score, direction in directions.items():
        values = np.array([fit[score] for fit in fits])
        out.append(
            Metric(
                name=f"reference.{name}.{score}",
                value=float(np.median(values)),
                floor=linear[score],
                references={"dummy": constant[score]},
                landmark="dummy",
                direction=direction,
                ci_low=float(values.min()),
                ci_high=float(values.max()),
                n=len(trained.train["trtr"]),
            )
        )
    return out


def _said(left: list[str]) -> list[Finding]:
    said = [
        Finding(
            "DPS324",
            Severity.INFO,
            "privately trained models stand here for comparison: they are no release, they are"
            " not booked, and their scores are internal.",
        )
    ]
    if left:
        message = (
            f"privately trained models leave out {', '.join(left)}: bounds or levels are"
            " discovered, or there are too many levels."
        )
        said.append(Finding("DPS336", Severity.INFO, message))
    return said


def _nothing(code: str, why: str) -> Section:
    message = f"a privately trained model was not measured beside the table: {why}."
    return Section(findings=(Finding(code, Severity.INFO, message),))
