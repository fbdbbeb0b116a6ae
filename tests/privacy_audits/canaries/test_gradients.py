"""Gradient canaries: what they add, what they leave alone, and their score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dpsynth.errors import UsageError
from dpsynth.neural.clipping import SLACK, UnitClipper
from dpsynth.neural.dpsgd import UnitRows
from dpsynth.privacy import NeighbouringRelation, PoissonSampledGaussian
from privacy_audits.canaries import reference
from privacy_audits.canaries.gradients import (
    MOST_CANARIES,
    CanaryNetwork,
    GradientCanaries,
    enter,
    step_scores,
)

ADD, REPLACE = NeighbouringRelation.ADD_REMOVE, NeighbouringRelation.REPLACE_ONE
CLIP = 0.7
CODES = np.random.default_rng(0).integers(0, 3, (9, 3)).astype(np.int32)
UNITS = np.repeat(np.arange(5), 2)[:9]
BITS = np.array([True, False, True, True, False, False])


class Pairs(nn.Module):
    """A network that sees each row twice, like a critic with partners."""

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.copies = copies
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        with torch.no_grad():
            for place, part in enumerate(self.net.parameters()):
                part.copy_(torch.linspace(-1, 1.3 + place, part.numel()).view_as(part))

    def row_loss(self, codes: Tensor) -> Tensor:
        rows = codes.double().repeat_interleave(self.copies, dim=0)
        return self.net(rows).view(len(codes), self.copies).pow(2).sum(1)


def clipped(codes: np.ndarray, units: np.ndarray, module: nn.Module, loss, copies: int) -> list:
    data = UnitRows.arrange(codes, units, max_rows=2, device=torch.device("cpu"))
    with UnitClipper(module, copies=copies) as clipper:
        losses = loss(data.rows.flatten(0, 1)) * data.present.flatten()
        return clipper.clipped_sum(losses, rows_per_unit=2, clip_norm=CLIP)


@pytest.fixture(params=[1, 2])
def network(request) -> tuple[Pairs, CanaryNetwork]:
    plain = Pairs(request.param)
    design = GradientCanaries(count=BITS.size, width=3)
    rng = np.random.default_rng(1)
    watched = CanaryNetwork(
        plain, plain.row_loss, design, clip_norm=CLIP, copies=plain.copies, rng=rng
    )
    return plain, watched


@pytest.mark.parametrize("relation", [ADD, REPLACE])
def test_a_canary_adds_the_clip_norm_along_its_direction_and_nothing_else(network, relation):
    plain, watched = network
    codes, units = enter(CODES, UNITS, BITS, relation=relation)
    before = clipped(CODES, UNITS, plain.net, plain.row_loss, plain.copies)
    after = clipped(codes, units, watched, watched.row_loss, plain.copies)

    moved = watched.projections(torch.cat([part.flatten() for part in after]).numpy())
    outside = 0.0 if relation == ADD else -1.0
    np.testing.assert_allclose(moved, (1 - SLACK) * np.where(BITS, 1.0, outside), rtol=1e-5)
    for old, new in zip(before, after[: len(before)], strict=True):
        torch.testing.assert_close(old, new, rtol=1e-9, atol=1e-12)


def test_without_the_clipper_a_canary_adds_its_pull(network):
    _, watched = network
    codes, units = enter(CODES, UNITS, BITS, relation=ADD)
    data = UnitRows.arrange(codes, units, max_rows=2, device=torch.device("cpu"))
    losses = watched.row_loss(data.rows.flatten(0, 1)) * data.present.flatten()
    grads = torch.autograd.grad(losses.sum(), list(watched.parameters()))
    moved = watched.projections(torch.cat([g.flatten() for g in grads]).double().numpy())
    np.testing.assert_allclose(moved, 5.0 * BITS, rtol=1e-5, atol=1e-6)


def test_canaries_enter_as_units_of_their_own():
    codes, units = enter(CODES, UNITS, BITS, relation=ADD)
    np.testing.assert_array_equal(codes[:9, :3], CODES)
    assert not codes[:9, 3:].any()
    assert codes[9:, 3].tolist() == [1, 3, 4]
    assert units[9:].tolist() == [5, 6, 7]
    codes, units = enter(CODES, UNITS, BITS, relation=REPLACE)
    assert codes[9:, 3].tolist() == [1, 2, 3, 4, 5, 6]
    assert codes[9:, 4].tolist() == [0, 1, 0, 0, 1, 1]


def test_a_table_without_rows_takes_canaries():
    _, units = enter(CODES[:0], UNITS[:0], BITS, relation=ADD)
    assert units.tolist() == [0, 1, 2]


@pytest.mark.parametrize("rate", [0.05, 1.0])
@pytest.mark.parametrize("relation", [ADD, REPLACE])
def test_the_score_is_the_log_likelihood_ratio(rate, relation):
    event = PoissonSampledGaussian(
        relation=relation, noise_multiplier=0.8, sampling_probability=rate, steps=1
    )
    x = np.linspace(-3, 3, 7)

    def density(mean: float) -> np.ndarray:
        bell = np.exp(-((x - mean) ** 2) / (2 * 0.8**2))
        return (1 - rate) * np.exp(-(x**2) / (2 * 0.8**2)) + rate * bell

    outside = density(0.0) if relation == ADD else density(-1.0)
    np.testing.assert_allclose(step_scores(x, event), np.log(density(1.0) / outside))


@pytest.mark.parametrize("count", [1, MOST_CANARIES + 1])
def test_numbers_that_do_not_fit_are_refused(count):
    with pytest.raises(UsageError, match="canaries"):
        GradientCanaries(count=count)


def test_a_canary_that_is_not_clipped_is_refused():
    with pytest.raises(UsageError, match="pull"):
        GradientCanaries(pull=1.0)


def test_the_simulation_of_full_batches_has_the_separation_of_the_gaussian():
    rng = np.random.default_rng(2)
    drawn = reference.separations(
        lambda: reference.sampled_gaussian(rng, canaries=500, steps=16, rate=1.0, sigma=8.0),
        runs=30,
    )
    assert drawn.mean() == pytest.approx(0.5, abs=6 * 0.09 / np.sqrt(30))
