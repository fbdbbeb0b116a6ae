"""The DP-SGD loop: arrangement of units, noise on a grid, steps that are counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from dpsynth.errors import IntegrityError
from dpsynth.neural import dpsgd
from dpsynth.neural.dpsgd import (
    GRID,
    LEASE_STEPS,
    TrainingSettings,
    UnitRows,
    noisy_sum,
    poisson_sample,
    train,
)
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PoissonSampledGaussian, PrivacyUnit

CPU = torch.device("cpu")


def arrange(units: list[int], max_rows: int) -> UnitRows:
    codes = np.arange(len(units), dtype=np.int32)[:, None] + 1
    return UnitRows.arrange(codes, np.array(units), max_rows=max_rows, device=CPU)


def test_rows_stand_with_their_unit() -> None:
    data = arrange([2, 0, 2, 1, 2], max_rows=3)
    assert data.rows.squeeze(2).tolist() == [[2, 0, 0], [4, 0, 0], [1, 3, 5]]
    assert data.present.tolist() == [[1, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert repr(data) == "UnitRows(...)"


def test_a_unit_with_too_many_rows_is_refused() -> None:
    with pytest.raises(IntegrityError, match="DPS111"):
        arrange([0, 0, 0], max_rows=2)


def test_noise_lies_on_the_grid_and_has_the_booked_scale() -> None:
    sums = [torch.full((20_000,), 0.3, dtype=torch.float64)]
    (noised,) = noisy_sum(sums, sigma=2.0, clip_norm=0.5, noise=NoiseSource.from_entropy())
    steps = noised / (0.5 * GRID)
    assert torch.equal(steps, steps.round())
    scaled = ((noised - 0.3) / (2.0 * 0.5)).numpy()
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], scaled.size)
    assert low < (scaled**2).sum() < high


def test_poisson_sample_is_independent_per_unit() -> None:
    noise = NoiseSource.from_entropy()
    units, q, rounds = 400, 0.1, 300
    counts = np.zeros(units)
    sizes = []
    for _ in range(rounds):
        chosen = poisson_sample(units, q, noise.generator)
        counts[chosen] += 1
        sizes.append(chosen.size)
    dispersion = ((counts - rounds * q) ** 2).sum() / (rounds * q * (1 - q))
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], units)
    assert low < dispersion < high
    size_dispersion = ((np.array(sizes) - units * q) ** 2).sum() / (units * q * (1 - q))
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], rounds)
    assert low < size_dispersion < high


SETTINGS = TrainingSettings(
    sampling_probability=0.01, steps=40, expected_units=100.0, learning_rate=0.1
)


def run(data: UnitRows, *, steps: int = 40, q: float = 0.01, **kw: object) -> tuple:
    net = nn.utils.skip_init(nn.Linear, 1, 1)
    with torch.no_grad():
        net.weight.zero_()
        net.bias.zero_()
    mechanism = PoissonSampledGaussian(
        relation="add_remove", noise_multiplier=1.0, sampling_probability=q, steps=steps
    )

    def row_loss(rows: Tensor) -> Tensor:
        return net(rows.float()).squeeze(1)

    settings = TrainingSettings(
        sampling_probability=q, steps=steps, expected_units=100.0, learning_rate=0.1
    )
    ran = train(
        net,
        row_loss,
        data,
        settings=settings,
        mechanism=mechanism,
        noise=NoiseSource.from_entropy(),
        **kw,
    )
    return net, mechanism, ran


def test_every_booked_step_is_taken_also_with_empty_samples() -> None:
    seen: list[tuple[int, int]] = []
    net, mechanism, ran = run(
        arrange([0, 1, 2], 1), progress=lambda done, of: seen.append((done, of))
    )
    assert ran == mechanism
    assert seen == [(step, 40) for step in range(1, 41)]
    # Noise moves the weights even where nothing was sampled.
    assert net.weight.item() != 0.0
    assert all(parameter.grad is None for parameter in net.parameters())


def test_no_step_is_taken_that_was_not_leased() -> None:
    leased: list[int] = []
    taken: list[int] = []

    def lease(upto: int) -> None:
        assert len(taken) == (leased[-1] if leased else 0)
        if upto > 2 * LEASE_STEPS:
            raise ZeroDivisionError
        leased.append(upto)

    def progress(done: int, _: int) -> None:
        assert done <= leased[-1]
        taken.append(done)

    with pytest.raises(ZeroDivisionError):
        run(arrange([0, 1, 2], 1), steps=130, lease=lease, progress=progress)
    assert leased == [LEASE_STEPS, 2 * LEASE_STEPS]
    assert len(taken) == 2 * LEASE_STEPS
    leased.clear()
    run(arrange([0, 1, 2], 1), steps=70, lease=leased.append)
    assert leased == [LEASE_STEPS, 70]


def test_no_rows_at_all_is_noise_only() -> None:
    empty = UnitRows(rows=torch.zeros(0, 1, 1, dtype=torch.long), present=torch.zeros(0, 1))
    _, mechanism, ran = run(empty)
    assert ran == mechanism


def test_the_event_is_stated_by_the_settings() -> None:
    event = SETTINGS.event(noise_multiplier=1.5, unit=PrivacyUnit(column="p", max_rows=4))
    assert event == PoissonSampledGaussian(
        relation="add_remove", noise_multiplier=1.5, sampling_probability=0.01, steps=40
    )


def test_training_learns_when_there_is_much_data() -> None:
    net, _, _ = run(arrange(list(range(3000)), 1), q=0.5, steps=30)
    assert net.weight.item() < -0.5  # the loss is w·x + b with x > 0


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state().clone()
    run(arrange([0, 1], 1), steps=3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_runs_the_same_loop() -> None:
    sums = [torch.zeros(1000, dtype=torch.float64, device="cuda")]
    (noised,) = noisy_sum(sums, sigma=1.0, clip_norm=1.0, noise=NoiseSource.from_entropy())
    assert noised.is_cuda
    assert 0.8 < float(noised.std()) < 1.2


@pytest.mark.parametrize("rows_per_unit", [1, 3])
@pytest.mark.parametrize("at_a_time", [1, 7, 64])
def test_rows_that_pass_in_parts_change_nothing(
    monkeypatch: pytest.MonkeyPatch, rows_per_unit: int, at_a_time: int
) -> None:
    features = torch.randn(90, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    index = np.arange(90) // rows_per_unit
    data = UnitRows.arrange(
        np.arange(90, dtype=np.int32)[:, None], index, max_rows=rows_per_unit, device=CPU
    )
    mechanism = PoissonSampledGaussian(
        relation="add_remove", noise_multiplier=0.5, sampling_probability=0.5, steps=12
    )

    def weights() -> Tensor:
        torch_layers = nn.Linear(5, 8).double(), nn.Linear(8, 1).double()
        for layer in torch_layers:
            with torch.no_grad():
                layer.weight.fill_(0.3)
                layer.bias.zero_()
        net = nn.Sequential(torch_layers[0], nn.Tanh(), torch_layers[1])
        train(
            net,
            lambda rows: net(features[rows[:, 0]]).squeeze(1).square() * 3,
            data,
            settings=TrainingSettings(
                sampling_probability=0.5, steps=12, expected_units=40.0, learning_rate=0.1
            ),
            mechanism=mechanism,
            noise=NoiseSource.seeded(4),
        )
        return torch.cat([p.detach().flatten() for p in net.parameters()])

    whole = weights()
    monkeypatch.setattr(dpsgd, "ROWS_AT_A_TIME", at_a_time)
    torch.testing.assert_close(weights(), whole, rtol=1e-9, atol=1e-9)
