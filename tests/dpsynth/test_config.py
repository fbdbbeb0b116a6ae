"""dpsynth.toml: precedence, places, problems, the template."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dpsynth.config import SECTIONS, ReleaseConfig, template
from dpsynth.errors import UsageError

FACTS = """
[publication]
title = "Visits"
curators = ["A"]
description = "d"
intended_use = "u"
not_for = "n"
population = "p"
period = "2026"
region = "r"
contact = "c"
licence = "l"
maintenance = "m"
registry_authors = ["A"]
data_source = "Static"
"""
LEAST = """
[files]
table = "t.csv"
schema = "sub/s.toml"
[ledger]
address = "l.db"
dataset = "visits"
[budget]
epsilon = 1
delta = 1e-6
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "dpsynth.toml"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str = LEAST + FACTS, **options: object) -> ReleaseConfig:
    options = {"environment": {}, **options}
    return ReleaseConfig.read(written(folder, text), **options)  # type: ignore[arg-type]


def test_flags_win_over_the_environment_and_this_over_the_file(tmp_path: Path) -> None:
    environment = {"DPSYNTH_BUDGET_EPSILON": "2", "DPSYNTH_BUDGET_DELTA": "1e-7"}
    environment["DPSYNTH_LEDGER_DATASET"] = "2026"
    config = read(
        tmp_path, environment=environment, flags={"budget.epsilon": 3.0, "method.name": None}
    )
    assert (config.budget.epsilon, config.budget.delta) == (3.0, 1e-7)
    assert config.ledger.dataset == "2026"
    assert config.method.name == "auto"
    text = config.to_toml()
    for line in (
        "epsilon = 3.0  # flag",
        "delta = 1e-07  # environment",
        'title = "Visits"  # file',
        'name = "auto"  # default',
    ):
        assert line in text


def test_what_is_printed_reads_back(tmp_path: Path) -> None:
    config = read(tmp_path)
    printed = config.to_toml()
    (tmp_path / "again").mkdir()
    again = ReleaseConfig.read(written(tmp_path / "again", printed), environment={})
    assert again.criteria == config.criteria
    assert again.publication == config.publication
    assert set(tomllib.loads(printed)) == set(SECTIONS)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://me:s3cret@host:5432/db",
        "postgresql://me:s3c/ret@host/db".replace("/ret", "%2Fs3cret"),
        "postgresql://host/db?user=me&password=s3cret&sslmode=require",
        "postgresql://host/db?sslpassword=s3cret",
    ],
)
def test_a_password_is_not_printed(tmp_path: Path, address: str) -> None:
    config = read(tmp_path, environment={"DPSYNTH_LEDGER_ADDRESS": address})
    assert config.ledger.address == address
    for text in (config.to_toml(), repr(config)):
        assert "s3c" not in text
        assert "host" in text
        assert "/db" in text


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, flags={"files.table": Path("here.csv")})
    assert config.files.table == Path("here.csv")
    assert config.files.schema == tmp_path / "sub" / "s.toml"
    assert config.ledger.address == str(tmp_path / "l.db")
    url = LEAST.replace('"l.db"', '"postgresql://host/db"') + FACTS
    assert read(tmp_path, url).ledger.address == "postgresql://host/db"


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    text = (LEAST + FACTS).replace("epsilon = 1", "epsilon = -1").replace('title = "Visits"\n', "")
    text += "[audit]\ncanaries = 0\n[purchase]\none_way = 0.1\n[colour]\nred = 1\n"
    with pytest.raises(UsageError, match="5 problems") as refusal:
        read(tmp_path, text)
    message = str(refusal.value)
    assert refusal.value.exit_code == 2
    for part in (
        "[budget]: epsilon must be a positive number",
        "[publication]: 'title' is missing.",
        "[audit]: canaries must be at least 40.",
        "[purchase]: a limit needs a figure, and a figure must be bought.",
        "[colour]: unknown section.",
    ):
        assert part in message, part


def test_a_file_states_who_publishes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="publication"):
        read(tmp_path, LEAST)
    flags = {"files.table": "t", "files.schema": "s", "ledger.address": "l"}
    flags |= {"ledger.dataset": "d", "budget.epsilon": 1.0, "budget.delta": 1e-6}
    bare = ReleaseConfig.read(None, environment={}, flags=flags)
    assert bare.publication is None
    assert bare.files.schema == Path("s")


@pytest.mark.parametrize("text", ["[files\n", "\xff"])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dpsynth.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="not"):
        ReleaseConfig.read(path, environment={})
    with pytest.raises(UsageError, match="no readable file"):
        ReleaseConfig.read(tmp_path / "none.toml", environment={})


def test_the_template_has_every_key_with_its_meaning_and_asks_for_answers(tmp_path: Path) -> None:
    text = template(
        tmp_path / "in" / "s.toml",
        table=tmp_path / "v.csv",
        ledger="ledger.db",
        dataset="visits",
        folder=tmp_path,
    )
    document = tomllib.loads(text)
    assert set(document) == set(SECTIONS)
    assert document["files"] == {"schema": "in/s.toml", "table": "v.csv"}
    assert document["ledger"]["dataset"] == "visits"
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if " = " in line and not line.startswith("# F"):
            assert lines[number - 1].startswith("#"), line
    with pytest.raises(UsageError, match="still to be filled in"):
        read(tmp_path, text)


def test_the_digest_of_criteria_follows_their_values(tmp_path: Path) -> None:
    one = read(tmp_path).criteria
    other = read(tmp_path, LEAST + FACTS + "[policy]\nmost_auc = 0.55\n").criteria
    assert one.to_dict() != other.to_dict()
    assert one == read(tmp_path, LEAST + FACTS + "[policy]\nmost_auc = 0.6\n").criteria
