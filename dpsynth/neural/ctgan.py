"""``DPCTGAN``: a conditional generator against a critic that is trained with DP-SGD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from dpsynth.checkpoint import Course
from dpsynth.codec import CodecSettings
from dpsynth.columns import DiscreteCodes
from dpsynth.errors import UsageError
from dpsynth.neural.adversary import GeneratorLearner, PairLoss
from dpsynth.neural.base import DPSGDSettings, DPSGDSynthesizer, initial_generator
from dpsynth.neural.blocks import Blocks
from dpsynth.neural.chained import ChainedGenerator
from dpsynth.neural.conditions import Conditions
from dpsynth.neural.critic import Critic
from dpsynth.neural.dpsgd import TrainingSettings, best_device
from dpsynth.neural.ordinal import ordinal_basis
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, PlannedCharge

_NUMERIC_CODES = 20
_RAKING_ROWS = 16384
_SAMPLE_ROWS = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class CTGANSettings(DPSGDSettings):
    """Public hyper-parameters of :class:`DPCTGAN`, besides those of :class:`DPSGDSettings`.

    Parameters
    ----------
    hidden : int
        Width of the hidden layers of the generator.
    latent : int
        Dimensions of the latent normal.
    critic_hidden : int
        Hidden units of the critic.
    generator_rate : float
        Step size of the generator's Adam at the start.
    generator_rows : int
        Generated rows per update of the generator.
    critic_steps : int
        Steps of the critic for one update of the generator.
    marginal_weight : float
        Weight of the generator's divergence from the one-way counts that were bought.
    target_weight : float
        How often a declared target is the condition; the other columns have 1.
    averaged_share : float
        Share of the last updates over which the generator's weights are averaged.
    """

    hidden: int = 128
    latent: int = 16
    critic_hidden: int = 128
    generator_rate: float = 0.01
    generator_rows: int = 1000
    critic_steps: int = 5
    marginal_weight: float = 1.0
    target_weight: float = 1.0
    averaged_share: float = 0.3

    def training(self, units: int) -> TrainingSettings:
        """Return the settings of the DP-SGD loop."""
        return TrainingSettings(
            sampling_probability=self.sampling_probability,
            steps=self.steps,
            expected_units=float(units),
            learning_rate=self.learning_rate,
            averaged_share=0.0,
        )


class DPCTGAN(DPSGDSynthesizer[CTGANSettings]):
    """Conditional generator that follows a critic trained with DP-SGD.

    The generator makes a row around one given code of one column. The critic compares real rows,
    each with a partner that was generated around one of the row's own codes.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    codec : CodecSettings, optional
        Public sizes of the codec.
    settings : CTGANSettings, optional
        Hyper-parameters.

    Privacy
    -------
    The codec's histograms, then :func:`dpsynth.neural.dpsgd.train` on the critic: one clipped and
    noised step on rows and partners together. The generator sees the critic's noised weights and
    the counts that were bought; its updates, raking and sampling are post-processing.

    References
    ----------
    Xu, Skoularidou, Cuesta-Infante, Veeramachaneni, "Modeling Tabular Data using Conditional GAN",
    arXiv 1907.00503.
    Bie, Kamath, Zhang, "Private GANs, Revisited", arXiv 2302.02936.
    Jolicoeur-Martineau, "The relativistic discriminator", arXiv 1807.00734.
    """

    method: ClassVar[str] = "dp-ctgan"
    settings_type = CTGANSettings
    _network: ChainedGenerator

    def _default_codec(self, budget: Budget, units: int) -> CodecSettings:
        del budget, units
        return CodecSettings(numeric_codes=_NUMERIC_CODES)

    def _fit_codes(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        course: Course,
    ) -> tuple[PlannedCharge, ...]:
        device, first = best_device(), initial_generator(noise)
        self._network = self._make_network(first)
        self._start_biases()
        self._rake(first)
        self._network.to(device)
        critic = self._make_critic(first).to(device)
        learner = self._learner(critic, seed=noise.public_seed())
        ran = self._train(
            critic,
            self._pairs(critic, noise=noise),
            codes,
            unit_index,
            noise=noise,
            course=course,
            copies=2,
            companion=learner,
        )
        learner.finish()
        self._network.cpu()
        self._rake(first)
        return ran

    def _make_network(self, generator: torch.Generator) -> ChainedGenerator:
        roles = [column.role == "target" for column in self.schema.modelled]
        return ChainedGenerator(
            Blocks(self._codec.sizes),
            np.concatenate([codes.usable for codes in self._codec.codes.values()]),
            # A declared target comes last, so that all other columns tell of it directly.
            sorted(range(len(roles)), key=lambda index: roles[index]),
            latent=self._chosen.latent,
            hidden=self._chosen.hidden,
            generator=generator,
        )

    def _make_critic(self, generator: torch.Generator) -> Critic:
        return Critic(
            ordinal_basis(self.schema.modelled, list(self._codec.codes.values())),
            self._chosen.critic_hidden,
            generator=generator,
        )

    def _pairs(self, critic: Critic, *, noise: NoiseSource) -> PairLoss:
        return PairLoss(critic, self._network, self._conditions(), noise=noise)

    def _learner(self, critic: Critic, *, seed: int) -> GeneratorLearner:
        settings = self._chosen
        return GeneratorLearner(
            self._network,
            critic,
            self._conditions(),
            self._wanted_shares(),
            rows=settings.generator_rows,
            every=settings.critic_steps,
            steps=settings.steps,
            learning_rate=settings.generator_rate,
            marginal_weight=settings.marginal_weight,
            averaged_share=settings.averaged_share,
            seed=seed,
        )

    def _conditions(self) -> Conditions:
        weights = [
            self._chosen.target_weight if column.role == "target" else 1.0
            for column in self.schema.modelled
        ]
        usable = [codes.usable for codes in self._codec.codes.values()]
        return Conditions(list(self._codec.counts.values()), usable, weights)

    @torch.no_grad()
    def _start_biases(self) -> None:
        self._network.leave.bias.copy_(torch.cat(self._start_logits()))

    def _rake(self, rng: torch.Generator) -> None:
        coins = torch.rand(_RAKING_ROWS, 1 + len(self._codec.sizes), generator=rng)
        self._network.rake(
            self._wanted_shares(),
            torch.randn(_RAKING_ROWS, self._chosen.latent, generator=rng),
            self._conditions().draw(coins[:, 0]),
            coins[:, 1:],
            floor=self._share_floor,
        )

    def sample(
        self,
        n: int | None = None,
        *,
        seed: int | None = None,
        given: Mapping[str, str | bool] | None = None,
    ) -> pd.DataFrame:
        """Draw a synthetic table; a condition is post-processing as well.

        Parameters
        ----------
        n : int, optional
            Number of rows; by default the noisy number of rows that the fit bought, or the
            schema's public one.
        seed : int, optional
            Makes the draw repeatable.
        given : mapping of one str to level, optional
            A level of one discrete column that all rows have. The other columns are what the
            generator makes around it: learned like everything else, not exact.

        Returns
        -------
        DataFrame, shape (n, n_columns)

        Raises
        ------
        UsageError
            If more than one column is given, or the column or level is unknown.
        """
        n, rng = self._rows_and_generator(n, seed)
        place = None if not given else self._place(given)
        return self._codec.decode(self._draw_codes(n, rng, place), rng)

    def _place(self, given: Mapping[str, str | bool]) -> int:
        if len(given) != 1:
            raise UsageError(
                "dp-ctgan takes one column as given.", fix="use dp-autoregressive for several."
            )
        ((name, value),) = given.items()
        names = [column.name for column in self.schema.modelled]
        if not isinstance(self._codec.codes.get(name), DiscreteCodes):
            raise UsageError(
                f"there is no modelled discrete column {name!r}.", fix="see the schema."
            )
        return int(self._network.offsets[names.index(name)]) + self._level_code(name, value)

    def _sample_codes(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        return self._draw_codes(n, rng, None)

    @torch.no_grad()
    def _draw_codes(
        self, n: int, rng: np.random.Generator, place: int | None
    ) -> npt.NDArray[np.int32]:
        draws = torch.Generator().manual_seed(int(rng.integers(2**63)))
        conditions, generator = self._conditions(), self._network
        parts = []
        for start in range(0, n, _SAMPLE_ROWS):
            rows = min(_SAMPLE_ROWS, n - start)
            latent = torch.randn(rows, generator.latent, generator=draws)
            uniform = torch.rand(
                rows, 1 + len(generator.order), generator=draws, dtype=torch.float64
            )
            places = conditions.draw(uniform[:, 0])
            if place is not None:
                places = torch.full_like(places, place)
            parts.append(generator.rows(latent, places, uniform[:, 1:]))
        return torch.cat(parts).numpy().astype(np.int32)
