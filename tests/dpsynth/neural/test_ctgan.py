"""DP-CTGAN: conditions, partners, the generator's draws, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dpsynth as dp
from dpsynth.errors import UsageError
from dpsynth.neural.adversary import GeneratorLearner, PairLoss
from dpsynth.neural.blocks import Blocks
from dpsynth.neural.chained import ChainedGenerator
from dpsynth.neural.conditions import Conditions
from dpsynth.neural.critic import Critic
from dpsynth.neural.ctgan import CTGANSettings
from dpsynth.noise import NoiseSource
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

SIZES = (3, 2, 5)
SETTINGS = CTGANSettings(
    steps=300, critic_steps=2, hidden=16, critic_hidden=16, sampling_probability=0.2
)


def random_generator(usable: np.ndarray | None = None) -> ChainedGenerator:
    first = torch.Generator().manual_seed(0)
    made = ChainedGenerator(
        Blocks(SIZES),
        np.ones(10, dtype=bool) if usable is None else usable,
        (0, 2, 1),
        latent=3,
        hidden=8,
        generator=first,
    )
    with torch.no_grad():
        for part in made.parameters():
            part.copy_(torch.randn(part.shape, generator=first))
    return made


def random_critic() -> Critic:
    bases = [np.linspace(-1, 1, k, dtype=np.float32)[:, None] for k in SIZES]
    return Critic(bases, 6, generator=torch.Generator().manual_seed(1))


def conditions(weights: tuple[float, ...] = (1.0, 1.0, 2.0)) -> Conditions:
    counts = [np.array([5.0, 0.0, 15.0]), np.array([10.0, 10.0]), np.arange(5.0)]
    return Conditions(counts, [np.ones(k, dtype=bool) for k in SIZES], weights)


def coins(n: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(n, *shape, generator=generator, dtype=torch.float64)


# -- conditions ------------------------------------------------------------------------------------


def test_conditions_follow_the_counts() -> None:
    drawn = torch.bincount(conditions().draw(coins(200_000)), minlength=10) / 200_000
    expected = [1 / 16, 0, 3 / 16, 1 / 8, 1 / 8, 0, 1 / 20, 1 / 10, 3 / 20, 1 / 5]
    np.testing.assert_allclose(drawn.numpy(), expected, atol=0.004)
    assert drawn[1] == drawn[5] == 0


def test_a_condition_is_read_off_the_row_itself() -> None:
    rows = torch.tensor([[2, 0, 4]]).repeat(100_000, 1)
    read = torch.bincount(conditions().read(rows, coins(100_000)), minlength=10) / 100_000
    np.testing.assert_allclose(read[[2, 3, 9]].numpy(), [0.25, 0.25, 0.5], atol=0.006)
    assert read.sum() == 1


@pytest.mark.parametrize("edge", [0.0, 1.0 - 2.0**-53])
def test_the_ends_of_the_unit_interval_are_conditions_too(edge: float) -> None:
    place = conditions().draw(torch.tensor([edge], dtype=torch.float64))
    assert place.item() in (0, 2, 3, 4, 6, 7, 8, 9)


def test_columns_without_a_positive_count_are_drawn_evenly() -> None:
    law = Conditions([np.zeros(3)], [np.array([True, False, True])], [1.0])
    drawn = torch.bincount(law.draw(coins(20_000)), minlength=3) / 20_000
    np.testing.assert_allclose(drawn.numpy(), [0.5, 0, 0.5], atol=0.02)


# -- the generator ---------------------------------------------------------------------------------


@torch.no_grad()
def test_draws_follow_the_probabilities() -> None:
    made = random_generator()
    latent, places = torch.ones(200_000, 3), torch.full((200_000,), 4)
    codes = made.rows(latent, places, coins(200_000, 3))
    shares = torch.bincount(codes @ torch.tensor([10, 5, 1]), minlength=30) / 200_000
    grid = torch.cartesian_prod(*[torch.arange(k) for k in SIZES])
    logits = torch.zeros(len(grid))
    taken = grid.T

    def make(column: int, part: torch.Tensor) -> torch.Tensor:
        logits.add_(part.log_softmax(1).gather(1, taken[column].unsqueeze(1)).squeeze(1))
        return taken[column]

    made.walk(torch.ones(len(grid), 3), torch.full((len(grid),), 4), make)
    np.testing.assert_allclose(shares, logits.exp(), atol=0.005)
    assert logits.exp().sum().item() == pytest.approx(1.0, abs=1e-5)


@torch.no_grad()
def test_a_given_code_is_certain_and_an_unusable_one_never_drawn() -> None:
    usable = np.ones(10, dtype=bool)
    usable[[2, 9]] = False
    made = random_generator(usable)
    latent, places = torch.randn(5000, 3), torch.full((5000,), 4)
    numbers = [coins(5000, 3)]
    numbers += [torch.full((5000, 3), edge, dtype=torch.float64) for edge in (0.0, 1 - 2.0**-53)]
    for uniform in numbers:
        codes = made.rows(latent, places, uniform)
        assert (codes[:, 1] == 1).all()
        assert usable[(codes + made.offsets).numpy()].all()


def test_soft_rows_are_one_hot_with_a_gradient() -> None:
    made = random_generator()
    rows, probabilities = made.soft_rows(
        torch.randn(50, 3), torch.full((50,), 4), torch.Generator().manual_seed(3)
    )
    assert torch.allclose(rows.detach().sum(1), torch.full((50,), 3.0), atol=1e-5)
    assert torch.allclose(probabilities.sum(1), torch.full((50,), 3.0), atol=1e-5)
    (rows * torch.arange(10)).sum().backward()
    assert made.follow.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert made.leave.bias.grad[[3, 4]].abs().max() == 0  # type: ignore[index]
    # Nothing flows from a column to itself or to one before it.
    assert made.follow.grad[5:, :3].abs().max() == 0  # type: ignore[index]


@torch.no_grad()
def test_raking_meets_the_counts() -> None:
    made = random_generator()
    counts = [np.array([5.0, 1.0, 15.0]), np.array([10.0, 11.0]), np.array([4.0, 4, 4, 4, 5])]
    shares = [torch.from_numpy(part / 21).float() for part in counts]
    latent, numbers = torch.randn(20_000, 3), coins(20_000, 4)
    law = Conditions(counts, [np.ones(k, dtype=bool) for k in SIZES], (1.0, 1.0, 1.0))
    places = law.draw(numbers[:, 0])
    made.rake(shares, latent, places, numbers[:, 1:], floor=1e-5, rounds=200)
    drawn = Blocks(SIZES).one_hot(made.rows(latent, places, coins(20_000, 3))).mean(0)
    np.testing.assert_allclose(drawn, np.concatenate(counts) / 21, atol=0.02)


@torch.no_grad()
def test_all_columns_are_drawn_at_once_by_the_plain_generator() -> None:
    made = random_generator()
    logits = made.logits(torch.ones(1, 3), torch.tensor([4])).repeat(100_000, 1)
    shares = Blocks(SIZES).one_hot(made.draw(logits, coins(100_000, 3))).mean(0)
    np.testing.assert_allclose(shares, made.probabilities(logits)[0], atol=0.006)


# -- critic and learner ----------------------------------------------------------------------------


def test_the_frozen_critic_scores_blocks_as_the_critic_scores_codes() -> None:
    critic = random_critic()
    codes = torch.tensor([[0, 1, 4], [2, 0, 1]])
    torch.testing.assert_close(critic.frozen()(Blocks(SIZES).one_hot(codes)), critic(codes))


def test_partners_share_the_condition_of_their_row() -> None:
    pairs = PairLoss(
        random_critic(),
        random_generator(),
        conditions((0.0, 0.0, 1.0)),
        noise=NoiseSource.seeded(1),
    )
    rows = torch.stack([torch.arange(500) % k for k in SIZES], dim=1)
    partners = pairs.partners(rows)
    assert torch.equal(partners[:, 2], rows[:, 2])
    assert not torch.equal(partners[:, :2], rows[:, :2])


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 600])
def test_partners_are_made_in_products_of_one_shape(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[int] = []
    real = ChainedGenerator.rows
    monkeypatch.setattr(
        ChainedGenerator,
        "rows",
        lambda self, latent, *rest: (shapes.append(len(latent)), real(self, latent, *rest))[1],
    )
    pairs = PairLoss(random_critic(), random_generator(), conditions(), noise=NoiseSource.seeded(1))
    partners = pairs.partners(torch.zeros(rows, 3, dtype=torch.int64))
    assert partners.shape == (rows, 3)
    assert shapes == [256] * -(-rows // 256)


@torch.no_grad()
def test_logits_of_a_row_are_the_same_bits_wherever_it_stands() -> None:
    made, draws = random_generator(), torch.Generator().manual_seed(4)
    row, place = torch.randn(1, 3, generator=draws), torch.tensor([4])
    seen = []
    for position in (0, 1, 100, 255):
        latent = torch.randn(256, 3, generator=draws)
        places = torch.randint(0, 10, (256,), generator=draws)
        latent[position], places[position] = row[0], place[0]
        seen.append(made.logits(latent, places)[position])
    assert all(torch.equal(seen[0], other) for other in seen)


def learner_of(generator: ChainedGenerator, critic: Critic) -> GeneratorLearner:
    return GeneratorLearner(
        generator,
        critic,
        conditions(),
        [torch.full((k,), 1 / k) for k in SIZES],
        rows=50,
        every=3,
        steps=9,
        learning_rate=0.01,
        marginal_weight=1.0,
        averaged_share=0.5,
        seed=1,
    )


def weights_of(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([part.detach().flatten() for part in network.parameters()])


def test_an_update_reads_the_critic_and_changes_the_generator_alone() -> None:
    critic, generator = random_critic(), random_generator()
    before, fixed = weights_of(generator), weights_of(critic)
    learner = learner_of(generator, critic)
    learner(1)
    learner(2)
    assert torch.equal(before, weights_of(generator))
    learner(3)
    assert not torch.equal(before, weights_of(generator))
    learner.finish()
    assert torch.equal(fixed, weights_of(critic))
    assert all(part.grad is None for part in critic.parameters())


def test_a_learner_that_was_kept_goes_on() -> None:
    critic, first, second = random_critic(), random_generator(), random_generator()
    whole = learner_of(first, critic)
    whole(3)
    whole(6)
    kept = {name: part.clone() for name, part in whole.state().items()}
    resumed = learner_of(second, critic)
    resumed.load(kept)
    assert torch.equal(weights_of(first), weights_of(second))
    assert all(torch.equal(kept[name], part) for name, part in resumed.state().items())
    whole(9)
    resumed(9)
    assert not torch.equal(weights_of(first), weights_of(random_generator()))
    whole.finish()
    resumed.finish()
    # Generated rows differ; moments, rates and what is averaged do not.
    assert (weights_of(first) - weights_of(second)).abs().max() < 0.02


# -- the method ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> dp.DPCTGAN:
    schema = patients_schema()
    frame = patients_frame(4000)
    frame["ward"] = np.where(frame["sex"] == "F", "a", "c")
    budget = dp.Budget(epsilon=50.0, delta=1e-5)
    return dp.DPCTGAN(schema, settings=SETTINGS).fit(
        frame, budget=budget, ledger=open_ledger(schema, budget), dataset="patients", rows=4000
    )


def test_dependence_is_learned(model: dp.DPCTGAN) -> None:
    rows = model.sample(4000, seed=1)
    assert (rows["ward"] == np.where(rows["sex"] == "F", "a", "c")).mean() > 0.8


def test_all_rows_have_what_is_given(model: dp.DPCTGAN) -> None:
    rows = model.sample(500, seed=1, given={"sex": "F"})
    assert (rows["sex"] == "F").all()
    assert (rows["ward"] == "a").mean() > 0.8
    assert rows["age"].nunique() > 10
    assert model.sample(50, seed=1, given={"died": True})["died"].all()


@pytest.mark.parametrize(
    "given", [{"sex": "X"}, {"nobody": "F"}, {"age": 40}, {"sex": "F", "ward": "a"}]
)
def test_what_cannot_be_given_is_refused(model: dp.DPCTGAN, given: dict) -> None:
    with pytest.raises(UsageError):
        model.sample(5, given=given)


def test_a_public_number_of_rows_is_generated_whatever_is_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    real = ChainedGenerator.soft_rows
    monkeypatch.setattr(
        ChainedGenerator,
        "soft_rows",
        lambda self, latent, *rest: (seen.append(len(latent)), real(self, latent, *rest))[1],
    )
    settings = CTGANSettings(steps=6, critic_steps=2, hidden=4, critic_hidden=4, generator_rows=70)
    for rows in (1, 30, 400):
        schema = patients_schema()
        dp.DPCTGAN(schema, settings=settings).fit(
            patients_frame(400).iloc[:rows],
            budget=BUDGET,
            ledger=open_ledger(schema),
            dataset="patients",
        )
    assert seen == [70] * 9
