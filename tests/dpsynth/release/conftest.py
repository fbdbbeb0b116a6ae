"""A fitted model and a whole release, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.dpsynth.release.examples import Fitted, facts, fit, sealed


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    return fit()


@pytest.fixture(scope="session")
def whole(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with everything in it; not to be changed."""
    return sealed(
        fitted, tmp_path_factory.mktemp("whole"), facts=facts(), criteria={"tvd1.mean": 0.1}
    )


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "release"))
