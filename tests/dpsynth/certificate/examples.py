"""Statements to test with: one like a year's work, and any that is well formed."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from dpsynth.certificate import (
    DeploymentFacts,
    Meaning,
    Statement,
    StatementCharge,
    StatementRelease,
)
from dpsynth.privacy import (
    ZCDP,
    Budget,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    NeighbouringRelation,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
    PrivacyUnit,
)

ADD = NeighbouringRelation.ADD_REMOVE
CURVE = ((0.5, 0.11), (1.0, 1.2e-2), (2.0, 2.3e-5), (2.105, 1e-5), (3.0, 1.9e-9))


def charge(number: int = 1, **changes: Any) -> StatementCharge:
    mechanisms: tuple[tuple[str, Mechanism], ...] = (
        ("discover categories", PartitionSelection(relation=ADD, sigma=9.5, failure_delta=1e-8)),
        ("bins", DiscreteGaussian(relation=ADD, sigma=40.0, count=7)),
        (
            "gradients",
            PoissonSampledGaussian(
                relation=ADD, noise_multiplier=1.2, sampling_probability=0.01, steps=1000
            ),
        ),
    )
    fields: dict[str, Any] = {
        "id": f"6f1c1a52-0000-4000-8000-{number:012d}",
        "method": "dp-vae",
        "dataset": "admissions 2025",
        "state": "committed",
        "day": "2026-03-14",
        "epsilon_alone": 1.299,
        "share": 0.25,
        "mechanisms": tuple((step, m.spec()) for step, m in mechanisms),
        "step_shares": (0.01, 0.04, 0.2),
        "plan_sha256": f"{number:064x}",
    }
    return StatementCharge(**{**fields, **changes})


def statement(**changes: Any) -> Statement:
    noise = (("counts", DiscreteGaussian(relation=ADD, sigma=30.0, count=12).spec()),)
    plain = {"method": "independent", "mechanisms": noise, "step_shares": None}
    charges = (
        charge(1),
        charge(2, **plain, share=0.125, epsilon_alone=0.71, day="2026-04-02"),
        charge(3, state="aborted", share=0.0, step_shares=None, epsilon_alone=1.1),
        charge(
            4,
            state="stopped",
            share=0.1,
            step_shares=(0.01, 0.04, 0.05),
            epsilon_alone=0.62,
            steps_run={"gradients": 250},
            day="2026-05-20",
        ),
        charge(5, **plain, state="touched", share=0.0625, day="2026-06-01", epsilon_alone=0.44),
    )
    fields: dict[str, Any] = {
        "ledger_id": "0d6f34c8-64a5-4a9d-9a55-6a8f0c2b7d11",
        "sequence": 27,
        "head": "ab" * 32,
        "population": "Patients of the county hospital",
        "datasets": ("admissions 2025", "admissions 2026"),
        "unit": PrivacyUnit(column="patient_id", max_rows=4),
        "n_policy": "noised",
        "budget": Budget(epsilon=3.0, delta=1e-5),
        "filter": "rdp",
        "spent": 2.205,
        "spent_if_fixed": 2.106,
        "remaining": 1.734,
        "capacity_used": 0.5375,
        "curve": CURVE,
        "meaning": Meaning.of(CURVE, epsilon=2.205),
        "charges": charges,
        "releases": (
            StatementRelease(
                id="b3c4d5e6-1111-4000-8000-000000000001",
                name="Admissions for teaching",
                day="2026-04-10",
                table_sha256="cd" * 32,
                charge_ids=(charges[0].id, charges[1].id),
                epsilon=1.62,
            ),
        ),
        "versions": {"dpsynth": "0.1.0", "dp-accounting": "0.6.0", "python": "3.11.2"},
    }
    return Statement(**{**fields, **changes})


def facts(**changes: Any) -> DeploymentFacts:
    fields: dict[str, Any] = {
        "name": "Synthetic admissions",
        "curators": ("County hospital",),
        "description": "A synthetic table of admissions.",
        "intended_use": "Teaching.",
        "region": "Testland",
        "publication_date": "2026-04-10",
        "registry_authors": ("A. Nobody",),
        "data_source": "Static",
    }
    return DeploymentFacts(**{**fields, **changes})


# -- any statement --------------------------------------------------------------------------------

names = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"))
    | st.sampled_from(" <>&\"'=+-@;,|{}%#:$\\`"),
    min_size=1,
    max_size=20,
).filter(lambda text: text.isprintable() and bool(text.strip()))
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
days = st.dates().map(lambda value: value.isoformat())
chances = st.floats(0, 1)
positive = st.floats(1e-6, 1e6)
counts = st.integers(1, 10**6)
mechanisms = st.one_of(
    st.builds(Gaussian, relation=st.just(ADD), noise_multiplier=positive, count=counts),
    st.builds(DiscreteGaussian, relation=st.just(ADD), sigma=positive, count=counts),
    st.builds(
        PartitionSelection, relation=st.just(ADD), sigma=positive, failure_delta=st.just(1e-9)
    ),
    st.builds(Laplace, relation=st.just(ADD), noise_multiplier=positive),
    st.builds(Exponential, relation=st.just(ADD), epsilon=positive),
    st.builds(
        PoissonSampledGaussian,
        relation=st.just(ADD),
        noise_multiplier=positive,
        sampling_probability=st.floats(1e-6, 1),
        steps=counts,
    ),
    st.builds(PATEVote, relation=st.just(ADD), noise_multiplier=positive, votes=counts),
    st.builds(ZCDP, relation=st.just(ADD), rho=positive),
)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    datasets = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    weights = draw(st.lists(st.floats(0, 1), max_size=6))
    total = math.fsum(weights) or 1.0
    used = draw(chances)
    charges = []
    for number, weight in enumerate(weights):
        state = draw(st.sampled_from(["reserved", "touched", "stopped", "committed", "aborted"]))
        steps = draw(st.lists(st.tuples(names, mechanisms), max_size=3))
        share = 0.0 if state == "aborted" else used * weight / total
        parts = draw(st.booleans()) and steps
        run = {steps[0][0]: draw(st.integers(0, 10**6))} if steps and draw(st.booleans()) else None
        charges.append(
            StatementCharge(
                id=f"{number}{draw(names)}",
                method=draw(names),
                dataset=draw(st.sampled_from(datasets)),
                state=state,
                day=draw(days),
                epsilon_alone=draw(st.floats(0, 1e6)),
                share=share,
                mechanisms=tuple((step, m.spec()) for step, m in steps),
                plan_sha256=draw(digests),
                steps_run=run,
                step_shares=tuple(share / len(steps) for _ in steps) if parts else None,
            )
        )
    curve = draw(st.lists(st.tuples(st.floats(0, 50), chances), min_size=1, max_size=4))
    ids = [c.id for c in charges]
    releases = draw(
        st.lists(
            st.builds(
                StatementRelease,
                id=names,
                name=names,
                day=days,
                table_sha256=digests,
                charge_ids=(
                    st.lists(st.sampled_from(ids), unique=True).map(tuple) if ids else st.just(())
                ),
                epsilon=st.floats(0, 1e6),
            ),
            max_size=2,
        )
    )
    epsilon = draw(st.floats(0, 1000))
    return Statement(
        ledger_id=draw(names),
        sequence=draw(st.integers(0, 10**9)),
        head=draw(digests),
        population=draw(names),
        datasets=tuple(datasets),
        unit=draw(
            st.builds(PrivacyUnit, relation=st.sampled_from(NeighbouringRelation))
            | st.builds(PrivacyUnit, column=names, max_rows=st.integers(1, 50))
        ),
        n_policy=draw(st.sampled_from(["noised", "declared", "replace_one"])),
        budget=Budget(epsilon=draw(positive), delta=draw(st.floats(1e-10, 0.5))),
        filter=draw(st.sampled_from(["rdp", "zcdp"]) | names),
        spent=epsilon,
        spent_if_fixed=draw(st.none() | st.floats(0, 1000)),
        remaining=draw(st.floats(0, 1000)),
        capacity_used=math.fsum(c.share for c in charges),
        curve=tuple(curve),
        meaning=Meaning.of(curve, epsilon=epsilon),
        charges=tuple(charges),
        releases=tuple(releases),
        versions=draw(st.dictionaries(names, names, max_size=3)),
    )
