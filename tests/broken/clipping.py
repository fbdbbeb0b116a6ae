"""Twins of the clipper that do not bound what one unit adds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dpsynth.neural.clipping import UnitClipper


class NoClipping(UnitClipper):
    def clipped_sum(self, loss: Tensor, *, rows_per_unit: int, clip_norm: float) -> list[Tensor]:
        del clip_norm
        return super().clipped_sum(loss, rows_per_unit=rows_per_unit, clip_norm=math.inf)


class ClipsEveryRow(UnitClipper):
    """Bounds rows where units are promised: a unit of four rows moves the sum by four bounds."""

    def clipped_sum(self, loss: Tensor, *, rows_per_unit: int, clip_norm: float) -> list[Tensor]:
        del rows_per_unit
        return super().clipped_sum(loss, rows_per_unit=1, clip_norm=clip_norm)


class ClipsAfterTheMean(UnitClipper):
    """Bounds the mean of the batch, as an ordinary training loop does."""

    def clipped_sum(self, loss: Tensor, *, rows_per_unit: int, clip_norm: float) -> list[Tensor]:
        units = len(loss) / rows_per_unit
        means = [g.double() for g in torch.autograd.grad(loss.sum() / units, self.parameters)]
        norm = math.sqrt(sum(float(g.square().sum()) for g in means))
        return [units * g * min(1.0, clip_norm / max(norm, 1e-300)) for g in means]


class _Looped(UnitClipper):
    """Unit by unit, so that each twin shows its one mistake."""

    def clipped_sum(self, loss: Tensor, *, rows_per_unit: int, clip_norm: float) -> list[Tensor]:
        sums = [torch.zeros_like(p, dtype=torch.float64) for p in self.parameters]
        for unit in loss.split(rows_per_unit):
            gradients = torch.autograd.grad(unit.sum(), self.parameters, retain_graph=True)
            clipped = self.clip([g.double() for g in gradients], clip_norm)
            for total, gradient in zip(sums, clipped, strict=True):
                total += gradient
        return sums

    def clip(self, gradients: list[Tensor], clip_norm: float) -> list[Tensor]:
        raise NotImplementedError


class LetsNaNPass(_Looped):
    """``norm > bound`` is false for NaN."""

    def clip(self, gradients: list[Tensor], clip_norm: float) -> list[Tensor]:
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        scale = clip_norm / norm if norm > clip_norm else 1.0
        return [g * scale for g in gradients]


class ClipsEveryLayer(_Looped):
    """Bounds each parameter by itself: all together may move by √(their number) bounds."""

    def clip(self, gradients: list[Tensor], clip_norm: float) -> list[Tensor]:
        norms = [float(g.norm()) for g in gradients]
        return [
            g * min(1.0, clip_norm / max(n, 1e-300)) if math.isfinite(n) else torch.zeros_like(g)
            for g, n in zip(gradients, norms, strict=True)
        ]


class AveragesOverTheBatch(UnitClipper):
    """Divides by the number of units that were drawn: the divisor is a fact about the rows."""

    def clipped_sum(self, loss: Tensor, *, rows_per_unit: int, clip_norm: float) -> list[Tensor]:
        sums = super().clipped_sum(loss, rows_per_unit=rows_per_unit, clip_norm=clip_norm)
        return [5.0 * part / (len(loss) / rows_per_unit) for part in sums]


def centred_loss(net: nn.Module, rows: Tensor) -> Tensor:
    """Batch statistics: every row's gradient depends on all others."""
    return net(rows - rows.mean(0)).pow(2).sum(1)


class ClipsTheBatch(UnitClipper):
    """Bounds the sum of the batch: one unit turns it round."""

    def clipped_sum(self, loss: Tensor, *, rows_per_unit: int, clip_norm: float) -> list[Tensor]:
        del rows_per_unit
        sums = [g.double() for g in torch.autograd.grad(loss.sum(), self.parameters)]
        norm = math.sqrt(sum(float(g.square().sum()) for g in sums))
        return [g * min(1.0, clip_norm / max(norm, 1e-300)) for g in sums]


class MultipliesByZero(_Looped):
    """Scales a unit without a finite norm by 0, and 0 · ∞ is no number."""

    def clip(self, gradients: list[Tensor], clip_norm: float) -> list[Tensor]:
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        scale = min(1.0, clip_norm / max(norm, 1e-300)) if math.isfinite(norm) else 0.0
        return [g * scale for g in gradients]
