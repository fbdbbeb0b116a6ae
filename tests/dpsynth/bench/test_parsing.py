"""Sweep files: what is wrong is named at once, what is right is what is run."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from dpsynth.bench.configuration import ALL, CommandSpec, MethodSpec
from dpsynth.bench.parsing import read_sweep
from dpsynth.errors import UsageError
from tests.dpsynth.bench.conftest import WriteSweep, peer


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_sweep(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_sweep_is_what_its_file_says(write_sweep: WriteSweep) -> None:
    sweep = read_sweep(
        write_sweep(
            'methods = ["mst"]\nepsilons = [3, 0.5]\nseeds = [4, 2]\njobs = 2\nmeasures = "all"',
            '[[method]]\nlabel = "half"\nmethod = "mst"\nsettings = { choice_share = 0.5 }'
            + peer(more="timeout = 5"),
        )
    )
    assert sweep.epsilons == (0.5, 3.0)
    assert sweep.seeds == (4, 2)
    assert sweep.measures == (ALL,)
    own, half, other = sweep.methods
    assert isinstance(own, MethodSpec)
    assert not own.settings
    assert isinstance(half, MethodSpec)
    assert half.settings == {"choice_share": 0.5}
    assert isinstance(other, CommandSpec)
    assert other.timeout == 5.0
    assert other.guarantee == "claimed: none: it copies rows"
    assert sweep.tables[0].label == "patients"


def test_every_problem_is_named_at_once_with_its_place_and_a_fix(write_sweep: WriteSweep) -> None:
    message = refused(
        write_sweep(
            'methods = ["mts"]\nepsilons = [0]\nrepetitions = 0\nmeasures = ["beauty"]\nspeed = 9',
            """
[[dataset]]
kind = "sklearn"
name = "adult"
n = 5
[[dataset]]
kind = "csv"
label = "patients"
path = "nowhere.csv"
schema = "patients.toml"
holdout = 0.9
public = true
[[dataset]]
kind = "simulator"
name = "health"
public = true
[[method]]
label = "a | b"
method = "mst"
settings = { steps = 3 }
[[command]]
label = "peer"
command = ["run", "{fit}", "{sex}", "{epsilon}"]
[extra]
""",
        )
    )
    for part in (
        "[sweep] methods: it must be a list, each a text among dp-autoregressive",
        "[sweep] epsilons: it must be a list, each a number above 0",
        "[sweep] repetitions: it must be a whole number from 1.",
        "[sweep] measures: there is no measure 'beauty'",
        "[sweep]: unknown key 'speed'. Fix: did you mean 'seeds'?",
        "[[dataset]] 2 public: the table is not declared public. Fix: write public = true",
        "[[dataset]] 2 name: there is no sklearn table 'adult'. Fix: use breast_cancer",
        "[[dataset]] 2 n: not of sklearn tables.",
        "[[dataset]] 3 path: it must be a path where there is something",
        "[[dataset]] 3 holdout: it must be a number in (0, 0.6].",
        "[[dataset]] 4: 'n' is missing.",
        "[[method]] 1 label: it must be a text of one line",
        "[[method]] 1 settings: mst has no setting 'steps'. Fix: use codec_share",
        "[[command]] 1 command: it must be a list, each a text (with {epsilon}, {fit}, {out};",
        "[[command]] 1: 'claim' is missing.",
        "[extra]: unknown section.",
        "[[dataset]]: two are called 'patients'",
    ):
        assert part in message, part
    assert "17 problems" in message


@pytest.mark.parametrize("stated", ["public = false", 'public = "yes"', ""])
def test_a_table_that_is_not_public_has_no_place_in_a_sweep(tmp_path: Path, stated: str) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(
        '[sweep]\nmethods = ["mst"]\nepsilons = [1]\ndelta = 1e-5\n'
        f'[[dataset]]\nkind = "sklearn"\nname = "diabetes"\n{stated}\n'
    )
    assert "not declared public" in refused(path)


def test_a_table_of_files_is_named_by_the_file_or_by_its_folder(write_sweep: WriteSweep) -> None:
    common = 'methods = ["mst"]\nepsilons = [1]\nrows = 9'
    split = '[[dataset]]\nkind = "csv"\npublic = true\ntrain = "peer.py"\ntest = "peer.py"\n'
    folder = '[[dataset]]\nkind = "folder"\npublic = true\npath = "."\nrows = 3\n'
    path = write_sweep(common, folder)
    assert [table.label for table in read_sweep(path).tables] == ["patients", path.parent.name]
    assert [table.rows for table in read_sweep(path).tables] == [9, 3]
    assert "[[dataset]] 2: 'label' is missing." in refused(
        write_sweep(common, f'{split}schema = "peer.py"')
    )
    assert "[[dataset]] 2 path: not of csv with train and test tables." in refused(
        write_sweep(common, f'{split}schema = "peer.py"\nlabel = "a"\npath = "peer.py"')
    )


def test_repetitions_and_seeds_are_one_or_the_other(write_sweep: WriteSweep) -> None:
    assert "repetitions are given as well" in refused(
        write_sweep('methods = ["mst"]\nepsilons = [1]\nseeds = [1]\nrepetitions = 2')
    )


def test_what_is_no_sweep_file_is_refused(tmp_path: Path) -> None:
    assert "bench --example" in refused(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[sweep")
    assert "not TOML" in refused(tmp_path / "broken.toml")
    (tmp_path / "empty.toml").write_text("")
    assert "[[dataset]]: there is none" in refused(tmp_path / "empty.toml")


def test_the_example_can_be_run_as_it_is(tmp_path: Path) -> None:
    text = resources.files("dpsynth.bench").joinpath("example.toml").read_text("utf-8")
    (tmp_path / "example.toml").write_text(text)
    sweep = read_sweep(tmp_path / "example.toml")
    assert len(sweep.tables) == 3
    assert len(sweep.methods) == 4


@pytest.mark.parametrize("name", ["bench", "methods/frontier", "methods/ablation"])
def test_sweep_files_of_the_documentation_are_read(tmp_path: Path, name: str) -> None:
    docs = Path(__file__).parents[3] / "docs" / name / "sweep.toml"
    for table in ("adult", "bank", "housing"):
        folder = tmp_path / "tables" / table
        folder.mkdir(parents=True)
        for file in ("train.csv", "test.csv", "spec.json"):
            (folder / file).write_text("")
    path = tmp_path / "sweep.toml"
    path.write_text(docs.read_text("utf-8"))
    assert read_sweep(path).tables
