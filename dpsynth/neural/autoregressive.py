"""``DPAutoregressive``: a masked autoregressive network over blocks of codes, trained with DP-SGD."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from dpsynth.calibration import calibrate
from dpsynth.codec import CodecSettings
from dpsynth.columns import NumericCodes
from dpsynth.errors import UsageError
from dpsynth.neural.dpsgd import TrainingSettings, UnitRows, best_device, train
from dpsynth.neural.layers import CodeLinear, MaskedLinear
from dpsynth.neural.ordinal import ordinal_basis
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, Plan, PlannedCharge, PoissonSampledGaussian
from dpsynth.schema import Schema, canonical_level
from dpsynth.synthesizer import Lease, Progress, Synthesizer

TRAINING = "DP-SGD"

_CODEC_SHARE = 0.12
_NUMERIC_CODES = 20
_RAKING_ROUNDS = 12
_RAKING_ROWS = 16384
_SAMPLE_ROWS = 16384
_OVERSAMPLING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoregressiveSettings:
    """Public hyper-parameters of :class:`DPAutoregressive`.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer; 0 for linear connections alone.
    sampling_probability : float
        Chance of a unit to be in a step.
    steps : int
        DP-SGD steps.
    learning_rate : float
        Step size of Adam at the start.
    target_weight : float
        Weight of a declared target's likelihood; the other columns have 1.
    """

    hidden: int = 64
    sampling_probability: float = 0.05
    steps: int = 1500
    learning_rate: float = 0.01
    target_weight: float = 1.5

    def training(self, units: int) -> TrainingSettings:
        """Return the settings of the DP-SGD loop."""
        return TrainingSettings(
            sampling_probability=self.sampling_probability,
            steps=self.steps,
            expected_units=float(units),
            learning_rate=self.learning_rate,
        )


class AutoregressiveNetwork(nn.Module):
    """Every block of logits is a function of the blocks before it.

    Parameters
    ----------
    bases : sequence of ndarray of float32, shape (block size, width of the basis)
        Basis of each column, in the order in which columns are drawn.
    weights : sequence of float
        Weight of each column's likelihood.
    hidden : int
        Width of the hidden layer.
    generator : torch.Generator
        Draws the initial weights.
    """

    def __init__(
        self,
        bases: Sequence[npt.NDArray[np.float32]],
        weights: Sequence[float],
        hidden: int,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.sizes = [len(part) for part in bases]
        self.weights = list(weights)
        widths = [sum(part.shape) for part in bases]  # free logits, then slopes along the basis
        ends = np.cumsum(widths)
        self.spans = list(zip((ends - widths).tolist(), ends.tolist(), strict=True))
        for index, part in enumerate(bases):
            self.register_buffer(f"basis_{index}", torch.from_numpy(part.T.copy()))
        columns = np.arange(len(bases))
        out_groups = np.repeat(columns, widths)
        # A hidden unit of degree k sees the columns up to k and is seen by those after k.
        degrees = np.sort(np.arange(hidden) % max(1, len(bases) - 1))
        self.direct = CodeLinear(bases, out_groups.tolist(), columns[:, None] > columns[None, :])
        self.enter = CodeLinear(bases, degrees.tolist(), columns[:, None] >= columns[None, :])
        self.leave = MaskedLinear(
            degrees.tolist(), out_groups.tolist(), columns[:, None] > columns[None, :], bias=False
        )
        bound = (3.0 / len(bases)) ** 0.5
        with torch.no_grad():
            self.enter.table.uniform_(-bound, bound, generator=generator)

    def basis(self, column: int) -> Tensor:
        """Return the basis of a column, shape (width, block size)."""
        return self.get_buffer(f"basis_{column}")

    def logits(self, outputs: Tensor, column: int) -> Tensor:
        """Return the logits of a column, shape (n_rows, block size), from its span of outputs."""
        size, basis = self.sizes[column], self.basis(column)
        free = outputs[:, :size]
        return free + outputs[:, size:] @ basis if len(basis) else free

    def row_loss(self, codes: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood of every row, shape (n_rows,), in nats."""
        outputs = self.direct(codes) + self.leave(torch.relu(self.enter(codes)))
        total = torch.zeros(len(codes), device=outputs.device)
        for column, (start, end) in enumerate(self.spans):
            logits = self.logits(outputs[:, start:end], column)
            loss = functional.cross_entropy(logits, codes[:, column], reduction="none")
            total = total + self.weights[column] * loss
        return total

    @torch.no_grad()
    def sample(self, n: int, draw: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Draw codes column by column, shape (n, n_columns)."""
        hidden = self.enter.bias.repeat(n, 1)  # type: ignore[union-attr]
        outputs = self.direct.bias.repeat(n, 1)  # type: ignore[union-attr]
        enter, direct, leave = (
            layer.effective() for layer in (self.enter, self.direct, self.leave)
        )
        drawn = torch.zeros(n, len(self.sizes), dtype=torch.int64)
        for column, (start, end) in enumerate(self.spans):
            leaving = torch.relu(hidden) @ leave[start:end].T
            logits = self.logits(outputs[:, start:end] + leaving, column)
            codes = draw(column, logits)
            drawn[:, column] = codes
            place = codes + self.enter.offsets[column]
            hidden = hidden + enter[place]
            outputs = outputs + direct[place]
        return drawn


class _Draw:
    """Draws codes of one column after the other; given columns keep their code.

    Parameters
    ----------
    generator : torch.Generator
        Where the draws come from.
    usable : sequence of Tensor of bool
        Codes that may be emitted, per column in the order of drawing.
    given : mapping of int to int
        Code by column.
    temperature : float
        Divides the logits.
    rows : int
        Number of rows.

    Attributes
    ----------
    log_weights : Tensor, shape (rows,)
        Log-likelihood of what was given, given what was drawn before it.
    """

    def __init__(
        self,
        generator: torch.Generator,
        usable: Sequence[Tensor],
        given: Mapping[int, int],
        temperature: float,
        rows: int,
    ) -> None:
        self._generator, self.usable, self._given = generator, usable, given
        self._temperature = temperature
        self.log_weights = torch.zeros(rows)

    def __call__(self, column: int, logits: Tensor) -> Tensor:
        logits = logits.masked_fill(~self.usable[column], -1e9) / self._temperature
        if column in self._given:
            code = self._given[column]
            self.log_weights += logits.log_softmax(1)[:, code]
            return torch.full((len(logits),), code)
        uniform = torch.rand(logits.shape, generator=self._generator)
        return (logits - torch.log(-torch.log(uniform.clamp(min=1e-20)))).argmax(1)


class DPAutoregressive(Synthesizer):
    """Masked autoregressive network trained with DP-SGD.

    Every column is a block of codes with a softmax; its logits follow from the columns before it,
    linearly and through one hidden layer. Ordered columns read and write through a shared basis of
    their ranks besides.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    codec : CodecSettings, optional
        Public sizes of the codec.
    settings : AutoregressiveSettings, optional
        Hyper-parameters.

    Privacy
    -------
    The codec's histograms, then :func:`dpsynth.neural.dpsgd.train` on the network. The order of
    columns follows from the schema; initial biases, averaging and sampling, conditions and
    temperature included, are post-processing.

    References
    ----------
    Germain, Gregor, Murray, Larochelle, "MADE", arXiv 1502.03509.
    Abadi et al., "Deep Learning with Differential Privacy", arXiv 1607.00133.
    """

    method: ClassVar[str] = "dp-autoregressive"

    def __init__(
        self,
        schema: Schema,
        *,
        codec: CodecSettings | None = None,
        settings: AutoregressiveSettings | None = None,
    ) -> None:
        super().__init__(schema, codec=codec)
        self.settings = settings or AutoregressiveSettings()
        self._network: AutoregressiveNetwork
        # A declared target comes last, so that all other columns tell of it directly.
        roles = [column.role == "target" for column in schema.modelled]
        self._order = sorted(range(len(roles)), key=lambda index: roles[index])

    def _default_codec(self) -> CodecSettings:
        return CodecSettings(numeric_codes=_NUMERIC_CODES)

    def _plan_charges(
        self, budget: Budget, units: int
    ) -> tuple[tuple[PlannedCharge, ...], dict[str, Any]]:
        bought = self._codec_charges(budget, share=_CODEC_SHARE)
        training = self.settings.training(units)

        def at(scale: float) -> PoissonSampledGaussian:
            return training.event(noise_multiplier=scale, unit=self.schema.unit)

        fixed = [charge.mechanism for charge in bought]
        scale = calibrate(lambda s: [*fixed, at(s)], budget)
        charges = (*bought, PlannedCharge(step=TRAINING, mechanism=at(scale)))
        return charges, {"settings": asdict(self.settings)}

    def _fit_codes(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        progress: Progress | None,
        lease: Lease | None,
    ) -> tuple[PlannedCharge, ...]:
        device = best_device()
        network = self._make_network(torch.Generator().manual_seed(noise.public_seed()))
        self._start_biases(network)
        network = network.to(device)
        mechanism = self.plan_.mechanism(TRAINING)
        assert isinstance(mechanism, PoissonSampledGaussian)
        ran = train(
            network,
            network.row_loss,
            UnitRows.arrange(
                codes[:, self._order],
                unit_index,
                max_rows=self.schema.unit.max_rows,
                device=device,
            ),
            settings=self.settings.training(int(self.plan_.parameters["expected_units"])),
            mechanism=mechanism,
            noise=noise,
            progress=progress,
            lease=None if lease is None else partial(lease, TRAINING),
        )
        self._network = network.cpu()
        self._rake(noise.generator)
        return (PlannedCharge(step=TRAINING, mechanism=ran),)

    def _make_network(self, generator: torch.Generator) -> AutoregressiveNetwork:
        codes = list(self._codec.codes.values())
        bases = ordinal_basis(self.schema.modelled, codes)
        weights = [
            self.settings.target_weight if column.role == "target" else 1.0
            for column in self.schema.modelled
        ]
        return AutoregressiveNetwork(
            [bases[index] for index in self._order],
            [weights[index] for index in self._order],
            self.settings.hidden,
            generator=generator,
        )

    @torch.no_grad()
    def _start_biases(self, network: AutoregressiveNetwork) -> None:
        counts = list(self._codec.counts.values())
        assert network.direct.bias is not None
        for (start, _), index in zip(network.spans, self._order, strict=True):
            start_logits = torch.from_numpy(np.log(counts[index] + 1.0)).float()
            network.direct.bias[start : start + len(start_logits)] = (
                start_logits - start_logits.max()
            )

    @torch.no_grad()
    def _rake(self, rng: np.random.Generator) -> None:
        """Shift the biases, column after column, until shares are those that were bought."""
        counts = list(self._codec.counts.values())
        bias = self._network.direct.bias
        assert bias is not None
        floor = 1.0 / (10.0 * max(self._codec.rows, 1.0))

        def adjust(column: int, logits: Tensor) -> Tensor:
            wanted = torch.from_numpy(counts[self._order[column]]).float()
            wanted = wanted / wanted.sum().clamp(min=1e-9) + floor
            logits = logits.masked_fill(~draw.usable[column], -1e9)
            shift = torch.zeros(logits.shape[1])
            for _ in range(_RAKING_ROUNDS):
                shares = (logits + shift).softmax(1).mean(0) + floor
                shift += torch.log(wanted / shares)
            start, _ = self._network.spans[column]
            bias[start : start + len(shift)] += shift
            return draw(column, logits + shift)

        generator = torch.Generator()
        generator.manual_seed(int(rng.integers(2**63)))
        draw = _Draw(generator, self._usable(), {}, 1.0, _RAKING_ROWS)
        self._network.sample(_RAKING_ROWS, adjust)

    def _usable(self) -> list[Tensor]:
        usable = [torch.from_numpy(codes.usable) for codes in self._codec.codes.values()]
        return [usable[index] for index in self._order]

    def sample(
        self,
        n: int | None = None,
        *,
        seed: int | None = None,
        given: Mapping[str, object] | None = None,
        temperature: float = 1.0,
    ) -> pd.DataFrame:
        """Draw a synthetic table; conditions and temperature are post-processing as well.

        Parameters
        ----------
        n : int, optional
            Number of rows; by default the noisy number of rows that the fit bought, or the
            schema's public one.
        seed : int, optional
            Makes the draw repeatable.
        given : mapping of str to value, optional
            Values of columns that all rows have; ``None`` is null. Rows are drawn as the model
            holds them to be among those: exactly where the given columns are drawn first, else by
            resampling eight times as many.
        temperature : float
            Above 1 makes columns more even, below 1 more certain. The guarantee does not change.

        Returns
        -------
        DataFrame, shape (n, n_columns)

        Raises
        ------
        UsageError
            If a column or a level is unknown, or the temperature is not positive.
        """
        n, rng = self._rows_and_generator(n, seed)
        if not (math.isfinite(temperature) and temperature > 0):
            raise UsageError(f"temperature must be a positive number, got {temperature}.")
        conditions = {name: self._condition(name, value) for name, value in (given or {}).items()}
        codes = self._draw_codes(
            n, rng, {p: code for p, code, _ in conditions.values()}, temperature
        )
        frame = self._codec.decode(codes, rng)
        for name, (_, _, number) in conditions.items():
            if number is not None:
                # A bin holds more than the one value that was asked for.
                frame[name] = np.full(n, number).astype(frame[name].dtype)
        return frame

    def _condition(self, name: str, value: object) -> tuple[int, int, float | None]:
        """Return place, code and, for a number, the value itself."""
        names = [column.name for column in self.schema.modelled]
        if name not in names:
            raise UsageError(
                f"there is no modelled column {name!r} to condition on.", fix="see the schema."
            )
        index = names.index(name)
        codes = self._codec.codes[name]
        number = None
        if value is None:
            code = codes.capacity
        elif isinstance(codes, NumericCodes):
            number = _number(value, name)
            code = int(codes.encode(np.array([number]))[0])
        else:
            column = self.schema.column(name)
            level = canonical_level(str(value), whole=column.whole_levels)
            level = level.lower() if isinstance(value, bool) else level
            if level not in codes.levels:
                raise UsageError(
                    "the model has no such level.", column=name, fix="name a declared category."
                )
            code = codes.levels.index(level)
        if not codes.usable[code]:
            raise UsageError("this value is never drawn.", column=name, fix="choose another.")
        return self._order.index(index), code, number

    def _sample_codes(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        return self._draw_codes(n, rng, {}, 1.0)

    def _draw_codes(
        self, n: int, rng: np.random.Generator, given: Mapping[int, int], temperature: float
    ) -> npt.NDArray[np.int32]:
        generator = torch.Generator()
        generator.manual_seed(int(rng.integers(2**63)))
        usable = self._usable()
        # What is given first needs no weighing.
        exact = sorted(given) == list(range(len(given)))
        parts = []
        for start in range(0, n, _SAMPLE_ROWS):
            rows = min(_SAMPLE_ROWS, n - start)
            tries = rows if exact else _OVERSAMPLING * rows
            draw = _Draw(generator, usable, given, temperature, tries)
            drawn = self._network.sample(tries, draw)
            if not exact:
                weights = draw.log_weights.double().softmax(0)
                drawn = drawn[torch.multinomial(weights, rows, True, generator=generator)]
            parts.append(drawn)
        codes = torch.cat(parts).numpy().astype(np.int32)
        return codes[:, np.argsort(self._order)]

    def _arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        return {
            name: np.ascontiguousarray(part.detach().numpy())
            for name, part in self._network.named_parameters()
        }

    def _restore(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._network = self._make_network(torch.Generator())
        with torch.no_grad():
            for name, part in self._network.named_parameters():
                part.copy_(torch.from_numpy(arrays[name].copy()))

    @classmethod
    def _rebuild(cls, schema: Schema, plan: Plan) -> Self:
        parameters = plan.parameters
        return cls(
            schema,
            codec=CodecSettings(**parameters["codec"]),
            settings=AutoregressiveSettings(**parameters["settings"]),
        )


def _number(value: object, column: str) -> float:
    """Return a number, or a date in its column's unit since 1970."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(
            "a numeric column is given a number (a date: units since 1970).", column=column
        )
    return number
