"""How the teachers of ``pate-gan`` are put on the bench of ``privacy_audits.conformance``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from dpsynth.codec import codec_charges
from dpsynth.neural import pategan as pategan_module
from dpsynth.neural.pategan import PATEGAN, VOTES, PATEGANSettings
from dpsynth.neural.voting import KEY_BYTES, Questions, Teachers, release_margins, vote_event
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PATEVote, Plan, PlannedCharge, PrivacyUnit
from privacy_audits.conformance import CoupledNoise, Tape
from tests.conftest import BUDGET, open_ledger, patients_schema
from tests.privacy_audits import rigs

Array = np.ndarray
Units = Sequence[Array]
Make = Callable[[], NoiseSource]

SCHEMA = patients_schema(id="patient", max_rows=3)
SETTINGS = PATEGANSettings(labels=30, rounds=3, steps=9, hidden=8, latent=3, batch=32)
COLUMNS, CODES = 3, 4
KEY = bytes(range(KEY_BYTES))


def units_of(rng: np.random.Generator, count: int, *, rows: int) -> list[Array]:
    """Units of up to ``rows`` rows, many of them equal."""
    sizes = rng.integers(1, rows + 1, count)
    return [rng.integers(CODES - 2, CODES, (size, COLUMNS)).astype(np.int32) for size in sizes]


def adversarial_pairs(rows: int, *, seed: int = 0) -> list[tuple[Units, Units]]:
    """Tables of units, and the same with one unit less: at every place, equal ones among them."""
    rng = np.random.default_rng([rows, seed])
    units = units_of(rng, 12, rows=rows)
    # Units that are each other's opposite leave teachers undecided, where one unit tips a vote.
    opposite = np.zeros((rows, COLUMNS), dtype=np.int32)
    units += [opposite, opposite, units[0], np.full((rows, COLUMNS), CODES - 1, dtype=np.int32)]
    pairs = [(units, [*units[:i], *units[i + 1 :]]) for i in range(len(units))]
    shuffled = [units[i] for i in rng.permutation(len(units))]
    return [*pairs, (shuffled[:4], shuffled[:3]), (units[:1], [])]


def questions(n: int, *, seed: int = 0) -> Questions:
    """Random questions over all pairs of columns."""
    rng = np.random.default_rng(seed)
    columns = np.array([sorted(rng.choice(COLUMNS, 2, replace=False)) for _ in range(n)])
    first, second = rng.choice(np.array([-1, 1], dtype=np.int8), (2, n, CODES))
    return Questions(columns=columns, first=first, second=second)


def ensemble(units: Units, make: type[Teachers] = Teachers, *, teachers: int) -> Teachers:
    codes = np.concatenate([*units, np.zeros((0, COLUMNS), dtype=np.int32)])
    index = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    return make(codes, index, teachers=teachers, key=KEY)


def ballots(
    make: type[Teachers] = Teachers, *, teachers: int = 5, rounds: int = 3
) -> Callable[[Units], Array]:
    """Every teacher's vote on twenty questions in each of several rounds."""

    def votes(units: Units) -> Array:
        group = ensemble(units, make, teachers=teachers)
        return np.concatenate([group.ballots(questions(20, seed=r)) for r in range(rounds)])

    return votes


def margins(make: type[Teachers] = Teachers, *, teachers: int = 5) -> Callable[[Units], Array]:
    """The margins of sixty votes."""
    return lambda units: ensemble(units, make, teachers=teachers).margins(questions(60))


def vote_release(
    released: Callable = release_margins,
    *,
    multiplier: float,
    relation: str = "add_remove",
    make: Make = NoiseSource.from_entropy,
) -> Callable[[Array], Array]:
    """The release of margins."""
    unit, noise = PrivacyUnit(relation=relation), make()  # type: ignore[arg-type]

    def release(exact: Array) -> Array:
        event = vote_event(noise_multiplier=multiplier, votes=exact.size, unit=unit)
        return released(exact.astype(np.int64), event=event, noise=noise)

    return release


def vote_plan(*, multiplier: float = 30.0, settings: PATEGANSettings = SETTINGS) -> Plan:
    """What a fit would plan, with noise that is not calibrated."""
    event = vote_event(noise_multiplier=multiplier, votes=settings.labels, unit=SCHEMA.unit)
    counts = codec_charges(SCHEMA, rigs.SETTINGS, sigma=40.0, failure_delta=1e-6)
    return Plan(
        method=PATEGAN.method,
        unit=SCHEMA.unit,
        budget=BUDGET,
        charges=(*counts, PlannedCharge(step=VOTES, mechanism=event)),
        parameters={
            "expected_units": 80,
            "teachers": 40,
            "settings": asdict(settings),
            "codec": rigs.SETTINGS.state(),
        },
        schema_sha256=SCHEMA.digest(),
    )


def taped_margins(tape: Tape) -> Callable:
    """A release of margins that answers from the tape."""

    def release(exact: Array, *, event: PATEVote, noise: NoiseSource) -> Array:
        return tape.answer(
            exact,
            lambda: release_margins(exact, event=event, noise=noise),
            sigma=event.noise_multiplier,
        )

    return release


def vote_bound(plan: Plan) -> float:
    """Root of the sum of (l2 sensitivity / σ)² over everything that the plan books."""
    event = plan.mechanism(VOTES)
    assert isinstance(event, PATEVote)
    counts = [m for m in plan.mechanisms if m is not event]
    moved = sum(m.count * m.sensitivity**2 / m.sigma**2 for m in counts)  # type: ignore[attr-defined]
    return float(np.sqrt(moved + event.votes / event.noise_multiplier**2))


def vote_fit(
    make: type[PATEGAN] = PATEGAN, *, plan: Plan | None = None, seed: int = 2, **parts: Any
) -> Callable[[pd.DataFrame, Tape], Mapping[str, object]]:
    """A whole fit with all releases on a tape; parts of it are exchanged by name."""
    plan = vote_plan() if plan is None else plan

    def run(frame: pd.DataFrame, tape: Tape) -> Mapping[str, object]:
        model, lines = make(SCHEMA), []
        parts_of = {"release_margins": taped_margins(tape), **parts}
        given = mock.patch.multiple(pategan_module, **parts_of)
        with rigs.taped_codec(tape), given, mock.patch.object(make, "plan", return_value=plan):
            model.fit(
                frame,
                budget=BUDGET,
                ledger=open_ledger(SCHEMA),
                dataset="patients",
                noise=CoupledNoise(seed=seed),
                progress=lambda done, of: lines.append((done, of)),
            )
        return {
            "plan": model.plan_.spec(),
            "codec": model._codec.state(),
            "weights": {name: array.tobytes() for name, array in model._arrays().items()},
            "rows": model.sample(20, seed=1).to_csv(),
            "progress": lines,
            "repr": repr(model),
        }

    return run


def released_votes(make: type[PATEGAN] = PATEGAN) -> tuple[PATEVote, PATEVote]:
    """The event that was booked, and one with as many votes as a fit really released."""
    tape, plan = Tape(), vote_plan()
    vote_fit(make, plan=plan)(rigs.one_more_patient(3)[1], tape)
    event = plan.mechanism(VOTES)
    assert isinstance(event, PATEVote)
    counts = [facts for facts in tape.facts if facts[0] == event.noise_multiplier]
    votes = sum(shape[0] for _, shape in counts)  # type: ignore[index]
    return event, vote_event(noise_multiplier=event.noise_multiplier, votes=votes, unit=SCHEMA.unit)
