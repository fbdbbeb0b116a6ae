"""``DPVAE``: a variational autoencoder over blocks of codes, trained with DP-SGD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dpsynth.checkpoint import Course
from dpsynth.codec import CodecSettings
from dpsynth.neural.base import DPSGDSettings, DPSGDSynthesizer, initial_generator
from dpsynth.neural.blocks import BlockOutputs, Blocks
from dpsynth.neural.dpsgd import best_device
from dpsynth.neural.layers import CodeLinear
from dpsynth.neural.ordinal import ordinal_basis
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, PlannedCharge

_RAKING_ROUNDS = 8
_RAKING_ROWS = 8192
_SAMPLE_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class VAESettings(DPSGDSettings):
    """Public hyper-parameters of :class:`DPVAE`, besides those of :class:`DPSGDSettings`.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer of encoder and decoder.
    latent : int
        Dimensions of the latent normal.
    kl_weight : float
        Weight of the divergence of the latent code from the prior.
    target_weight : float
        Weight of a declared target's likelihood; the other columns have 1.
    """

    steps: int = 1000
    hidden: int = 128
    latent: int = 6
    kl_weight: float = 0.6
    target_weight: float = 2.0


def _linear(inputs: int, outputs: int) -> nn.Linear:
    # Without the default initialisation, which would read the global generator.
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    assert isinstance(layer, nn.Linear)
    return layer


class Decoder(nn.Module):
    """A latent point to logits, one hidden layer.

    Parameters
    ----------
    outputs : BlockOutputs
        Layout of the logits.
    settings : VAESettings
        Sizes.
    generator : torch.Generator
        Draws the initial weights; those of the last layer are 0.
    """

    def __init__(
        self, outputs: BlockOutputs, settings: VAESettings, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.expand = _linear(settings.latent, settings.hidden)
        self.leave = _linear(settings.hidden, outputs.width)
        with torch.no_grad():
            _uniform(self.expand, generator)
            self.leave.weight.zero_()
            self.leave.bias.zero_()

    def forward(self, latent: Tensor) -> Tensor:
        """Return outputs, shape (n_rows, outputs.width)."""
        return self.leave(torch.relu(self.expand(latent)))


class Encoder(nn.Module):
    """Codes of a row to mean and log-variance of its latent point, one hidden layer.

    Parameters
    ----------
    bases : sequence of ndarray of float32, shape (block size, width of the basis)
        Basis of each column.
    settings : VAESettings
        Sizes.
    generator : torch.Generator
        Draws the initial weights.
    """

    def __init__(
        self,
        bases: Sequence[npt.NDArray[np.float32]],
        settings: VAESettings,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        everything = np.ones((1, len(bases)), dtype=bool)
        self.enter = CodeLinear(bases, [0] * settings.hidden, everything)
        self.code = _linear(settings.hidden, 2 * settings.latent)
        bound = (3.0 / len(bases)) ** 0.5
        with torch.no_grad():
            self.enter.table.uniform_(-bound, bound, generator=generator)
            _uniform(self.code, generator)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, shape (n_rows, latent) each."""
        mean, log_variance = self.code(torch.relu(self.enter(codes))).chunk(2, dim=1)
        return mean, log_variance.clamp(-8.0, 8.0)


def _uniform(layer: nn.Linear, generator: torch.Generator) -> None:
    bound = (6.0 / (layer.in_features + layer.out_features)) ** 0.5
    layer.weight.uniform_(-bound, bound, generator=generator)
    layer.bias.zero_()


class VAENetwork(nn.Module):
    """Encoder and decoder.

    Parameters
    ----------
    encoder : Encoder
    decoder : Decoder
    kl_weight : float
        Weight of the divergence of the latent code from the prior.
    noise : NoiseSource
        Draws the latent noise. It is part of the mechanism: given the draws, another unit in a
        batch would shift everybody's, so that they must be as secret as the sample itself.
    """

    def __init__(
        self, encoder: Encoder, decoder: Decoder, *, kl_weight: float, noise: NoiseSource
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.kl_weight = kl_weight
        self.noise = noise

    def row_loss(self, codes: Tensor) -> Tensor:
        """Return the negative evidence bound of every row, shape (n_rows,), in nats."""
        mean, log_variance = self.encoder(codes)
        draws = torch.from_numpy(
            self.noise.generator.standard_normal(tuple(mean.shape), dtype=np.float32)
        ).to(mean.device)
        outputs = self.decoder(mean + draws * torch.exp(0.5 * log_variance))
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)
        fit = self.decoder.outputs.negative_log_likelihood(outputs, codes)
        return fit + self.kl_weight * divergence


class DPVAE(DPSGDSynthesizer[VAESettings]):
    """Variational autoencoder trained with DP-SGD.

    Every column is a block of codes with a softmax; ordered columns read and write through a
    shared basis of their ranks besides. The decoder's biases start from the noisy one-way counts
    and are raked to them after training.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    codec : CodecSettings, optional
        Public sizes of the codec.
    settings : VAESettings, optional
        Hyper-parameters; chosen from public quantities by default.

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
    settings_type = VAESettings
    _network: Decoder

    def _default_settings(self, budget: Budget, units: int, codec: CodecSettings) -> VAESettings:
        return VAESettings(codec_share=self._share_for_counts(budget, units, codec))

    def _fit_codes(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        course: Course,
    ) -> tuple[PlannedCharge, ...]:
        generator = initial_generator(noise)
        decoder = self._make_network(generator)
        self._start_biases(decoder)
        encoder = Encoder(self._bases(), self._chosen, generator=generator)
        network = VAENetwork(encoder, decoder, kl_weight=self._chosen.kl_weight, noise=noise)
        network = network.to(best_device())
        ran = self._train(
            network,
            network.row_loss,
            codes,
            unit_index,
            noise=noise,
            course=course,
        )
        self._network = decoder.cpu()
        self._rake(noise.generator)
        return ran

    def _make_network(self, generator: torch.Generator) -> Decoder:
        weights = [
            self._chosen.target_weight if column.role == "target" else 1.0
            for column in self.schema.modelled
        ]
        outputs = BlockOutputs(self._bases(), weights)
        return Decoder(outputs, self._chosen, generator=generator)

    def _bases(self) -> list[npt.NDArray[np.float32]]:
        return ordinal_basis(self.schema.modelled, list(self._codec.codes.values()))

    @torch.no_grad()
    def _start_biases(self, decoder: Decoder) -> None:
        for (start, _), logits in zip(decoder.outputs.spans, self._start_logits(), strict=True):
            decoder.leave.bias[start : start + len(logits)] = logits

    @torch.no_grad()
    def _rake(self, rng: np.random.Generator) -> None:
        """Shift the decoder's biases until its one-way shares are the ones that were bought."""
        points = rng.standard_normal((_RAKING_ROWS, self._chosen.latent)).astype(np.float32)
        latent = torch.from_numpy(points)
        bias, spans = self._network.leave.bias, self._network.outputs.spans
        for _ in range(_RAKING_ROUNDS):
            for (start, _), logits, wanted in zip(
                spans, self._logits(latent), self._wanted_shares(), strict=True
            ):
                shares = logits.softmax(1).mean(0) + self._share_floor
                bias[start : start + len(shares)] += torch.log(wanted / shares)

    def _logits(self, latent: Tensor) -> list[Tensor]:
        logits = self._network.outputs.all_logits(self._network(latent))
        return [
            part.masked_fill(~usable, -1e9)
            for part, usable in zip(logits, self._usable(), strict=True)
        ]

    @torch.no_grad()
    def _sample_codes(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        generator = torch.Generator()
        generator.manual_seed(int(rng.integers(2**63)))
        blocks = Blocks(self._codec.sizes)
        parts = []
        for start in range(0, n, _SAMPLE_ROWS):
            size = min(_SAMPLE_ROWS, n - start)
            latent = torch.randn(size, self._chosen.latent, generator=generator)
            parts.append(blocks.sample(torch.cat(self._logits(latent), dim=1), generator))
        return torch.cat(parts).numpy().astype(np.int32)
