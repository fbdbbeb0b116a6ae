"""Adam with a falling step size, averages and a state of its own."""

from __future__ import annotations

import pytest
import torch

from dpsynth.neural.optimise import AveragedAdam


def gradients(count: int) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 2), (4,)]
    return [[torch.randn(s, generator=generator) for s in shapes] for _ in range(count)]


def parameters() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.ones(s)) for s in [(3, 2), (4,)]]


def optimiser(weights: list[torch.nn.Parameter], share: float) -> AveragedAdam:
    return AveragedAdam(weights, learning_rate=0.1, steps=20, averaged_share=share)


def test_steps_are_those_of_the_library() -> None:
    ours, theirs = parameters(), parameters()
    optimizer, library = optimiser(ours, 0.0), torch.optim.Adam(theirs, lr=0.1)
    for step, parts in enumerate(gradients(20)):
        optimizer.step(parts, step)
        for parameter, part in zip(theirs, parts, strict=True):
            parameter.grad = part
        library.param_groups[0]["lr"] = 0.1 * (1 - step / 20)
        library.step()
    optimizer.finish()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_last_iterates_are_averaged() -> None:
    weights = parameters()
    optimizer = optimiser(weights, 0.25)
    seen = []
    for step, parts in enumerate(gradients(20)):
        optimizer.step(parts, step)
        seen.append(weights[0].detach().clone())
    optimizer.finish()
    assert torch.allclose(weights[0], torch.stack(seen[15:]).mean(0), atol=1e-6)


@pytest.mark.parametrize("at", [0, 7, 17])
def test_a_state_that_is_taken_back_goes_on_alike(at: int) -> None:
    steps = gradients(20)
    whole = optimiser(parameters(), 0.25)
    for step, parts in enumerate(steps):
        if step == at:
            kept = {name: part.clone() for name, part in whole.state().items()}
        whole.step(parts, step)
    again = optimiser(parameters(), 0.25)
    again.load(kept)
    for step, parts in enumerate(steps[at:], start=at):
        again.step(parts, step)
    whole.finish()
    again.finish()
    for a, b in zip(whole.parameters, again.parameters, strict=True):
        assert torch.equal(a, b)
