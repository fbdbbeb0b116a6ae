"""Ledger commands as a custodian types them."""

from __future__ import annotations

import itertools
import json
import stat
from pathlib import Path

import pytest

from dpsynth.cli import main
from dpsynth.ledger import ChargeState, Ledger
from tests.conftest import patients_frame, patients_schema
from tests.dpsynth.certificate.test_registry import TOML


class House:
    """A folder with a table, a schema and short names for commands."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.ledger = str(folder / "ledger.db")
        self._capsys = capsys
        patients_schema().write(folder / "schema.toml")
        patients_frame().drop(columns="patient").to_csv(folder / "patients.csv", index=False)

    def __call__(self, *words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err

    def book(self, command: str, *words: object) -> tuple[int, str, str]:
        return self("ledger", command, self.ledger, *words)

    def init(self, *words: object) -> None:
        facts = ["--dataset", "patients", "--epsilon", 2, "--delta", "1e-5"]
        assert self.book("init", *facts, *words)[0] == 0

    def fit(self, name: str, epsilon: float, *words: object, data: str = "patients.csv"):
        usual = {"--method": "independent", "--delta": "1e-6"}
        usual = {key: value for key, value in usual.items() if key not in words}
        return self(
            "fit", self.folder / data, "--schema", self.folder / "schema.toml",
            "--epsilon", epsilon, *itertools.chain(*usual.items()),
            "--ledger", self.ledger, "--dataset", "patients", "-o", self.folder / name, *words,
        )  # fmt: skip


@pytest.fixture
def house(tmp_path, capsys) -> House:
    return House(tmp_path, capsys)


def test_a_table_is_recognised_by_the_custodians_key(house):
    key = house.folder / "custodian.key"
    code, out, err = house("ledger", "key", key)
    assert (code, out.strip()) == (0, str(key))
    assert "nothing can replace it" in err
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().strip() not in out + err
    house.init("--data", house.folder / "patients.csv", "--key", key)
    patients_frame(seed=1).drop(columns="patient").to_csv(house.folder / "swapped.csv", index=False)
    assert house.fit("model", 0.5)[0] == 2
    code, _, err = house.fit("model", 0.5, "--key", key, data="swapped.csv")
    assert (code, "DPS616" in err) == (6, True)
    assert house.fit("model", 0.5, "--key", key)[0] == 0
    assert [line["state"] for line in shown(house)["charges"]] == [
        "aborted", "aborted", "committed",
    ]  # fmt: skip
    assert house.book("add", "next", "--data", house.folder / "swapped.csv", "--key", key)[0] == 0
    assert house.book("add", "more", "--data", house.folder / "swapped.csv")[0] == 2
    assert shown(house)["datasets"] == ["patients", "next"]


def shown(house: House) -> dict:
    code, out, _ = house.book("show", "--json")
    assert code == 0
    return json.loads(out)


def test_signed_anchors_are_written_and_checked(house):
    house.init()
    assert house("ledger", "key", "--signing", house.folder / "key.pem")[0] == 0
    anchor, public = house.folder / "anchor.json", house.folder / "key.pem.pub"
    assert house.book("anchor", "--key", house.folder / "key.pem", "-o", anchor)[0] == 0
    assert house.fit("model", 0.5)[0] == 0
    code, out, _ = house.book("check", "--anchor", anchor, "--public-key", public)
    assert code == 0
    assert "holds the anchor of entry 3" in out
    forged = json.loads(anchor.read_text()) | {"head": "0" * 64}
    anchor.write_text(json.dumps(forged))
    code, _, err = house.book("check", "--anchor", anchor, "--public-key", public)
    assert (code, "DPS615" in err) == (6, True)
    code, _, err = house.book("check", "--anchor", anchor)
    assert (code, "DPS614" in err) == (6, True)
    assert house.book("check", "--public-key", public)[0] == 2
    code, out, _ = house.book("anchor")
    assert json.loads(out)["sequence"] == shown(house)["anchor"]["sequence"]


def test_what_another_machine_left_open_is_settled_by_hand(house):
    house.init()
    schema = patients_schema()
    from dpsynth import Budget, Independent

    with Ledger.open(house.ledger) as book:
        plan = Independent(schema).plan(Budget(epsilon=0.5, delta=1e-6))
        reserved = book.reserve(plan, dataset="patients")
        touched = book.reserve(plan, dataset="patients")
        touched.touch()
    code, out, _ = house.book("settle", reserved.id)
    assert (code, out.strip()) == (0, "aborted")
    code, _, err = house.book("settle", touched.id)
    assert (code, "counts in full for ever" in err) == (2, True)
    assert house.book("settle", "nobody")[0] == 2
    with Ledger.open(house.ledger) as book:
        assert book.charge(touched.id).state is ChargeState.TOUCHED


@pytest.mark.parametrize(
    ("code", "rule", "method", "epsilon", "words"),
    [
        ("DPS101", "rdp", "independent", 1.9, "this plan costs ε = 1.675 at δ = 1e-05"),
        ("DPS101", "zcdp", "independent", 1.9, "this plan costs ε = 1.675 at δ = 1e-05"),
        ("DPS101", "rdp_mixture", "independent", 1.9, "this plan costs ε = 1.675 at δ = 1e-05"),
        ("DPS104", "zcdp", "dp-vae", 0.7, "no finite cost in zCDP"),
        ("DPS104", "gdp", "independent", 0.7, "no finite cost in Gaussian differential privacy"),
        ("DPS105", "rdp", "independent", 0.7, "the plan, of ε = 0.7 at δ = 1e-06, does not"),
    ],
)
def test_every_refusal_says_what_was_asked_what_remains_and_what_fits(
    house, code, rule, method, epsilon, words
):
    other_unit = ["--unit", "patient", "--max-rows", 3] if code == "DPS105" else []
    house.init("--stop-rule", rule, *other_unit)
    if code == "DPS101":
        assert house.fit("first", 1.0)[0] == 0
    before = shown(house)
    refused = house.fit("model", epsilon, "--method", method)
    assert refused[:2] == (4, "")
    assert f"error: {code}" in refused[2]
    assert words in refused[2]
    fits = before["remaining_epsilon"]
    assert f"ε up to {fits:g} at that δ" in refused[2]
    assert "Of the population's ε = 2 at δ = 1e-05" in refused[2]
    assert "Fix: " in refused[2]
    assert not (house.folder / "model").exists()
    after = shown(house)
    assert after["anchor"]["sequence"] == before["anchor"]["sequence"] + 1
    assert {**after, "anchor": None} == {**before, "anchor": None}
    if code == "DPS101":
        # What is said to fit does fit.
        assert house.fit("model", fits)[0] == 0


def test_a_budget_that_is_used_up_says_so(house):
    house.init("--stop-rule", "rdp")
    assert house.fit("first", 2.0, "--delta", "1e-5")[0] == 0
    code, _, err = house.fit("other", 0.01)
    assert (code, "nothing is left" in err) == (4, True)


@pytest.mark.parametrize("format", ["json", "csv", "html"])
def test_exports_are_written_once(house, format):
    house.init()
    assert house.fit("model", 0.5)[0] == 0
    target = house.folder / f"statement.{format}"
    code, out, _ = house.book("export", "--format", format, "-o", target)
    assert (code, out.strip()) == (0, str(target))
    assert "independent" in target.read_text(encoding="utf-8")
    before = target.read_bytes()
    assert house.book("export", "--format", format, "-o", target)[0] == 6
    assert target.read_bytes() == before


def test_a_registry_draft_needs_facts(house):
    house.init()
    target = house.folder / "draft.yaml"
    assert house.book("export", "--format", "registry-yaml", "-o", target)[0] == 2
    assert not target.exists()
    facts = house.folder / "facts.toml"
    facts.write_text(TOML)
    done = house.book("export", "--format", "registry-yaml", "--facts", facts, "-o", target)
    assert done[0] == 0, done[2]
    assert house.book("export", "--format", "pdf", "-o", house.folder / "x")[0] == 2


def test_stop_rules_are_named(house):
    assert house.book(
        "init", "--dataset", "d", "--epsilon", 1, "--delta", "1e-5", "--stop-rule", "best"
    )[0] == 2  # fmt: skip
    house.init("--stop-rule", "rdp_mixture")
    assert shown(house)["filter"] == "rdp_mixture"
