"""Small runs with canaries whose parts can be exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from unittest import mock

from dpsynth import codec as codec_module
from dpsynth.counts import release_counts
from dpsynth.neural import dpsgd
from dpsynth.neural.voting import Teachers, release_margins
from privacy_audits.canaries import CanaryAudit, bench

CANARIES, FEWER = 1000, 400


def full_batch(seed: int = 0, **parts: object) -> CanaryAudit:
    """DP-SGD on all rows in every step; parts of the loop are exchanged by name."""
    with exchanged(parts):
        return bench.train_once(seed, 1.0, CANARIES, rate=1.0, steps=20)


def sampled(seed: int = 0, **parts: object) -> CanaryAudit:
    """DP-SGD on Poisson samples."""
    with exchanged(parts):
        return bench.train_once(seed, 1.0, FEWER, rate=0.05, steps=100)


@contextmanager
def exchanged(parts: Mapping[str, object]) -> Iterator[None]:
    """Put other parts in the places of those of the loop."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(bench, "_REFERENCE_RUNS", 40))
        for name, part in parts.items():
            stack.enter_context(mock.patch.object(dpsgd, name, part))
        yield


def counts(seed: int = 0, *, released: Callable = release_counts) -> CanaryAudit:
    """Histograms of the codec."""
    with mock.patch.object(codec_module, "release_counts", released):
        return bench.count_once(seed, 1.0, CANARIES)


def votes(
    seed: int = 0, *, released: Callable = release_margins, make: type[Teachers] = Teachers
) -> CanaryAudit:
    """Teachers and their vote."""
    with mock.patch.object(bench, "release_margins", released), small_ensemble():
        return bench.vote_once(seed, 1.0, FEWER, make=make)


@contextmanager
def small_ensemble() -> Iterator[None]:
    """Fewer votes and teachers than in the study."""
    bench.votes_event.cache_clear()
    with mock.patch.multiple(bench, _VOTES=1200, _TEACHERS=1500):
        yield
    bench.votes_event.cache_clear()
