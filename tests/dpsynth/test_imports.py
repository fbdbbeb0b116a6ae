"""``import dpsynth`` stays light, and its public names are what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dpsynth


def modules_after(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_import_loads_nothing_heavy() -> None:
    loaded = modules_after("import dpsynth")
    assert not loaded & {"torch", "sklearn", "matplotlib", "pandas", "scipy", "opacus", "numpy"}


@pytest.mark.parametrize("name", ["Schema", "Ledger", "Accountant", "Independent", "Budget"])
def test_names_without_a_network_load_no_torch(name: str) -> None:
    loaded = modules_after(f"import dpsynth; dpsynth.{name}")
    assert not loaded & {"torch", "sklearn", "matplotlib", "opacus"}


def test_every_public_name_resolves() -> None:
    for name in dpsynth.__all__:
        assert getattr(dpsynth, name).__doc__
        assert name in dir(dpsynth)
    with pytest.raises(AttributeError, match="nothing"):
        dpsynth.nothing  # noqa: B018


def test_benchmarks_is_ours_wherever_one_stands(tmp_path: Path) -> None:
    """opacus installs a package of that name as well."""
    for statement in (
        "import dpsynth, benchmarks; print(callable(benchmarks.evaluate))",
        "import benchmarks, dpsynth, benchmarks; print(callable(benchmarks.evaluate))",
        "import dpsynth; from importlib import resources; "
        "print(resources.files('benchmarks').joinpath('evaluate.html.jinja').is_file())",
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-c", statement], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.stdout.strip() == "True", done.stderr[-300:]


def test_parts_of_the_wrong_package_are_forgotten_with_it(tmp_path: Path) -> None:
    for name in ("opacus/__init__.py", "benchmarks/__init__.py", "benchmarks/report.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    script = "import benchmarks.report, dpsynth, benchmarks; print(callable(benchmarks.evaluate))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "True", done.stderr[-300:]


def test_a_package_of_that_name_in_a_project_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("MINE = True\n")
    script = "import dpsynth, benchmarks; print(benchmarks.MINE)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "True", done.stderr[-300:]
