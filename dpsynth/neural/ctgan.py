"""``DPCTGAN``: a conditional generator against a critic that is trained with DP-SGD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from dpsynth.calibration import calibrate
from dpsynth.codec import CodecSettings
from dpsynth.neural.blocks import Blocks
from dpsynth.neural.dpsgd import TrainingSettings, UnitRows, best_device, train
from dpsynth.neural.generator import BlockGenerator, linear, rake
from dpsynth.neural.layers import CodeLinear
from dpsynth.neural.ordinal import ordinal_basis
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, Plan, PlannedCharge, PoissonSampledGaussian
from dpsynth.schema import Schema
from dpsynth.synthesizer import Lease, Progress, Synthesizer

TRAINING = "DP-SGD"

_CODEC_SHARE = 0.12
_NUMERIC_CODES = 20
_RAKING_ROWS = 16384
_SAMPLE_ROWS = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class CTGANSettings:
    """Public hyper-parameters of :class:`DPCTGAN`.
    """

    hidden: int = 128
    critic_hidden: int = 128
    latent: int = 16
    sampling_probability: float = 0.05
    steps: int = 1500
    learning_rate: float = 0.01
    generator_rate: float = 0.005
    generator_rows: int = 1000
    critic_steps: int = 5
    averaged_share: float = 0.3
    marginal_weight: float = 1.0
    temperature: float = 1.0
    slope: float = 0.2
    loss: str = "pair"
    ema: float = 0.0
    lr_floor: float = 0.0
    g_floor: float = 0.0
    direct: float = 1.0
    conditional: bool = True
    layers: int = 2
    target_weight: float = 1.0
    decay: float = 0.0
    clip: float = 1.0
    beta1: float = 0.9
    rake: bool = True
    basis: bool = True
    gbeta1: float = 0.9
    see: bool = False

    def training(self, units: int) -> TrainingSettings:
        """Return the settings of the DP-SGD loop."""
        return TrainingSettings(
            sampling_probability=self.sampling_probability,
            steps=self.steps,
            expected_units=float(units),
            learning_rate=self.learning_rate,
            averaged_share=0.0,
            clip_norm=self.clip,
        )


class Critic(nn.Module):
    def __init__(self, bases, settings, *, generator) -> None:
        super().__init__()
        hidden = settings.critic_hidden
        self.slope = settings.slope
        self.layers = settings.layers
        one = np.ones((1, len(bases)), dtype=bool)
        self.enter = CodeLinear(bases, [0] * hidden, one)
        self.direct = CodeLinear(bases, [0], one, bias=False)
        if self.layers == 2:
            self.middle = linear(hidden, hidden)
        self.leave = linear(hidden, 1)
        with torch.no_grad():
            bound = (3.0 / len(bases)) ** 0.5
            self.enter.table.uniform_(-bound, bound, generator=generator)
            for layer in ((self.middle,self.leave) if self.layers == 2 else (self.leave,)):
                bound = (3.0 / hidden) ** 0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()

    def forward(self, codes: Tensor) -> Tensor:
        hidden = functional.leaky_relu(self.enter(codes), self.slope)
        if self.layers == 2:
            hidden = functional.leaky_relu(self.middle(hidden), self.slope)
        return self.leave(hidden).squeeze(1) + self.direct(codes).squeeze(1)


class DPCTGAN(Synthesizer):
    method: ClassVar[str] = "dp-ctgan"

    def __init__(self, schema, *, codec=None, settings=None) -> None:
        super().__init__(schema, codec=codec)
        self.settings = settings or CTGANSettings()
        self._generator: BlockGenerator

    def _default_codec(self) -> CodecSettings:
        return CodecSettings(numeric_codes=_NUMERIC_CODES)

    def _plan_charges(self, budget, units):
        bought = self._codec_charges(budget, share=_CODEC_SHARE)
        training = self.settings.training(units)

        def at(scale: float) -> PoissonSampledGaussian:
            return training.event(noise_multiplier=scale, unit=self.schema.unit)

        fixed = [charge.mechanism for charge in bought]
        scale = calibrate(lambda s: [*fixed, at(s)], budget)
        charges = (*bought, PlannedCharge(step=TRAINING, mechanism=at(scale)))
        return charges, {"settings": asdict(self.settings)}

    def _fit_codes(self, codes, unit_index, *, noise, progress, lease):
        device = best_device()
        s = self.settings
        init = torch.Generator().manual_seed(noise.public_seed())
        counts = list(self._codec.counts.values())
        gen = self._make_generator(init)
        gen.start_from_counts(counts)
        bases = ordinal_basis(self.schema.modelled, list(self._codec.codes.values()))
        if not s.basis:
            bases = [b[:, :0] for b in bases]
        critic = Critic(bases, s, generator=init)
        conditions = Conditions(counts, gen, self._weights())
        if s.conditional:
            self._rake(gen, conditions, init)
        else:
            rake(gen, counts, torch.randn(_RAKING_ROWS, s.latent, generator=init))
        wanted = torch.cat([torch.from_numpy(c / max(c.sum(), 1e-9)).float() for c in counts])
        secret = noise

        def row_loss(rows: Tensor) -> Tensor:
            n = len(rows)
            with torch.no_grad():
                z = torch.from_numpy(secret.generator.standard_normal((n, s.latent), dtype=np.float32))
                u = torch.from_numpy(secret.generator.random((n, len(counts)), dtype=np.float64))
                places = None
                if s.conditional:
                    col = torch.from_numpy(secret.generator.random(n))
                    col = torch.searchsorted(conditions.columns, col).clamp(max=len(counts)-1)
                    places = rows.gather(1, col[:, None]).squeeze(1) + gen.offsets[col]
                fake = gen.draw(gen.logits(z, places), u)
            both = torch.stack([rows, fake], 1).flatten(0, 1)
            score = critic(both).view(-1, 2)
            if s.loss == "pair":
                return functional.softplus(score[:, 1] - score[:, 0])
            if s.loss == "wass":
                return score[:, 1] - score[:, 0]
            if s.loss == "hinge":
                return torch.relu(1 - score[:, 0]) + torch.relu(1 + score[:, 1])
            return functional.softplus(-score[:, 0]) + functional.softplus(score[:, 1])

        opt = torch.optim.Adam(gen.parameters(), lr=s.generator_rate, betas=(s.gbeta1, .999))
        avg = [torch.zeros_like(p) for p in gen.parameters()]
        self.navg = 0
        ema = None
        total = s.steps

        def after(done: int) -> None:
            nonlocal ema
            w = [critic.enter.effective().detach(), critic.enter.bias, *( [critic.middle.weight, critic.middle.bias] if s.layers == 2 else []), critic.leave.weight, critic.direct.effective()]
            w = [x.detach().clone() for x in w]
            if s.ema and ema is not None:
                ema = [s.ema * a + (1 - s.ema) * b for a, b in zip(ema, w)]
            else:
                ema = w
            if s.decay:
                with torch.no_grad():
                    for p in critic.parameters():
                        p.mul_(1 - s.decay * s.learning_rate)
            if done % s.critic_steps:
                return
            for group in opt.param_groups:
                group["lr"] = s.generator_rate * max(s.g_floor, 1 - done / total)
            n = s.generator_rows
            z = torch.randn(n, s.latent, generator=init)
            places = conditions.draw(n, init) if s.conditional else None
            logits = gen.logits(z, places)
            hot = gen.straight_through(logits, init, temperature=s.temperature)
            h = functional.leaky_relu(hot @ ema[0] + ema[1], s.slope)
            if s.layers == 2:
                h = functional.leaky_relu(functional.linear(h, ema[2], ema[3]), s.slope)
            score = functional.linear(h, ema[-2]).squeeze(1) + (hot @ ema[-1]).squeeze(1)
            loss = functional.softplus(-score).mean() if s.loss == "log" else -score.mean()
            if s.marginal_weight:
                p = gen.probabilities(logits).mean(0)
                loss = loss + s.marginal_weight * (wanted * (torch.log(wanted + 1e-4) - torch.log(p + 1e-4))).sum()
            grads = torch.autograd.grad(loss, list(gen.parameters()), allow_unused=True)
            for p, g in zip(gen.parameters(), grads):
                p.grad = g
            if not s.direct:
                gen.direct.grad = None
            opt.step()
            if done > total * (1 - s.averaged_share):
                self.navg += 1
                with torch.no_grad():
                    for a, p in zip(avg, gen.parameters()):
                        a += p
            if self.trace and done % 250 == 0:
                with torch.no_grad():
                    print(done, "score", float(score.mean()), "w", float(critic.leave.weight.norm()), float(critic.enter.table.norm()), float(critic.direct.table.norm()))

        mechanism = self.plan_.mechanism(TRAINING)
        ran = train(
            critic, row_loss,
            UnitRows.arrange(codes, unit_index, max_rows=self.schema.unit.max_rows, device=device),
            settings=s.training(int(self.plan_.parameters["expected_units"])),
            mechanism=mechanism, noise=noise, progress=progress,
            lease=None if lease is None else partial(lease, TRAINING),
            copies=2, after_step=after,
        )
        if self.navg:
            with torch.no_grad():
                for a, p in zip(avg, gen.parameters()):
                    p.copy_(a / self.navg)
        self._generator = gen
        if s.rake:
            if s.conditional:
                self._rake(gen, conditions, init)
            else:
                rake(gen, counts, torch.randn(_RAKING_ROWS, s.latent, generator=init))
        return (PlannedCharge(step=TRAINING, mechanism=ran),)
    trace = False

    def _rake(self, gen, conditions, init):
        rake(gen, list(self._codec.counts.values()), torch.randn(_RAKING_ROWS, self.settings.latent, generator=init), conditions.draw(_RAKING_ROWS, init))

    def _weights(self):
        return [self.settings.target_weight if c.role == "target" else 1.0 for c in self.schema.modelled]

    def _make_generator(self, init):
        usable = np.concatenate([c.usable for c in self._codec.codes.values()])
        return BlockGenerator(Blocks(self._codec.sizes), usable, latent=self.settings.latent, hidden=self.settings.hidden, generator=init)

    @torch.no_grad()
    def _sample_codes(self, n, rng):
        g = torch.Generator().manual_seed(int(rng.integers(2**63)))
        cond = Conditions(list(self._codec.counts.values()), self._generator, self._weights())
        parts = []
        for start in range(0, n, _SAMPLE_ROWS):
            m = min(_SAMPLE_ROWS, n - start)
            z = torch.randn(m, self.settings.latent, generator=g)
            places = cond.draw(m, g) if self.settings.conditional else None
            parts.append(self._generator.draw(self._generator.logits(z, places), torch.rand(m, len(cond.sizes), generator=g, dtype=torch.float64)))
        return torch.cat(parts).numpy().astype(np.int32)

    def _arrays(self):
        return self._generator.arrays()

    def _restore(self, arrays):
        self._generator = self._make_generator(torch.Generator())
        self._generator.restore(arrays)

    @classmethod
    def _rebuild(cls, schema, plan):
        p = plan.parameters
        return cls(schema, codec=CodecSettings(**p["codec"]), settings=CTGANSettings(**p["settings"]))


class Conditions:
    def __init__(self, counts, gen, weights):
        self.sizes = [len(c) for c in counts]
        w = np.array(weights)
        self.columns = torch.from_numpy(np.cumsum(w) / w.sum())
        usable = gen.usable.numpy()
        flat = np.concatenate([c / max(c.sum(), 1e-9) + 1e-12 for c in counts]) * usable
        parts = np.split(flat, np.cumsum(self.sizes)[:-1])
        self.flat = torch.from_numpy(np.cumsum(np.concatenate([p / p.sum() * k for p, k in zip(parts, w / w.sum())])))

    def draw(self, n, g):
        u = torch.rand(n, generator=g, dtype=torch.float64) * (1 - 1e-9)
        return torch.searchsorted(self.flat, (1 - u) * self.flat[-1]).clamp(max=len(self.flat) - 1)
