"""Whatever stops the sealing leaves no bundle or a whole one, and a sound ledger."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import dpsynth as dp
from dpsynth.release import sealing, verify
from tests.dpsynth.release.examples import Fitted, files_of, sealed

FILES = {"a": b"one", "b": b"two", "evidence/c": b"three", "evidence/d": b"four"}
STEPS = len(FILES) + 2 + 1  # files, two folders, the folder around
KILLED = 9


class Crash(BaseException):
    """Not an Exception: nothing may catch it on the way."""


class Count:
    """Stands for a function and stops the process, or this thread, at one of its calls."""

    def __init__(self, function: object, *, at: int, kill: bool) -> None:
        self.function, self.at, self.kill, self.calls = function, at, kill, 0

    def __call__(self, *args: object, **options: object) -> object:
        self.calls += 1
        if self.calls == self.at:
            if self.kill:
                os._exit(KILLED)
            raise Crash
        return self.function(*args, **options)  # type: ignore[operator]


@pytest.mark.parametrize("at", range(1, STEPS + 2))
def test_a_kill_at_any_step_leaves_nothing_or_the_whole(at: int, tmp_path: Path) -> None:
    out = tmp_path / "release"
    child = os.fork()
    if child == 0:
        # Without Python's own clean-up, as after SIGKILL.
        try:
            sealing.os.fsync = Count(os.fsync, at=at, kill=True)  # type: ignore[assignment]
            sealing._write_folder(FILES, out, just_before=lambda: None)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (KILLED if at <= STEPS else 0)
    if at < STEPS:
        assert not out.exists()
    else:
        assert files_of(out) == FILES


@pytest.mark.parametrize("step", ["first file", "last file", "ledger", "renaming"])
def test_an_interrupted_seal_leaves_no_bundle_and_a_sound_ledger(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as patched:
        if step == "ledger":
            patched.setattr(dp.Ledger, "record_release", Count(None, at=1, kill=False))
        elif step == "renaming":
            patched.setattr(Path, "rename", Count(None, at=1, kill=False))
        else:
            at = 1 if step == "first file" else 11
            patched.setattr(sealing, "_write", Count(sealing._write, at=at, kill=False))
        with pytest.raises(Crash):
            sealed(fitted, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) in ([], ["release-internal"])
    fitted[1].check(recomputed=True)


def test_a_crash_after_the_renaming_leaves_a_whole_bundle(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = sealing._sync_folder

    def crash(path: Path) -> None:
        if path == tmp_path:
            raise Crash
        sync(path)

    monkeypatch.setattr(sealing, "_sync_folder", crash)
    with pytest.raises(Crash):
        sealed(fitted, tmp_path)
    assert all(check.passed for check in verify(tmp_path / "release"))
