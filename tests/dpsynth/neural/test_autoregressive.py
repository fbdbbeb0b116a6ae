"""The autoregressive network: what a column may see, conditions, and the shared basis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dpsynth as dp
from dpsynth.errors import UsageError
from dpsynth.neural.autoregressive import AutoregressiveSettings
from dpsynth.neural.autoregressive_network import AutoregressiveNetwork
from dpsynth.neural.ordinal import ordinal_basis
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

SETTINGS = AutoregressiveSettings(steps=60, hidden=16, sampling_probability=0.3)


def random_network(*, columns: int = 5, hidden: int = 12) -> AutoregressiveNetwork:
    rng = np.random.default_rng(0)
    bases = [rng.normal(size=(3 + c, 2 * (c % 2))).astype(np.float32) for c in range(columns)]
    network = AutoregressiveNetwork(
        bases, [1.0] * columns, hidden, generator=torch.Generator().manual_seed(1)
    )
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            # Noise fills every entry, also those without a connection.
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network


def logits_of(network: AutoregressiveNetwork, codes: torch.Tensor) -> list[torch.Tensor]:
    outputs = network.direct(codes) + network.leave(torch.relu(network.enter(codes)))
    return network.outputs.all_logits(outputs)


@torch.no_grad()
def test_a_column_sees_those_before_it_and_no_other() -> None:
    network = random_network()
    codes = torch.zeros(1, 5, dtype=torch.int64)
    before = logits_of(network, codes)
    for changed in range(5):
        other = codes.clone()
        other[0, changed] = 1
        after = logits_of(network, other)
        moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert moved == [column > changed for column in range(5)]


@torch.no_grad()
def test_probabilities_of_all_rows_add_up_to_one() -> None:
    network = random_network(columns=3)
    grid = torch.cartesian_prod(*[torch.arange(size) for size in network.outputs.sizes])
    assert network.row_loss(grid).neg().exp().sum().item() == pytest.approx(1.0, abs=1e-4)


@torch.no_grad()
def test_draws_follow_the_likelihood() -> None:
    network = random_network(columns=3)
    for layer in (network.direct, network.enter):
        layer.table *= 0.4
    generator = torch.Generator().manual_seed(3)

    def draw(_: int, logits: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]

    drawn = network.sample(40_000, draw)
    grid = torch.cartesian_prod(*[torch.arange(size) for size in network.outputs.sizes])
    expected = network.row_loss(grid).neg().exp()
    place = torch.tensor([20, 5, 1])
    counts = torch.bincount((drawn * place).sum(1), minlength=int((grid * place).sum(1).max()) + 1)
    shares = counts[(grid * place).sum(1)] / 40_000
    assert 0.5 * (shares - expected).abs().sum().item() < 0.02


@pytest.fixture(scope="module")
def model() -> dp.DPAutoregressive:
    schema = patients_schema()
    fitted = dp.DPAutoregressive(schema, settings=SETTINGS)
    frame = patients_frame(3000).drop(columns="patient")
    # A column that another determines: the model should learn it at a generous budget.
    frame["grade"] = frame["ward"].map({"a": "low", "b": "mid", "c": "high"})
    budget = dp.Budget(epsilon=20.0, delta=1e-5)
    return fitted.fit(frame, budget=budget, ledger=open_ledger(schema, budget), dataset="patients")


def test_the_target_is_drawn_last(model: dp.DPAutoregressive) -> None:
    names = [column.name for column in model.schema.modelled]
    assert names[model._order[-1]] == "died"
    assert sorted(model._order) == list(range(len(names)))


def test_shares_are_those_that_were_bought(model: dp.DPAutoregressive) -> None:
    drawn = model.sample(20_000, seed=0)
    counts = model._codec.counts["ward"][:3]
    shares = drawn["ward"].value_counts(normalize=True).reindex(["a", "b", "c"]).to_numpy()
    assert np.abs(shares - counts / counts.sum()).max() < 0.02


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"sex": "F"}, "first"),
        ({"grade": "high"}, "later"),
        ({"ward": "b", "age": 40}, "two"),
        ({"died": True}, "last"),
        ({"stay": None}, "null"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_conditions_hold_in_every_row(
    model: dp.DPAutoregressive, given: dict[str, object], kind: str
) -> None:
    del kind
    drawn = model.sample(200, seed=1, given=given)
    for name, value in given.items():
        assert drawn[name].isna().all() if value is None else (drawn[name] == value).all()
    assert len(drawn) == 200


def test_a_condition_on_a_later_column_weighs_the_earlier_ones(
    model: dp.DPAutoregressive,
) -> None:
    everybody = model.sample(30_000, seed=2)
    chosen = everybody[everybody["grade"] == "high"]["ward"].value_counts(normalize=True)
    conditioned = model.sample(4_000, seed=3, given={"grade": "high"})["ward"]
    shares = conditioned.value_counts(normalize=True)
    assert (shares - chosen).abs().max() < 0.05
    assert shares["c"] > 2 * everybody["ward"].value_counts(normalize=True)["c"]


def test_a_low_temperature_draws_what_is_likely(model: dp.DPAutoregressive) -> None:
    cold = model.sample(500, seed=4, temperature=0.05)
    assert (cold["ward"] == "a").mean() > 0.99
    hot = model.sample(2000, seed=4, temperature=20.0)
    assert hot["ward"].value_counts(normalize=True).max() < 0.45


@pytest.mark.parametrize(
    "wrong",
    [
        {"given": {"nobody": 1}},
        {"given": {"ward": "z"}},
        {"given": {"age": "old"}},
        {"given": {"sex": None}},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"n": 0},
    ],
    ids=str,
)
def test_wrong_conditions_are_refused(model: dp.DPAutoregressive, wrong: dict) -> None:
    with pytest.raises(UsageError):
        model.sample(**({"n": 5} | wrong))


def test_the_basis_ranks_ordered_codes_only(model: dp.DPAutoregressive) -> None:
    codes = list(model._codec.codes.values())
    bases = dict(zip(model._codec.codes, ordinal_basis(model.schema.modelled, codes), strict=True))
    assert bases["sex"].shape[1] == bases["ward"].shape[1] == bases["died"].shape[1] == 0
    grade, age = bases["grade"], bases["age"]
    assert grade[:3, 0].tolist() == [-1.0, 0.0, 1.0]
    usable = model._codec.codes["age"].usable[:-1]
    assert (np.diff(age[:-1][usable][:, 0]) > 0).all()
    assert not age[-1].any()
    assert not grade[-1].any()


def test_a_fit_within_a_small_budget_is_taken(schema: dp.Schema) -> None:
    model = dp.DPAutoregressive(schema, settings=SETTINGS)
    model.fit(
        patients_frame().drop(columns="patient"),
        budget=BUDGET,
        ledger=open_ledger(schema),
        dataset="patients",
    )
    assert model.privacy_["epsilon"] <= BUDGET.epsilon


@pytest.mark.parametrize("hidden", [0, 12])
@torch.no_grad()
def test_draws_follow_the_rows_own_likelihood_with_and_without_hidden_units(hidden: int) -> None:
    network = random_network(columns=3, hidden=hidden)
    network.direct.table *= 0.4
    seen: list[torch.Tensor] = []

    def draw(column: int, logits: torch.Tensor) -> torch.Tensor:
        codes = torch.arange(64) % logits.shape[1]
        seen.append(
            logits.log_softmax(1)[torch.arange(64), codes] * network.outputs.weights[column]
        )
        return codes

    rows = network.sample(64, draw)
    torch.testing.assert_close(torch.stack(seen).sum(0), -network.row_loss(rows))


def test_defaults_follow_from_public_quantities_alone() -> None:
    model = dp.DPAutoregressive(patients_schema())

    def chosen(epsilon: float, rows: int) -> tuple[int, int, float]:
        budget = dp.Budget(epsilon=epsilon, delta=1e-6)
        codec = model._default_codec(budget, rows)
        settings = model._default_settings(budget, rows, codec)
        return codec.numeric_codes, settings.hidden, settings.codec_share

    assert chosen(1.0, 5_000)[:2] == (12, 0)
    assert chosen(1.0, 50_000)[:2] == (20, 64)
    assert chosen(0.1, 50_000)[:2] == (12, 0)
    shares = [chosen(1.0, rows)[2] for rows in (1_000, 10_000, 100_000)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 0.5
    assert shares[-1] == 0.2
