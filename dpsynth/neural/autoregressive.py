"""``DPAutoregressive``: a masked autoregressive network over blocks of codes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from dpsynth.checkpoint import Course
from dpsynth.codec import CodecSettings
from dpsynth.columns import NumericCodes
from dpsynth.errors import UsageError
from dpsynth.neural.autoregressive_network import AutoregressiveNetwork, Draw
from dpsynth.neural.base import DPSGDSettings, DPSGDSynthesizer, initial_generator
from dpsynth.neural.dpsgd import best_device
from dpsynth.neural.ordinal import ordinal_basis
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, PlannedCharge
from dpsynth.schema import Schema

T = TypeVar("T")

_NUMERIC_CODES, _FEW_CODES = 20, 12
_FEW_UNITS = 8_000
_RAKING_ROUNDS = 12
_RAKING_ROWS = 16384
_SAMPLE_ROWS = 16384
_OVERSAMPLING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoregressiveSettings(DPSGDSettings):
    """Public hyper-parameters of :class:`DPAutoregressive`, besides :class:`DPSGDSettings`.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer; 0 for linear connections alone.
    target_weight : float
        Weight of a declared target's likelihood; the other columns have 1.
    """

    hidden: int = 64
    target_weight: float = 2.0


class DPAutoregressive(DPSGDSynthesizer[AutoregressiveSettings]):
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
        Hyper-parameters; chosen from public quantities by default.

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

    settings_type = AutoregressiveSettings
    _network: AutoregressiveNetwork

    def __init__(
        self,
        schema: Schema,
        *,
        codec: CodecSettings | None = None,
        settings: AutoregressiveSettings | None = None,
    ) -> None:
        super().__init__(schema, codec=codec, settings=settings)
        # A declared target comes last, so that all other columns tell of it directly.
        roles = [column.role == "target" for column in schema.modelled]
        self._order = sorted(range(len(roles)), key=lambda index: roles[index])

    def _default_codec(self, budget: Budget, units: int) -> CodecSettings:
        return CodecSettings(
            numeric_codes=_FEW_CODES if _is_small(budget, units) else _NUMERIC_CODES
        )

    def _default_settings(
        self, budget: Budget, units: int, codec: CodecSettings
    ) -> AutoregressiveSettings:
        return AutoregressiveSettings(
            codec_share=self._share_for_counts(budget, units, codec),
            hidden=0 if _is_small(budget, units) else 64,
        )

    def _fit_codes(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        course: Course,
    ) -> tuple[PlannedCharge, ...]:
        network = self._make_network(initial_generator(noise))
        self._start_biases(network)
        network = network.to(best_device())
        ran = self._train(
            network,
            network.row_loss,
            codes[:, self._order],
            unit_index,
            noise=noise,
            course=course,
        )
        self._network = network.cpu()
        self._rake(noise.generator)
        return ran

    def _make_network(self, generator: torch.Generator) -> AutoregressiveNetwork:
        codes = list(self._codec.codes.values())
        bases = ordinal_basis(self.schema.modelled, codes)
        chosen = self._chosen
        weights = [
            chosen.target_weight if column.role == "target" else 1.0
            for column in self.schema.modelled
        ]
        return AutoregressiveNetwork(
            self._ordered(bases), self._ordered(weights), chosen.hidden, generator=generator
        )

    def _ordered(self, parts: Sequence[T]) -> list[T]:
        """Return what belongs to columns in the order in which they are drawn."""
        return [parts[index] for index in self._order]

    @torch.no_grad()
    def _start_biases(self, network: AutoregressiveNetwork) -> None:
        assert network.direct.bias is not None
        for (start, _), logits in zip(
            network.spans, self._ordered(self._start_logits()), strict=True
        ):
            network.direct.bias[start : start + len(logits)] = logits

    @torch.no_grad()
    def _rake(self, rng: np.random.Generator) -> None:
        """Shift the biases, column after column, until shares are those that were bought."""
        wanted = self._ordered(self._wanted_shares())
        usable = self._ordered(self._usable())
        bias = self._network.direct.bias
        assert bias is not None

        def adjust(column: int, logits: Tensor) -> Tensor:
            logits = logits.masked_fill(~usable[column], -1e9)
            shift = torch.zeros(logits.shape[1])
            for _ in range(_RAKING_ROUNDS):
                shares = (logits + shift).softmax(1).mean(0) + self._share_floor
                shift += torch.log(wanted[column] / shares)
            start, _ = self._network.spans[column]
            bias[start : start + len(shift)] += shift
            return draw(column, logits + shift)

        generator = torch.Generator()
        generator.manual_seed(int(rng.integers(2**63)))
        draw = Draw(generator, usable, {}, 1.0, _RAKING_ROWS)
        self._network.sample(_RAKING_ROWS, adjust)

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
        places = {place: code for place, code, _ in conditions.values()}
        codes = self._draw_codes(n, rng, places, temperature)
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
            code = self._level_code(name, value)
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
        usable = self._ordered(self._usable())
        # What is given first needs no weighing.
        exact = sorted(given) == list(range(len(given)))
        parts = []
        for start in range(0, n, _SAMPLE_ROWS):
            rows = min(_SAMPLE_ROWS, n - start)
            tries = rows if exact else _OVERSAMPLING * rows
            draw = Draw(generator, usable, given, temperature, tries)
            drawn = self._network.sample(tries, draw)
            if not exact:
                weights = draw.log_weights.double().softmax(0)
                drawn = drawn[torch.multinomial(weights, rows, True, generator=generator)]
            parts.append(drawn)
        codes = torch.cat(parts).numpy().astype(np.int32)
        return codes[:, np.argsort(self._order)]


def _is_small(budget: Budget, units: int) -> bool:
    """Tell whether noise leaves nothing for a hidden layer to learn, nor for many codes."""
    return units * min(budget.epsilon, 1.0) < _FEW_UNITS


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
