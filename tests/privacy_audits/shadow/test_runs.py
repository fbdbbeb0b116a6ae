"""Runs that are killed, repeated, spread out or meddled with."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from dpsynth.errors import DataError, IntegrityError, MissingExtraError, UsageError
from privacy_audits.shadow import (
    Cast,
    Moments,
    Nearest,
    ShadowDesign,
    ShadowRuns,
    SmoothedBootstrap,
    run_shadows,
)
from privacy_audits.shadow.kept import KeptShadows, Shadow
from tests.conftest import patients_frame, patients_schema

SCHEMA = patients_schema()
DESIGN = ShadowDesign(generator="bootstrap", shadows=10, base_rows=30, synthetic_rows=20)
MAPS = (Moments(), Nearest())


@dataclass(frozen=True)
class Counted:
    """A bootstrap that writes down every call, and fails at one of them."""

    log: Path
    fails_at: int | None = None

    def __call__(
        self, table: pd.DataFrame, *, rows: int | None, rng: np.random.Generator
    ) -> pd.DataFrame:
        calls = len(self.log.read_text()) if self.log.exists() else 0
        if calls == self.fails_at:
            raise KeyboardInterrupt
        with self.log.open("a") as file:
            file.write("x")
        return SmoothedBootstrap(schema=SCHEMA)(table, rows=rows, rng=rng)

    @property
    def calls(self) -> int:
        return len(self.log.read_text())


def cast() -> Cast:
    return Cast.of(patients_frame(60), SCHEMA, targets=np.array([1, 2, 3]))


def run(folder: Path, *, fit=None, design=DESIGN, rows=None, maps=MAPS, **how) -> ShadowRuns:
    fit = fit or SmoothedBootstrap(schema=SCHEMA)
    return run_shadows(fit, rows or cast(), design, folder, features=maps, **how)


def same(one: ShadowRuns, other: ShadowRuns) -> bool:
    return np.array_equal(one.members, other.members) and all(
        np.array_equal(one.features[name], other.features[name]) for name in one.features
    )


def test_a_run_goes_on_where_it_was_interrupted(tmp_path):
    log = tmp_path / "calls"
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "kept", fit=Counted(log, fails_at=4))
    steps = []
    found = run(tmp_path / "kept", fit=Counted(log), progress=lambda *step: steps.append(step))
    assert Counted(log).calls == 10
    assert steps == [(done, 10) for done in range(5, 11)]
    assert same(found, run(tmp_path / "at once"))
    run(tmp_path / "kept", fit=Counted(log))
    assert Counted(log).calls == 10


def test_a_process_that_is_killed_loses_nothing_that_was_finished(tmp_path):
    program = f"""
        import os, signal
        from pathlib import Path
        from tests.privacy_audits.shadow.test_runs import Counted, run
        def killed(table, *, rows, rng):
            fit = Counted(Path({str(tmp_path / "calls")!r}))
            out = fit(table, rows=rows, rng=rng)
            if fit.calls == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            return out
        run(Path({str(tmp_path / "kept")!r}), fit=killed)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -9
    assert same(run(tmp_path / "kept", fit=Counted(tmp_path / "again")), run(tmp_path / "at once"))
    # Five were finished; the sixth died with the process, before it was handed over.
    assert Counted(tmp_path / "again").calls == 5


def test_two_processes_give_what_one_gives(tmp_path):
    assert same(run(tmp_path / "one", n_jobs=1), run(tmp_path / "two", n_jobs=2))


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_a_backend_that_is_set_outside_carries_the_shadows(tmp_path, backend):
    """The second one cannot hand over results one by one, like that of Ray."""
    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = run(tmp_path / backend)
    assert same(found, run(tmp_path / "plain"))


def test_another_design_is_refused(tmp_path):
    run(tmp_path)
    other = Cast.of(patients_frame(60, seed=1), SCHEMA, targets=np.array([1, 2, 3]))
    for change in (
        {"design": replace(DESIGN, seed=1)},
        {"design": replace(DESIGN, shadows=12)},
        {"design": replace(DESIGN, generator="another one")},
        {"rows": other},
        {"maps": MAPS[:1]},
        {"maps": (Moments(), Nearest(k=2))},
    ):
        with pytest.raises(IntegrityError, match="another design"):
            run(tmp_path, **change)


def test_a_damaged_file_is_refused_and_made_anew_once_it_is_removed(tmp_path):
    found = run(tmp_path)
    path = tmp_path / "000003.shadow"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"000003\.shadow"):
        run(tmp_path)
    path.unlink()
    assert same(run(tmp_path), found)


def test_no_byte_can_be_damaged_unseen(tmp_path):
    kept = KeptShadows(tmp_path, DESIGN, "digest")
    kept.add(Shadow(number=3, present=np.array([True]), features=(np.arange(3.0)[None], np.eye(2))))
    path = tmp_path / "000003.shadow"
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(IntegrityError):
            kept.read(3)
    path.write_bytes(content)
    read = kept.read(3)
    assert read is not None
    np.testing.assert_array_equal(read.features[1], np.eye(2))


def test_a_file_that_was_cut_off_or_changed_places_is_refused(tmp_path):
    run(tmp_path)
    one, two = tmp_path / "000003.shadow", tmp_path / "000004.shadow"
    whole = one.read_bytes()
    one.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IntegrityError):
        run(tmp_path)
    one.write_bytes(two.read_bytes())
    with pytest.raises(IntegrityError):
        run(tmp_path)


def test_a_damaged_binding_is_refused(tmp_path):
    run(tmp_path)
    (tmp_path / "design.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"design\.json"):
        run(tmp_path)


def test_what_is_kept_is_for_its_owner_alone_and_holds_no_cell(tmp_path):
    frame = patients_frame(60)
    frame.loc[1, "age"] = 31_415
    run(tmp_path, rows=Cast.of(frame, SCHEMA, targets=np.array([1, 2, 3])))
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert b"31415" not in path.read_bytes()


def test_a_table_that_is_too_small_is_refused(tmp_path):
    with pytest.raises(UsageError, match="too few rows"):
        run(tmp_path, design=replace(DESIGN, base_rows=58))
    with pytest.raises(UsageError, match="too few rows"):
        run(tmp_path, design=replace(DESIGN, base_rows=55, absent="replaced"))
    with pytest.raises(UsageError, match="different names"):
        run(tmp_path, maps=(Moments(), Moments()))


def test_a_generator_that_gives_other_rows_than_asked_for_is_refused(tmp_path):
    def short(table: pd.DataFrame, *, rows: int | None, rng: np.random.Generator) -> pd.DataFrame:
        return SmoothedBootstrap(schema=SCHEMA)(table, rows=7, rng=rng)

    with pytest.raises(DataError, match="number of rows"):
        run(tmp_path, fit=short)
    run(tmp_path / "free", fit=short, design=replace(DESIGN, synthetic_rows=None))


def test_without_joblib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(MissingExtraError, match="audits"):
        run(tmp_path)


def test_nothing_that_is_shown_holds_a_value(tmp_path):
    found = run(tmp_path)
    assert repr(found) == "ShadowRuns('bootstrap')"
    assert repr(cast()) == "Cast('patients')"
