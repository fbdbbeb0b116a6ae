"""How each mechanism of dpsynth is put on the bench of ``privacy_audits.conformance``.

Every rig takes the part under test as an argument that defaults to the real one, so that a broken
twin can stand in its place. Parts inside ``train`` and ``Codec.fit`` are exchanged by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import dpsynth as dp
from dpsynth import codec as codec_module
from dpsynth import density as density_module
from dpsynth import scoring as scoring_module
from dpsynth import selection as selection_module
from dpsynth.codec import Codec, CodecSettings, codec_charges
from dpsynth.counts import discover_levels, release_counts, selection_event
from dpsynth.neural import dpsgd
from dpsynth.neural.adversary import PairLoss
from dpsynth.neural.base import TRAINING, DPSGDSettings
from dpsynth.neural.blocks import Blocks
from dpsynth.neural.chained import ChainedGenerator
from dpsynth.neural.clipping import UnitClipper
from dpsynth.neural.conditions import Conditions
from dpsynth.neural.critic import Critic
from dpsynth.neural.ctgan import DPCTGAN, CTGANSettings
from dpsynth.neural.dpsgd import TrainingSettings, UnitRows, noisy_sum
from dpsynth.neural.optimise import AveragedAdam
from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    Mechanism,
    Plan,
    PlannedCharge,
    PoissonSampledGaussian,
    PrivacyUnit,
    PrivateSelection,
)
from dpsynth.scoring import TwoWayScore
from dpsynth.selection import SCORE, PrivateSearch
from dpsynth.synthesizer import Synthesizer
from dpsynth.table import Table, load
from privacy_audits.conformance import CoupledNoise, Tape
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

Array = np.ndarray
Make = Callable[[], NoiseSource]
CPU = torch.device("cpu")


# -- single mechanisms -----------------------------------------------------------------------------


def sum_release(
    noisy: Callable = noisy_sum,
    *,
    sigma: float,
    clip_norm: float,
    make: Make = NoiseSource.from_entropy,
) -> Callable[[Array], Array]:
    """The release of a DP-SGD step: exact sum to noisy sum."""
    noise = make()

    def release(exact: Array) -> Array:
        (out,) = noisy([torch.from_numpy(exact)], sigma=sigma, clip_norm=clip_norm, noise=noise)
        return out.numpy()

    return release


def count_release(
    released: Callable = release_counts, *, sigma: float, make: Make = NoiseSource.from_entropy
) -> Callable[[Array], Array]:
    """The release of a histogram."""
    noise = make()
    return lambda exact: released(exact.astype(np.int64), sigma=sigma, noise=noise)


SELECTION = selection_event(
    sigma=2.0, failure_delta=0.05, unit=PrivacyUnit(column="id", max_rows=4)
)


def selected_counts(discover: Callable = discover_levels) -> Callable[[Array], Array]:
    """The noisy counts of levels that are all far above the threshold."""
    noise = NoiseSource.from_entropy()

    def release(exact: Array) -> Array:
        names = [f"level {i:06d}" for i in range(exact.size)]
        values = np.repeat(np.array(names, dtype=object), exact.astype(int))
        return discover(values, event=SELECTION, noise=noise, most=exact.size)[1]

    return release


def select(discover: Callable = discover_levels) -> Callable[[Array], Sequence[str]]:
    """The levels that partition selection shows."""
    noise = NoiseSource.from_entropy()
    return lambda values: discover(values, event=SELECTION, noise=noise, most=9)[0]


def network(dtype: torch.dtype = torch.float64, *, bias: bool = True) -> nn.Sequential:
    """A small network whose weights are always the same."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7, bias=bias), nn.Tanh(), nn.Linear(7, 3, bias=bias))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-1, 1, generator=generator)
    return net.to(dtype)


def cubed(net: nn.Module, rows: Tensor) -> Tensor:
    """A row loss whose gradient has no bound."""
    out = net(rows)
    return out.pow(3).sum(1) + rows.sum(1) * out.sum(1)


def linear_loss(net: nn.Module, rows: Tensor) -> Tensor:
    """A row loss whose gradient is linear in the row."""
    return net(rows).sum(1)


def squared(net: nn.Module, rows: Tensor) -> Tensor:
    """A row loss that has a minimum."""
    return net(rows).pow(2).sum(1)


def clipped(
    clipper: type[UnitClipper] = UnitClipper,
    *,
    rows_per_unit: int,
    clip_norm: float = 1.0,
    net: nn.Module | None = None,
    loss: Callable[[nn.Module, Tensor], Tensor] = linear_loss,
) -> Callable[[Sequence[Array]], Array]:
    """The clipped sum of a table of units, before noise."""
    model = network() if net is None else net
    dtype = next(model.parameters()).dtype

    def query(units: Sequence[Array]) -> Array:
        rows = torch.from_numpy(np.concatenate(units)).to(dtype)
        with clipper(model) as book:
            sums = book.clipped_sum(
                loss(model, rows), rows_per_unit=rows_per_unit, clip_norm=clip_norm
            )
        return torch.cat([part.flatten() for part in sums]).numpy()

    return query


# -- the whole DP-SGD loop -------------------------------------------------------------------------


@dataclass(frozen=True)
class LoopRun:
    """What a run of ``train`` showed through its row loss, its progress and its gradients."""

    batches: list[Array]
    released: list[Array]
    planned: Mechanism
    taken: Mechanism


def exchanged(parts: Mapping[str, Any]) -> ExitStack:
    """Exchange parts of the loop by name while the block lasts."""
    stack = ExitStack()
    for name, part in parts.items():
        stack.enter_context(mock.patch.object(dpsgd, name, part))
    return stack


def loop(
    *,
    units: int,
    probability: float,
    steps: int,
    width: int,
    sigma: float = 1.5,
    rows_per_unit: int = 1,
    make: Make = NoiseSource.from_entropy,
    trainer: Callable[..., PoissonSampledGaussian] = dpsgd.train,
    **parts: Any,
) -> LoopRun:
    """Run ``train`` on rows without a gradient: what it releases is its noise.

    The progress callback comes after every step and reads the gradient that was applied; the row
    loss sees which units were drawn.
    """
    clip_norm, expected = 0.5, 0.8 * units
    net = nn.Linear(1, width, bias=False).double()
    settings = TrainingSettings(
        sampling_probability=probability,
        steps=steps,
        expected_units=expected,
        learning_rate=0.1,
        clip_norm=clip_norm,
    )
    planned = settings.event(
        noise_multiplier=sigma, unit=PrivacyUnit(column="id", max_rows=rows_per_unit)
    )
    data = UnitRows.arrange(
        np.repeat(np.arange(units, dtype=np.int32), rows_per_unit)[:, None],
        np.repeat(np.arange(units), rows_per_unit),
        max_rows=rows_per_unit,
        device=CPU,
    )
    batches: list[Array] = []
    released: list[Array] = []
    seen: list[Array] = []

    def row_loss(codes: Tensor) -> Tensor:
        # The clipper is handed the rows of a unit together.
        seen.append(codes[::rows_per_unit, 0].numpy())
        return 0.0 * net(codes.double()).sum(1)

    def progress(done: int, of: int) -> None:
        del done, of
        batches.append(seen.pop() if seen else np.zeros(0, dtype=int))

    class Watched(AveragedAdam):
        def step(self, gradients: Sequence[Tensor], step: int) -> None:
            applied = gradients[0].numpy().ravel()
            released.append(applied * (probability * expected) / clip_norm)
            super().step(gradients, step)

    with exchanged({"AveragedAdam": Watched, **parts}):
        taken = trainer(
            net, row_loss, data, settings=settings, mechanism=planned, noise=make(),
            progress=progress,
        )  # fmt: skip
    return LoopRun(batches=batches, released=released, planned=planned, taken=taken)


def taped_sums(tape: Tape, inner: Callable = noisy_sum) -> Callable:
    """A release of a step that answers from the tape."""

    def release(sums: list[Tensor], *, sigma: float, clip_norm: float, noise: NoiseSource) -> list:
        return tape.answer(
            torch.cat([part.flatten() for part in sums]).numpy(),
            lambda: inner(sums, sigma=sigma, clip_norm=clip_norm, noise=noise),
            sigma=sigma * clip_norm,
        )

    return release


def train_run(
    *,
    probability: float,
    sigma: float = 1.2,
    steps: int = 6,
    rows_per_unit: int,
    seed: int = 3,
    loss: Callable[[nn.Module, Tensor], Tensor] = linear_loss,
    after: Callable[[list[Tensor]], list[Tensor]] = lambda released: released,
    **parts: Any,
) -> Callable[[Sequence[Array], Tape], Mapping[str, object]]:
    """``train`` on units of real features, with its releases on a tape.

    ``after`` is what the loop does to a release before it divides by the expected batch size.
    """
    settings = TrainingSettings(
        sampling_probability=probability, steps=steps, expected_units=5.0, learning_rate=0.1
    )
    mechanism = PoissonSampledGaussian(
        relation="add_remove",  # type: ignore[arg-type]
        noise_multiplier=sigma,
        sampling_probability=probability,
        steps=steps,
    )

    def run(units: Sequence[Array], tape: Tape) -> Mapping[str, object]:
        net = network()
        features = torch.from_numpy(np.concatenate([*units, np.zeros((0, 5))]))
        release = taped_sums(tape)
        lines: list[tuple[int, int]] = []
        codes = np.arange(len(features), dtype=np.int32)[:, None]
        index = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
        with exchanged({**parts, "noisy_sum": lambda sums, **kw: after(release(sums, **kw))}):
            taken = dpsgd.train(
                net,
                lambda chosen: loss(net, features[chosen[:, 0]]),
                UnitRows.arrange(codes, index, max_rows=rows_per_unit, device=CPU),
                settings=settings,
                mechanism=mechanism,
                noise=CoupledNoise(seed=seed),
                progress=lambda done, of: lines.append((done, of)),
            )
        weights = torch.cat([p.detach().flatten() for p in net.parameters()]).numpy()
        return {"event": taken, "progress": lines, "weights": weights.tobytes()}

    return run


# -- critic and generator --------------------------------------------------------------------------

PAIR_SIZES = (4, 3, 6)


def pair_units(rng: np.random.Generator, *, rows: int, count: int) -> list[Array]:
    """Units of codes; the last one is unlike the others."""
    units = [np.stack([rng.integers(0, 2, rows) for _ in PAIR_SIZES], axis=1) for _ in range(count)]
    return [*units, np.tile(np.array(PAIR_SIZES) - 1, (rows, 1))]


def pair_sum(
    loss: type[PairLoss] = PairLoss,
    *,
    rows_per_unit: int,
    clipper: type[UnitClipper] = UnitClipper,
    scale: float = 3.0,
    seed: int = 4,
) -> Callable[[Sequence[Array]], Array]:
    """The clipped sum over units of rows and their generated partners, before noise.

    Weights are large, so that every unit is clipped. Draws are coupled: whoever stands before the
    unit that is left out at the end gets the same ones.
    """
    first = torch.Generator().manual_seed(0)
    bases = [np.linspace(-1, 1, k, dtype=np.float32)[:, None] for k in PAIR_SIZES]
    critic = Critic(bases, 6, generator=first)
    blocks = Blocks(PAIR_SIZES)
    usable = [np.ones(k, dtype=bool) for k in PAIR_SIZES]
    generator = ChainedGenerator(
        blocks, np.concatenate(usable), (0, 2, 1), latent=2, hidden=8, generator=first
    )
    with torch.no_grad():
        for part in (*critic.parameters(), *generator.parameters()):
            part.copy_(scale * torch.randn(part.shape, generator=first))
    conditions = Conditions([np.arange(k) + 1.0 for k in PAIR_SIZES], usable, [1.0, 1.0, 2.0])

    def query(units: Sequence[Array]) -> Array:
        rows = torch.from_numpy(np.concatenate([*units, np.zeros((0, len(PAIR_SIZES)), int)]))
        pairs = loss(critic, generator, conditions, noise=CoupledNoise(seed=seed))
        with clipper(critic, copies=2) as book:
            sums = book.clipped_sum(pairs(rows), rows_per_unit=rows_per_unit, clip_norm=1.0)
        return torch.cat([part.flatten() for part in sums]).numpy()

    return query


CTGAN_SETTINGS = CTGANSettings(
    steps=8,
    critic_steps=2,
    hidden=8,
    critic_hidden=6,
    latent=3,
    sampling_probability=0.5,
    generator_rows=40,
)


def ctgan_run(
    schema: dp.Schema, method: type[DPCTGAN] = DPCTGAN, *, seed: int = 2
) -> Callable[[pd.DataFrame, Tape], Mapping[str, object]]:
    """A whole fit of DP-CTGAN, with all its releases on a tape."""
    plan = neural_plan(schema, CTGAN_SETTINGS, method.method)

    def run(frame: pd.DataFrame, tape: Tape) -> Mapping[str, object]:
        model = method(schema, settings=CTGAN_SETTINGS, codec=SETTINGS)
        given = mock.patch.object(DPCTGAN, "plan", return_value=plan)
        with taped_codec(tape), exchanged({"noisy_sum": taped_sums(tape)}), given:
            model.fit(
                frame,
                budget=BUDGET,
                ledger=open_ledger(schema),
                dataset="patients",
                noise=CoupledNoise(seed=seed),
            )
        return fit_facts(model)

    return run


def fit_facts(model: Synthesizer) -> Mapping[str, object]:
    """Everything that a fitted model shows."""
    return {
        "plan": model.plan_.spec(),
        "codec": model._codec.state(),
        "weights": {name: array.tobytes() for name, array in model._arrays().items()},
        "rows": model.sample(seed=1).to_csv(),
        "repr": repr(model),
    }


def neural_plan(
    schema: dp.Schema, settings: DPSGDSettings, method: str, *, noise_multiplier: float = 4.0
) -> Plan:
    """What a fit would plan, with noise that is not calibrated: that takes seconds."""
    event = settings.training(80).event(noise_multiplier=noise_multiplier, unit=schema.unit)
    counts = codec_charges(schema, SETTINGS, sigma=40.0, failure_delta=1e-6)
    return Plan(
        method=method,
        unit=schema.unit,
        budget=BUDGET,
        charges=(*counts, PlannedCharge(step=TRAINING, mechanism=event)),
        parameters={
            "expected_units": 80,
            "settings": asdict(settings),
            "codec": SETTINGS.state(),
        },
        schema_sha256=schema.digest(),
    )


# -- the codec and the table -----------------------------------------------------------------------

SETTINGS = CodecSettings()


def discovering(schema: dp.Schema) -> dp.Schema:
    """The same schema with categories and bounds left to discover."""
    document = schema.to_dict()
    document["columns"]["ward"] = {
        "kind": "categorical",
        "categories": "discover",
        "missing": True,
        "source": "dp",
    }
    document["columns"]["age"] = {"kind": "integer", "bounds": "discover", "source": "dp"}
    return dp.Schema.from_dict(document)


def codec_plan(schema: dp.Schema, *, sigma: float = 4.0) -> Plan:
    charges = codec_charges(schema, SETTINGS, sigma=sigma, failure_delta=1e-6)
    return Plan(method="test", unit=schema.unit, budget=BUDGET, charges=charges)


def plan_bound(plan: Plan) -> float:
    """Root of the sum of (l2 sensitivity / σ)² that the plan's histograms declare."""
    return float(
        np.sqrt(sum(m.count * m.sensitivity**2 / m.sigma**2 for m in plan.mechanisms))  # type: ignore[attr-defined]
    )


def taped_counts(tape: Tape, inner: Callable = release_counts) -> Callable:
    def release(counts: Array, *, sigma: float, noise: NoiseSource) -> Array:
        return tape.answer(
            counts, lambda: inner(counts, sigma=sigma, noise=noise), sigma=sigma
        )  # fmt: skip

    return release


def taped_levels(tape: Tape) -> Callable:
    def discover(values: Array, *, event: Any, noise: NoiseSource, most: int) -> tuple:
        levels, exact = np.unique(values.astype(str), return_counts=True)
        return tape.answer(
            dict(zip(levels.tolist(), exact.tolist(), strict=True)),
            lambda: discover_levels(values, event=event, noise=noise, most=most),
            sigma=event.sigma,
        )

    return discover


def taped_codec(tape: Tape, inner: Callable = release_counts) -> ExitStack:
    """Put every release of ``Codec.fit`` on a tape while the block lasts."""
    stack = ExitStack()
    for module in (codec_module, density_module):
        stack.enter_context(mock.patch.object(module, "release_counts", taped_counts(tape, inner)))
    stack.enter_context(mock.patch.object(codec_module, "discover_levels", taped_levels(tape)))
    return stack


def codec_run(
    schema: dp.Schema,
    *,
    fit: Callable[..., tuple[Codec, Any]] = Codec.fit,
    loader: Callable[..., Table] = load,
    released: Callable = release_counts,
    seed: int = 8,
) -> Callable[[pd.DataFrame, Tape], Mapping[str, object]]:
    """Loading and ``Codec.fit``, with all releases on a tape."""
    plan = codec_plan(schema)

    def run(frame: pd.DataFrame, tape: Tape) -> Mapping[str, object]:
        noise = CoupledNoise(seed=seed)
        table = loader(frame, schema, rng=noise.generator)
        with taped_codec(tape, released):
            codec, ran = fit(table, plan=plan, settings=SETTINGS, noise=noise)
        return {"sizes": codec.sizes, "state": codec.state(), "ran": ran}

    return run


# -- private selection -----------------------------------------------------------------------------


def search_plan(
    schema: dp.Schema, score: TwoWayScore, *, sigma: float = 4.0, mean_trials: float = 6.0
) -> Plan:
    """What a search over ``Independent`` would plan, with noise that is not calibrated."""
    charges = (
        *codec_charges(schema, SETTINGS, sigma=sigma, failure_delta=1e-6),
        PlannedCharge(step=SCORE, mechanism=score.event(schema, noise_multiplier=2.0)),
    )
    facts = {
        "method": "independent",
        "budget": {"epsilon": 1.0, "delta": 1e-6},
        "steps": [charge.step for charge in charges],
        "parameters": {"codec": SETTINGS.state()},
    }
    event = PrivateSelection(
        relation=schema.unit.relation,
        candidates=(tuple(charge.mechanism for charge in charges),),
        mean_trials=mean_trials,
    )
    return Plan(
        method="test",
        unit=schema.unit,
        # More than it costs: these rigs are about what leaves a search, not about its price.
        budget=dp.Budget(epsilon=1e6, delta=1e-4),
        charges=(PlannedCharge(step=selection_module.SELECTION, mechanism=event),),
        parameters={"candidates": [facts]},
        schema_sha256=schema.digest(),
    )


def trial_numbers_of(count: Callable[[Plan, NoiseSource], int]) -> Callable[[], int]:
    """The number of trials of a booked search."""
    plan, noise = search_plan(patients_schema(), TwoWayScore()), NoiseSource.from_entropy()
    return lambda: count(plan, noise)


def score_release(score: TwoWayScore, *, sigma: float) -> Callable[[Array], Array]:
    """The releases of a score whose exact values are given."""
    schema, noise = patients_schema(), NoiseSource.from_entropy()
    table = load(patients_frame(30), schema, rng=np.random.default_rng(0))
    event = score.event(schema, noise_multiplier=sigma / 21)

    def release(exact: Array) -> Array:
        given = [(value, 21) for value in exact.astype(int).tolist()]
        with mock.patch.object(TwoWayScore, "_error", side_effect=given):
            return np.array(
                [
                    score.release(table, patients_frame(3), rows=30.0, event=event, noise=noise)[0]
                    for _ in range(exact.size)
                ]
            )

    return release


def exact_score(
    score: TwoWayScore, schema: dp.Schema, *, rows: float
) -> Callable[[pd.DataFrame], Array]:
    """The statistic of a score, against a synthetic table that is always the same."""
    synthetic = patients_frame(40, seed=7)

    def query(frame: pd.DataFrame) -> Array:
        table = load(frame, schema, rng=CoupledNoise(seed=5).generator)
        values = scoring_module.conform(synthetic, schema)
        return np.array([float(score._error(table, values, rows=rows)[0])])

    return query


def search_run(
    schema: dp.Schema, score: TwoWayScore | None = None, *, seed: int = 2, trials: int = 12
) -> Callable[[pd.DataFrame, Tape], Mapping[str, object]]:
    """A whole search over one candidate, with all releases of all trials on a tape."""
    score = score or TwoWayScore(sample_rows=60)
    plan = search_plan(schema, score)

    def run(frame: pd.DataFrame, tape: Tape) -> Mapping[str, object]:
        lines: list[tuple[int, int]] = []
        search = PrivateSearch([dp.Independent(schema)], score=score)
        taped = mock.patch.object(scoring_module, "release_counts", taped_counts(tape))
        planned = mock.patch.object(PrivateSearch, "plan", return_value=plan)
        counted = mock.patch.object(selection_module, "trial_count", return_value=trials)
        with taped_codec(tape), taped, planned, counted:
            model = search.fit(
                frame,
                budget=plan.budget,
                ledger=open_ledger(schema, plan.budget),
                dataset="patients",
                noise=CoupledNoise(seed=seed),
                progress=lambda done, of: lines.append((done, of)),
            )
        return {
            "plan": model.plan_.spec(),
            "won": model.privacy_["selection"],
            "codec": model._codec.state(),
            "rows": model.sample(20, seed=1).to_csv(),
            "progress": lines,
            "repr": repr(model),
        }

    return run


def rows_by_unit(
    schema: dp.Schema, loader: Callable[..., Table] = load, *, seed: int = 5
) -> Callable[[pd.DataFrame], Mapping[str, float]]:
    """How often each row stands in the loaded table: a histogram over all possible rows."""

    def query(frame: pd.DataFrame) -> Mapping[str, float]:
        table = loader(frame, schema, rng=CoupledNoise(seed=seed).generator)
        rows = zip(*(table.values[column.name].tolist() for column in schema.modelled), strict=True)
        counts: dict[str, float] = {}
        for row in rows:
            counts[repr(row)] = counts.get(repr(row), 0.0) + 1
        return counts

    return query


def one_more_patient(
    rows: int, *, n: int = 240, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table of units with three rows each, and the same with one awkward unit of ``rows``."""
    base = patients_frame(n, seed=seed).astype({"patient": object})
    awkward = patients_frame(rows, seed=9).astype(object)
    awkward = awkward.assign(
        patient="the new one", age=10**9, stay=-1e300, ward="never seen", died="perhaps"
    )
    awkward.loc[awkward.index[0], ["stay", "sex"]] = [np.inf, None]
    return pd.concat([base.astype(object), awkward], ignore_index=True), base
