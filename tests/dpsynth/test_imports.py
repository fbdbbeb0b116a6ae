"""``import dpsynth`` stays light, and its public names are what they say."""

from __future__ import annotations

import subprocess
import sys

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
