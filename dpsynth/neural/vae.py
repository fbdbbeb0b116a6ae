"""``DPVAE``: a variational autoencoder over one-hot blocks, trained with DP-SGD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dpsynth.calibration import calibrate
from dpsynth.codec import CodecSettings
from dpsynth.neural.blocks import Blocks
from dpsynth.neural.dpsgd import TrainingSettings, UnitRows, best_device, train
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, Plan, PlannedCharge, PoissonSampledGaussian
from dpsynth.schema import Schema
from dpsynth.synthesizer import Lease, Progress, Synthesizer

TRAINING = "DP-SGD"

_CODEC_SHARE = 0.12
_RAKING_ROUNDS = 8
_RAKING_ROWS = 8192
_SAMPLE_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class VAESettings:
    """Public hyper-parameters of :class:`DPVAE`.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer of encoder and decoder.
    latent : int
        Dimensions of the latent normal.
    sampling_probability : float
        Chance of a unit to be in a step.
    steps : int
        DP-SGD steps.
    learning_rate : float
        Step size of Adam at the start.
    kl_weight : float
        Weight of the divergence of the latent code from the prior.
    """

    hidden: int = 128
    latent: int = 6
    sampling_probability: float = 0.05
    steps: int = 1000
    learning_rate: float = 0.01
    kl_weight: float = 0.6

    def training(self, units: int) -> TrainingSettings:
        """Return the settings of the DP-SGD loop."""
        return TrainingSettings(
            sampling_probability=self.sampling_probability,
            steps=self.steps,
            expected_units=float(units),
            learning_rate=self.learning_rate,
        )


def _linear(inputs: int, outputs: int) -> nn.Linear:
    # Without the default initialisation, which would read the global generator.
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    assert isinstance(layer, nn.Linear)
    return layer


class VAENetwork(nn.Module):
    """Encoder and decoder over one-hot blocks, linear layers only.

    Parameters
    ----------
    blocks : Blocks
        Layout of the rows.
    settings : VAESettings
        Sizes.
    generator : torch.Generator
        Draws the initial weights.
    noise : NoiseSource
        Draws the latent noise. It is part of the mechanism: given the draws, another unit in a
        batch would shift everybody's, so that they must be as secret as the sample itself.
    """

    def __init__(
        self,
        blocks: Blocks,
        settings: VAESettings,
        *,
        generator: torch.Generator,
        noise: NoiseSource,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.noise = noise
        self.kl_weight = settings.kl_weight
        self.latent = settings.latent
        self.enter = _linear(blocks.width, settings.hidden)
        self.code = _linear(settings.hidden, 2 * settings.latent)
        self.expand = _linear(settings.latent, settings.hidden)
        self.leave = _linear(settings.hidden, blocks.width)
        self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        for layer in (self.enter, self.code, self.expand):
            bound = (6.0 / (layer.in_features + layer.out_features)) ** 0.5
            # One entry per column of a one-hot row is set: the fan-in is the number of columns.
            if layer is self.enter:
                bound = (3.0 / len(self.blocks.sizes)) ** 0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.zero_()
        self.leave.weight.zero_()
        self.leave.bias.zero_()

    def decode(self, latent: Tensor) -> Tensor:
        """Return logits, shape (n_rows, width)."""
        return self.leave(torch.relu(self.expand(latent)))

    def row_loss(self, codes: Tensor) -> Tensor:
        """Return the negative evidence bound of every row, shape (n_rows,), in nats."""
        hidden = torch.relu(self.enter(self.blocks.one_hot(codes)))
        mean, log_variance = self.code(hidden).chunk(2, dim=1)
        log_variance = log_variance.clamp(-8.0, 8.0)
        draws = torch.from_numpy(
            self.noise.generator.standard_normal(tuple(mean.shape), dtype=np.float32)
        ).to(mean.device)
        latent = mean + draws * torch.exp(0.5 * log_variance)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)
        fit = self.blocks.cross_entropy(self.decode(latent), codes)
        return fit + self.kl_weight * divergence


class DPVAE(Synthesizer):
    """Variational autoencoder trained with DP-SGD.

    Every column is a block of codes with a softmax; the decoder's biases start from the noisy
    one-way counts and are raked to them after training.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    codec : CodecSettings, optional
        Public sizes of the codec.
    settings : VAESettings, optional
        Hyper-parameters.

    Privacy
    -------
    The codec's histograms, then :func:`dpsynth.neural.dpsgd.train` on encoder and decoder.
    Initial biases, averaging, raking and sampling are post-processing.

    References
    ----------
    Kingma and Welling, "Auto-Encoding Variational Bayes", arXiv 1312.6114.
    Abadi et al., "Deep Learning with Differential Privacy", arXiv 1607.00133.
    """

    method: ClassVar[str] = "dp-vae"

    def __init__(
        self,
        schema: Schema,
        *,
        codec: CodecSettings | None = None,
        settings: VAESettings | None = None,
    ) -> None:
        super().__init__(schema, codec=codec)
        self.settings = settings or VAESettings()
        self._decoder: dict[str, Tensor]

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
        network = VAENetwork(
            Blocks(self._codec.sizes),
            self.settings,
            generator=torch.Generator().manual_seed(noise.public_seed()),
            noise=noise,
        ).to(device)
        self._start_biases(network)
        mechanism = self.plan_.mechanism(TRAINING)
        assert isinstance(mechanism, PoissonSampledGaussian)
        ran = train(
            network,
            network.row_loss,
            UnitRows.arrange(codes, unit_index, max_rows=self.schema.unit.max_rows, device=device),
            settings=self.settings.training(int(self.plan_.parameters["expected_units"])),
            mechanism=mechanism,
            noise=noise,
            progress=progress,
            lease=None if lease is None else partial(lease, TRAINING),
        )
        self._decoder = {
            f"{name}.{part}": getattr(getattr(network, name), part).detach().cpu().clone()
            for name in ("expand", "leave")
            for part in ("weight", "bias")
        }
        self._rake(noise.generator)
        return (PlannedCharge(step=TRAINING, mechanism=ran),)

    @torch.no_grad()
    def _start_biases(self, network: VAENetwork) -> None:
        start = np.concatenate([np.log(c + 1.0) for c in self._codec.counts.values()])
        parts = torch.from_numpy(start).float().split(network.blocks.sizes)
        network.leave.bias.copy_(torch.cat([part - part.max() for part in parts]))

    @torch.no_grad()
    def _rake(self, rng: np.random.Generator) -> None:
        """Shift the decoder's biases until its one-way shares are the ones that were bought."""
        wanted = torch.from_numpy(
            np.concatenate([c / max(c.sum(), 1e-9) for c in self._codec.counts.values()])
        ).float()
        latent = torch.from_numpy(
            rng.standard_normal((_RAKING_ROWS, self.settings.latent)).astype(np.float32)
        )
        floor = 1.0 / (10.0 * max(self._codec.rows, 1.0))
        for _ in range(_RAKING_ROUNDS):
            shares = self._blocks.probabilities(self._logits(latent)).mean(0)
            self._decoder["leave.bias"] += torch.log((wanted + floor) / (shares + floor))

    @property
    def _blocks(self) -> Blocks:
        return Blocks(self._codec.sizes)

    def _logits(self, latent: Tensor) -> Tensor:
        d = self._decoder
        hidden = torch.relu(latent @ d["expand.weight"].T + d["expand.bias"])
        logits = hidden @ d["leave.weight"].T + d["leave.bias"]
        usable = np.concatenate([codes.usable for codes in self._codec.codes.values()])
        return logits.masked_fill(~torch.from_numpy(usable), -1e9)

    @torch.no_grad()
    def _sample_codes(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        generator = torch.Generator()
        generator.manual_seed(int(rng.integers(2**63)))
        parts = []
        for start in range(0, n, _SAMPLE_ROWS):
            size = min(_SAMPLE_ROWS, n - start)
            latent = torch.randn(size, self.settings.latent, generator=generator)
            parts.append(self._blocks.sample(self._logits(latent), generator))
        return torch.cat(parts).numpy().astype(np.int32)

    def _arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        return {name: np.ascontiguousarray(part.numpy()) for name, part in self._decoder.items()}

    def _restore(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._decoder = {name: torch.from_numpy(part.copy()) for name, part in arrays.items()}

    @classmethod
    def _rebuild(cls, schema: Schema, plan: Plan) -> Self:
        parameters = plan.parameters
        return cls(
            schema,
            codec=CodecSettings(**parameters["codec"]),
            settings=VAESettings(**parameters["settings"]),
        )
