"""Book-keeping clipping against a looped reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dpsynth.errors import UsageError
from dpsynth.neural.clipping import SLACK, UnitClipper
from dpsynth.neural.layers import CodeLinear, MaskedLinear


def network(seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-1, 1, generator=generator)
    return net


def row_loss(net: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    return net(rows).pow(3).sum(1)


def looped(net: nn.Module, rows: torch.Tensor, rows_per_unit: int, clip: float) -> list:
    """Per-unit gradients one after the other, clipped and added: the plain definition."""
    sums = [torch.zeros_like(p) for p in net.parameters()]
    for unit in rows.split(rows_per_unit):
        gradients = torch.autograd.grad(row_loss(net, unit).sum(), list(net.parameters()))
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        scale = min(1.0, clip * (1 - SLACK) / float(norm))
        for total, gradient in zip(sums, gradients, strict=True):
            total += scale * gradient
    return sums


def book_kept(net: nn.Module, rows: torch.Tensor, rows_per_unit: int, clip: float) -> list:
    with UnitClipper(net) as clipper:
        return clipper.clipped_sum(row_loss(net, rows), rows_per_unit=rows_per_unit, clip_norm=clip)


@pytest.mark.parametrize("rows_per_unit", [1, 3])
@pytest.mark.parametrize("clip", [1e-3, 1.0, 1e6])
def test_equals_the_looped_reference(rows_per_unit: int, clip: float) -> None:
    net = network()
    rows = torch.randn(12, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    fast = book_kept(net, rows, rows_per_unit, clip)
    for ours, reference in zip(fast, looped(net, rows, rows_per_unit, clip), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows_per_unit", [1, 3])
@pytest.mark.parametrize("clip", [1e-3, 1.0])
def test_copies_of_a_row_are_clipped_with_its_unit(rows_per_unit: int, clip: float) -> None:
    net = network()
    rows = torch.randn(24, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    with UnitClipper(net, copies=2) as clipper:
        loss = row_loss(net, rows).view(-1, 2).sum(1)
        fast = clipper.clipped_sum(loss, rows_per_unit=rows_per_unit, clip_norm=clip)
    for ours, reference in zip(fast, looped(net, rows, 2 * rows_per_unit, clip), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-12)


def test_another_number_of_rows_than_stated_is_refused() -> None:
    net = network()
    for copies in (1, 3):
        with UnitClipper(net, copies=copies) as clipper:
            loss = row_loss(net, torch.ones(12, 5, dtype=torch.float64)).view(-1, 2).sum(1)
            with pytest.raises(UsageError, match="another number of rows"):
                clipper.clipped_sum(loss, rows_per_unit=1, clip_norm=1.0)


@pytest.mark.parametrize("rows_per_unit", [1, 4])
@pytest.mark.parametrize("factor", [1.0, 1e6, 1e-300])
def test_one_unit_moves_the_sum_by_at_most_the_clip_norm(rows_per_unit: int, factor: float) -> None:
    net = network()
    rows = torch.randn(16, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    rows[:rows_per_unit] *= factor
    everyone = book_kept(net, rows, rows_per_unit, 1.0)
    without = book_kept(net, rows[rows_per_unit:], rows_per_unit, 1.0)
    moved = torch.sqrt(sum((a - b).square().sum() for a, b in zip(everyone, without, strict=True)))
    assert moved <= 1.0


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_unit_without_a_finite_gradient_adds_nothing(poison: float) -> None:
    net = network()
    rows = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    poisoned = rows.clone()
    poisoned[2, 1] = poison
    expected = book_kept(net, torch.cat([rows[:2], rows[3:]]), 1, 1.0)
    for ours, reference in zip(book_kept(net, poisoned, 1, 1.0), expected, strict=True):
        torch.testing.assert_close(ours, reference)


def test_gradient_of_a_row_does_not_depend_on_other_rows() -> None:
    net = network()
    rows = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    other = rows.clone()
    other[1:] = 100.0
    alone = book_kept(net, rows[:1], 1, 1e9)
    for batch in (rows, other):
        rest = book_kept(net, batch[1:], 1, 1e9)
        whole = book_kept(net, batch, 1, 1e9)
        for a, b, c in zip(whole, rest, alone, strict=True):
            # The looser tolerance is that of a float64 difference of large sums.
            torch.testing.assert_close(a - b, c, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(7), nn.LayerNorm(7), nn.Dropout(0.5), nn.Conv1d(1, 1, 1)]
)
def test_layers_that_may_mix_rows_are_refused(layer: nn.Module) -> None:
    with pytest.raises(UsageError, match="DPS120"):
        UnitClipper(nn.Sequential(nn.Linear(5, 7), layer, nn.Linear(7, 1)))


def test_a_parameter_outside_a_linear_layer_is_refused() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 1)
            self.scale = nn.Parameter(torch.ones(1))

    with pytest.raises(UsageError, match="scale"):
        UnitClipper(Scaled())


def test_a_layer_used_twice_is_refused() -> None:
    net = nn.Linear(3, 3)
    with UnitClipper(net) as clipper, pytest.raises(UsageError, match="DPS122"):
        clipper.clipped_sum(net(net(torch.ones(2, 3))).sum(1), rows_per_unit=1, clip_norm=1.0)


def test_hooks_are_removed() -> None:
    net = network()
    with UnitClipper(net):
        pass
    assert not any(m._forward_hooks for m in net.modules())


# -- layers with masks and layers that read codes ----------------------------------------------


class MaskedNet(nn.Module):
    """Codes into a masked hidden layer, and around it."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        bases = [rng.normal(size=shape).astype(np.float32) for shape in ((4, 2), (3, 0), (5, 2))]
        self.sizes = [len(basis) for basis in bases]
        below = np.arange(3)[:, None] >= np.arange(3)[None, :]
        groups = [0, 0, 1, 1, 2]
        self.enter = CodeLinear(bases, groups, below)
        self.around = CodeLinear(bases, [0, 1, 2], below, bias=False)
        self.leave = MaskedLinear(groups, [0, 1, 2], below)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def row_loss(self, codes: Tensor) -> Tensor:
        outputs = self.leave(torch.tanh(self.enter(codes))) + self.around(codes)
        return outputs.square().sum(1)


@pytest.mark.parametrize("rows_per_unit", [1, 2, 4])
@pytest.mark.parametrize("clip_norm", [0.3, 1e6])
def test_masked_and_code_layers_agree_with_a_loop(rows_per_unit: int, clip_norm: float) -> None:
    net = MaskedNet().double()
    generator = torch.Generator().manual_seed(2)
    codes = torch.stack(
        [torch.randint(0, size, (16,), generator=generator) for size in net.sizes], dim=1
    )
    with UnitClipper(net) as clipper:
        loss = net.row_loss(codes)
        sums = clipper.clipped_sum(loss, rows_per_unit=rows_per_unit, clip_norm=clip_norm)
        parameters = clipper.parameters
    expected = [torch.zeros_like(parameter) for parameter in parameters]
    for unit in codes.split(rows_per_unit):
        # Autograd masks by itself: entries without a connection do not reach the loss.
        gradients = torch.autograd.grad(net.row_loss(unit).sum(), parameters)
        norm = torch.stack([part.square().sum() for part in gradients]).sum().sqrt()
        scale = min(1.0, clip_norm * (1 - SLACK) / norm.item())
        for total, part in zip(expected, gradients, strict=True):
            total += scale * part
    for found, wanted in zip(sums, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_a_code_layer_is_a_masked_layer_on_one_hot_blocks() -> None:
    net = MaskedNet().double()
    codes = torch.cartesian_prod(*[torch.arange(size) for size in net.sizes])
    one_hot = torch.cat(
        [nn.functional.one_hot(codes[:, c], size).double() for c, size in enumerate(net.sizes)], 1
    )
    assert net.enter.bias is not None
    dense = one_hot @ net.enter.effective() + net.enter.bias
    torch.testing.assert_close(net.enter(codes), dense)
    basis = one_hot @ net.enter.basis
    by_parts = (
        one_hot @ (net.enter.table * net.enter.mask)
        + torch.einsum("rk,ko,ro->ro", basis, net.enter.slopes, torch.ones_like(dense))
        + net.enter.bias
    )
    # Where nothing is masked the slopes act on the basis of the row.
    free = net.enter.mask.all(0)
    torch.testing.assert_close(dense[:, free], by_parts[:, free])


def test_masked_entries_do_not_count_towards_the_norm() -> None:
    groups, below = [0, 1], np.array([[True, False], [True, True]])
    net = nn.Sequential(MaskedLinear(groups, groups, below, bias=False)).double()
    rows = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    with UnitClipper(net) as clipper:
        (found,) = clipper.clipped_sum(net(rows).sum(1), rows_per_unit=1, clip_norm=1e6)
    assert found.tolist() == [[3.0, 0.0], [3.0, 4.0]]
    with UnitClipper(net) as clipper:
        (found,) = clipper.clipped_sum(net(rows).sum(1), rows_per_unit=1, clip_norm=1.0)
    assert found.norm().item() == pytest.approx(1 - SLACK)
