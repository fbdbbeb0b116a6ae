"""``MST``: a tree of noisy two-way tables, whose edges the exponential mechanism chooses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dpsynth.calibration import calibrate
from dpsynth.checkpoint import Course
from dpsynth.codec import CodecSettings
from dpsynth.counts import histogram_event
from dpsynth.errors import UsageError
from dpsynth.marginals.groups import MOST_GROUPS, Groups, code_shares, group_codes
from dpsynth.marginals.infer import (
    Tree,
    conditional_estimate,
    draw_rows,
    fit_table,
    infer_tree,
    settle_margins,
)
from dpsynth.marginals.measure import count_pair, measure_pairs, pairs_event
from dpsynth.marginals.select import Candidate, Edge, choice_event, grow_tree, pair_score
from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    Budget,
    DiscreteGaussian,
    Exponential,
    Mechanism,
    PartitionSelection,
    PlannedCharge,
)
from dpsynth.schema import Schema
from dpsynth.synthesizer import Synthesizer

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TARGET_PAIRS = "pairs with the target"
CHOICE = "choice of the tree"
TREE_PAIRS = "pairs of the tree"

_NUMERIC_CODES = 64
"""Twice as many as groups: one-way shares are kept finer than tables."""

_ABSOLUTE_MEAN = math.sqrt(2 / math.pi)
"""Mean of the absolute value of a standard normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MSTSettings:
    """Public parameters of the method.

    Parameters
    ----------
    codec_share : float
        Share of the budget, in units of μ², for one-way counts.
    choice_share : float
        Share for choosing the tree; what is left buys the tables.
    least_ordered, least_level : float
        Rows below which groups of codes are merged, in a column with an order and in one without
        (:func:`dpsynth.marginals.groups.group_codes`).
    penalty : float
        Part of a table's expected error that is taken off its score.
    """

    codec_share: float = 0.2
    choice_share: float = 0.1
    least_ordered: float = 1.7
    least_level: float = 0.25
    penalty: float = 0.3

    def __post_init__(self) -> None:
        shares = self.codec_share, self.choice_share
        if min(shares) <= 0 or sum(shares) >= 1:
            raise UsageError("both shares must be positive and leave something for the tables.")
        if min(self.least_ordered, self.least_level, self.penalty) < 0:
            raise UsageError("least_ordered, least_level and penalty must be at least 0.")


class MST(Synthesizer):
    """A tree of two-way tables that the exponential mechanism chooses.

    Parameters
    ----------
    schema : Schema
        Public facts about the table. The first column of role ``target`` is measured with every
        other one, and is a second parent of all.
    settings : MSTSettings, optional
        Public parameters.
    codec : CodecSettings, optional
        Public sizes of the codec.

    Privacy
    -------
    One-way counts (:mod:`dpsynth.codec`), tables of pairs (:mod:`dpsynth.marginals.measure`) and
    the draws of :mod:`dpsynth.marginals.select`, composed. How the budget is split follows from the
    settings and the number of columns. Groups, penalties and estimates follow from what was
    released before; inference and sampling are post-processing.

    References
    ----------
    McKenna, Miklau, Sheldon, "Winning the NIST Contest", arXiv 2108.04978.
    """

    method: ClassVar[str] = "mst"

    def __init__(
        self,
        schema: Schema,
        *,
        settings: MSTSettings | None = None,
        codec: CodecSettings | None = None,
    ) -> None:
        super().__init__(schema, codec=codec)
        self.settings = settings or MSTSettings()
        columns = schema.modelled
        targets = [place for place, column in enumerate(columns) if column.role == "target"]
        self._target = targets[0] if targets and len(columns) > 1 else None
        self._nodes = [place for place in range(len(columns)) if place != self._target]
        self._groups: tuple[Groups, ...]
        self._tree: Tree

    # -- the plan --------------------------------------------------------------------------------

    def _default_codec(self, budget: Budget, units: int) -> CodecSettings:
        del budget, units
        return CodecSettings(numeric_codes=_NUMERIC_CODES)

    def _plan_charges(
        self, budget: Budget, units: int, codec: CodecSettings
    ) -> tuple[tuple[PlannedCharge, ...], dict[str, Any]]:
        del units  # neither noise nor shares depend on the size of the table

        def at(scale: float) -> tuple[PlannedCharge, ...]:
            sigma = self._histogram_sigma(scale / math.sqrt(self._shares["codec"]), codec)
            return self._codec_at(budget, codec, sigma=sigma) + self._pairs_at(scale)

        scale = calibrate(lambda s: [charge.mechanism for charge in at(s)], budget)
        return at(scale), {"settings": asdict(self.settings)}

    def _take_settings(self, parameters: Mapping[str, Any]) -> CodecSettings:
        self.settings = MSTSettings(**parameters["settings"])
        return super()._take_settings(parameters)

    @property
    def _shares(self) -> dict[str, float]:
        """Split the budget; what a table has no use for goes to the rest."""
        tree, drawn, starred = self._numbers
        left = 1 - self.settings.codec_share - self.settings.choice_share
        shares = {
            "codec": self.settings.codec_share,
            "choice": self.settings.choice_share if drawn else 0.0,
            "star": left * starred / max(tree + starred, 1),
            "tree": left * tree / max(tree + starred, 1),
        }
        total = sum(shares.values())
        return {name: share / total for name, share in shares.items()}

    @property
    def _numbers(self) -> tuple[int, int, int]:
        """Return the number of edges of the tree, of draws, and of pairs with the target."""
        edges = len(self._nodes) - 1
        # Two columns have one tree: there is nothing to choose.
        drawn = edges if edges > 1 else 0
        return edges, drawn, 0 if self._target is None else len(self._nodes)

    def _pairs_at(self, scale: float) -> tuple[PlannedCharge, ...]:
        tree, drawn, starred = self._numbers
        unit, shares = self.schema.unit, self._shares
        charges = []
        if starred:
            event = pairs_event(
                multiplier=scale / math.sqrt(shares["star"]), pairs=starred, unit=unit
            )
            charges.append(PlannedCharge(step=TARGET_PAIRS, mechanism=event))
        if drawn:
            # A draw of range ε costs as much zCDP as a Gaussian with μ = ε/2.
            epsilon = 2 * math.sqrt(shares["choice"] / drawn) / scale
            choice = choice_event(epsilon=epsilon, rounds=drawn, unit=unit)
            charges.append(PlannedCharge(step=CHOICE, mechanism=choice))
        if tree:
            event = pairs_event(multiplier=scale / math.sqrt(shares["tree"]), pairs=tree, unit=unit)
            charges.append(PlannedCharge(step=TREE_PAIRS, mechanism=event))
        return tuple(charges)

    # -- the fit ---------------------------------------------------------------------------------

    def _fit_codes(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        course: Course,
    ) -> tuple[PlannedCharge, ...]:
        del unit_index, course  # units were bounded when the table was loaded
        fit = _Fit(self, codes, noise)
        fit.star()
        self._groups, self._tree = fit.groups, fit.tree(fit.choose())
        return tuple(fit.ran)

    # -- samples and storage ---------------------------------------------------------------------

    def cliques(self) -> tuple[tuple[str, ...], ...]:
        """Return every column, and every pair whose table was measured."""
        names = tuple(column.name for column in self.schema.modelled)
        pairs = {
            tuple(sorted((column, parent)))
            for column, parents in enumerate(self._tree.parents)
            for parent in parents
            if parent >= 0
        }
        return (*super().cliques(), *((names[a], names[b]) for a, b in sorted(pairs)))

    def _sample_codes(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        drawn = self._tree.sample(n, rng)
        columns = []
        for column, (name, part) in enumerate(zip(self._codec.codes, self._groups, strict=True)):
            weights = part.within(self._codec.codes[name].usable)
            columns.append(draw_rows(weights, drawn[:, column], rng))
        return np.stack(columns, axis=1).astype(np.int32)

    @property
    def _most(self) -> int:
        """Most groups of any column."""
        return min(MOST_GROUPS, max(self._codec.sizes))

    def _arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        # Padded: how many groups there are follows from noise, shapes from public facts.
        arrays = {
            "order": np.array(self._tree.order, dtype=np.float32),
            "parents": np.array(self._tree.parents, dtype=np.float32),
        }
        given = 1 if self._target is None else self._most
        for column, (part, table) in enumerate(zip(self._groups, self._tree.tables, strict=True)):
            arrays[f"groups {column}"] = part.of_code.astype(np.float32)
            padded = np.zeros((self._most, given, self._most), dtype=np.float32)
            padded[tuple(slice(size) for size in table.shape)] = table
            arrays[f"table {column}"] = padded
        return arrays

    def _restore(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        columns = range(len(self._codec.codes))
        self._groups = tuple(
            Groups(
                of_code=arrays[f"groups {column}"].astype(np.int64),
                shares=code_shares(self._codec, name),
            )
            for column, name in zip(columns, self._codec.codes, strict=True)
        )
        sizes = [part.size for part in self._groups]
        parents = [(int(a), int(b)) for a, b in arrays["parents"].tolist()]
        self._tree = Tree(
            order=tuple(int(column) for column in arrays["order"].tolist()),
            parents=tuple(parents),
            tables=tuple(
                arrays[f"table {column}"][
                    : 1 if a < 0 else sizes[a], : 1 if b < 0 else sizes[b], : sizes[column]
                ]
                for column, (a, b) in zip(columns, parents, strict=True)
            ),
        )


class _Fit:
    """Runs the plan's steps in order and keeps what was released."""

    def __init__(self, model: MST, codes: npt.NDArray[np.int32], noise: NoiseSource) -> None:
        self._plan, self._unit, self._noise = model.plan_, model.schema.unit, noise
        self._settings, self._target, self._nodes = model.settings, model._target, model._nodes
        self._rows = model._codec.rows
        self.ran: list[PlannedCharge] = []
        self.groups = group_codes(
            model._codec,
            sigma=self._sigma,
            least_ordered=self._settings.least_ordered,
            least_level=self._settings.least_level,
        )
        self._sizes = [part.size for part in self.groups]
        self._grouped = np.stack(
            [part.of_code[codes[:, column]] for column, part in enumerate(self.groups)], axis=1
        )
        self._noisy: dict[Edge, IntArray] = {}

    def _event(self, step: str) -> Mechanism | None:
        return next((c.mechanism for c in self._plan.charges if c.step == step), None)

    @property
    def _sigma(self) -> float:
        """Noise on a cell of a table."""
        events = [self._event(step) for step in (TREE_PAIRS, TARGET_PAIRS)]
        return next((e.sigma for e in events if isinstance(e, DiscreteGaussian)), 1.0)

    def _measure(self, step: str, edges: Sequence[Edge]) -> None:
        event = self._event(step)
        assert isinstance(event, DiscreteGaussian)
        noisy = measure_pairs(
            self._grouped, edges, self._sizes, event=event, unit=self._unit, noise=self._noise
        )
        stated = histogram_event(sigma=event.sigma, histograms=len(noisy), unit=self._unit)
        self.ran.append(PlannedCharge(step=step, mechanism=stated))
        self._noisy |= noisy

    def star(self) -> None:
        """Measure the target with every other column."""
        if self._target is not None:
            self._measure(TARGET_PAIRS, [(node, self._target) for node in self._nodes])

    def choose(self) -> tuple[Edge, ...]:
        """Choose the tree by what is not explained yet."""
        event = self._event(CHOICE)
        if event is None:
            return tuple(pairwise(self._nodes))
        assert isinstance(event, Exponential)
        margins, tables = self._settled()
        candidates = [
            Candidate(edge=edge, score=self._score(edge, margins, tables))
            for edge in combinations(self._nodes, 2)
        ]
        edges = grow_tree(self._nodes, candidates, event=event, unit=self._unit, noise=self._noise)
        stated = choice_event(epsilon=event.epsilon, rounds=len(edges), unit=self._unit)
        self.ran.append(PlannedCharge(step=CHOICE, mechanism=stated))
        return edges

    def _score(
        self, edge: Edge, margins: Sequence[FloatArray], tables: Mapping[Edge, FloatArray]
    ) -> float:
        a, b = edge
        if self._target is None:
            estimate = np.outer(margins[a], margins[b]) / margins[a].sum()
        else:
            target = self._target
            estimate = conditional_estimate(tables[a, target], tables[b, target], margins[target])
        error = _ABSOLUTE_MEAN * self._sigma * estimate.size
        return pair_score(
            count_pair(self._grouped, edge, self._sizes).ravel(),
            estimate.ravel(),
            penalty=self._settings.penalty * error,
        )

    def tree(self, edges: Sequence[Edge]) -> Tree:
        """Measure the tables of the tree and infer the distribution."""
        if edges:
            self._measure(TREE_PAIRS, edges)
        margins, tables = self._settled()
        return infer_tree(margins, tables, edges=edges, target=self._target)

    def _settled(self) -> tuple[list[FloatArray], dict[Edge, FloatArray]]:
        """Return margins, and tables that agree with them, of all that was released so far."""
        # The codec's counts come first and have one noise, of whichever step they are.
        counts = self._plan.charges[0].mechanism
        assert isinstance(counts, DiscreteGaussian | PartitionSelection)
        margins = settle_margins(
            self.groups,
            self._noisy,
            rows=self._rows,
            counts_sigma=counts.sigma,
            pairs_sigma=self._sigma,
        )
        tables = {
            (a, b): fit_table(noisy, margins[a], margins[b])
            for (a, b), noisy in self._noisy.items()
        }
        return margins, tables
