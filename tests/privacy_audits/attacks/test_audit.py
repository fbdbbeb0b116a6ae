"""The whole audit: what it reads, what it says and what it does not show."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from scipy import stats
from scipy.stats import fisher_exact

import dpsynth as dp
from dpsynth.errors import DataError
from privacy_audits.attacks import Clique, Design, audit_table, split_audit
from privacy_audits.attacks.coding import Block, Layout
from privacy_audits.attacks.inference import linear_reconstruction, nearest_inference
from privacy_audits.attacks.linkability import linkability
from privacy_audits.attacks.membership import Judge, declared_guesses
from privacy_audits.attacks.rare import exact_copies
from privacy_audits.attacks.result import gap
from privacy_audits.attacks.singling_out import singling_out
from privacy_audits.estimate.roc import Rate
from tests.conftest import patients_frame, patients_schema
from tests.privacy_audits.attacks.tables import mixture

CLAIM = dp.Budget(epsilon=1.0, delta=1e-5)
UNITS = patients_schema(id="patient", max_rows=3)


def audited(**options):
    frame = patients_frame(900)
    fresh = patients_frame(500, seed=7).drop(columns="patient")
    settings = {"claim": CLAIM, "rng": np.random.default_rng(0)} | options
    released = settings.pop("released", fresh)
    return audit_table(released, frame.iloc[:450], frame.iloc[450:], UNITS, **settings)


def test_everything_is_stated_and_can_be_written():
    audit = audited()
    document = json.loads(json.dumps(audit.to_dict(), allow_nan=False))
    assert set(document["membership"]) == {
        "dcr",
        "dcr-difference",
        "domias",
        "gen-lra",
        "marginals",
        "rare-combinations",
        "dcr:outlying",
    }
    assert set(document["gaps"]) == {
        "exact-copies",
        "near-copies",
        "singling-out",
        "linkability",
        "inference:died",
        "reconstruction:died",
    }
    for entry in document["membership"].values():
        assert entry["auc"]["lower"] <= entry["auc"]["point"] <= entry["auc"]["upper"]
        assert entry["auc"]["cap"] == pytest.approx(math.e / (1 + math.e), abs=1e-4)
        assert entry["one_run"]["lower"] <= entry["one_run"]["ceiling"]
    assert set(audit.p_values) == set(audit.p_no_influence)
    assert all(0 <= p <= 1 for p in (*audit.p_values.values(), *audit.p_no_influence.values()))


def test_representations_show_no_number_from_rows():
    audit = audited()
    parts = (audit, *audit.membership, *audit.gaps, audit.screening)
    shown = [repr(part) for part in parts]
    assert all("confidential" in text for text in shown)
    numbers = re.findall(r"\d+", " ".join(shown))
    assert numbers == [str(len(audit.membership) + len(audit.gaps))]


def test_a_seed_decides_everything():
    first, second = audited(), audited()
    other = audited(rng=np.random.default_rng(1))
    assert first.to_dict() == second.to_dict()
    assert first.to_dict() != other.to_dict()


def test_one_row_stands_for_a_unit():
    """450 rows of 150 units: 75 held-out units are targets, as many members, 75 reference."""
    audit = audited()
    assert (audit.members, audit.others, audit.reference) == (75, 75, 75)


def test_without_a_claim_nothing_is_compared_with_one():
    audit = audited(claim=None)
    assert audit.p_values == {}
    assert audit.to_dict()["claim"] is None
    assert all(m.auc_cap is None for m in audit.membership)


def test_a_bound_without_coins_says_that_it_is_heuristic():
    audit = audited()
    assert not audit.randomised
    assert all("HEURISTIC" in m.one_run.assumptions[0] for m in audit.membership)


def test_recorded_coins_choose_members_others_and_reference():
    split = split_audit(
        patients_frame(1500),
        UNITS,
        design=Design(audited=0.6, reference=0.2),
        rng=np.random.default_rng(0),
    )
    fresh = patients_frame(400, seed=7)
    audit = audit_table(
        fresh,
        split.fitted,
        split.held_out,
        UNITS,
        coins=split.coins,
        claim=CLAIM,
        rng=np.random.default_rng(0),
    )
    coins = split.coins
    units = split.held_out["patient"]
    assert audit.randomised
    assert audit.members == split.fitted["patient"].iloc[coins.members].nunique()
    assert audit.others == units.iloc[coins.others].nunique()
    assert audit.reference == units.drop(index=coins.others).nunique()
    assert all("HEURISTIC" not in m.one_run.assumptions[0] for m in audit.membership)
    with pytest.raises(DataError, match="DPS410"):
        audit_table(
            fresh,
            split.fitted.iloc[:-1],
            split.held_out,
            UNITS,
            coins=coins,
            rng=np.random.default_rng(0),
        )


def test_the_cut_to_fewer_targets_does_not_look_at_the_coins():
    split = split_audit(
        patients_frame(1500).drop(columns="patient"),
        patients_schema(),
        design=Design(audited=0.8, reference=0.1),
        rng=np.random.default_rng(0),
    )
    audit = audit_table(
        patients_frame(100, seed=7),
        split.fitted,
        split.held_out,
        patients_schema(),
        coins=split.coins,
        targets=100,
        rng=np.random.default_rng(0),
    )
    assert audit.members + audit.others == 200
    assert audit.members != 100


def test_a_value_outside_the_public_domain_is_a_hard_violation():
    released = patients_frame(500, seed=7)
    released.loc[0, "ward"] = "a ward that nobody declared"
    audit = audited(released=released)
    assert audit.outside_domain == ("ward",)
    assert "outside-domain" in audit.hard_violations
    assert audited().hard_violations == ()


def test_measured_cliques_are_attacked():
    one_way = audited().membership[4]
    pairs = audited(cliques=[Clique(columns=("ward", "grade"), sigma=2.0)]).membership[4]
    assert one_way.name == pairs.name == "marginals"
    assert one_way.auc.point != pairs.auc.point


def test_sides_are_cut_to_equal_size_without_coins():
    frame = patients_frame(900)
    fresh = patients_frame(300, seed=7)
    audit = audit_table(
        fresh, frame.iloc[:180], frame.iloc[180:], UNITS, rng=np.random.default_rng(0)
    )
    assert (audit.members, audit.others, audit.reference) == (60, 60, 120)


def test_the_chance_of_a_false_block_is_stated():
    assert audited().hard_false_alarms == pytest.approx(9e-7)
    assert audited(claim=None).hard_false_alarms == pytest.approx(2e-7)


def test_too_few_units_are_refused():
    frame = patients_frame(60)
    with pytest.raises(DataError, match="DPS413"):
        audit_table(frame, frame, frame, UNITS, rng=np.random.default_rng(0))


def test_a_unit_on_both_sides_is_refused_and_not_named():
    frame = patients_frame(900)
    held_out = frame.iloc[450:].assign(patient=lambda part: part["patient"].astype(str))
    assert audit_table(frame, frame[:450], held_out, UNITS, rng=np.random.default_rng(0))
    held_out.iloc[0, 0] = "31"
    with pytest.raises(DataError, match="DPS414") as refusal:
        audit_table(frame, frame[:450], held_out, UNITS, rng=np.random.default_rng(0))
    assert "31" not in str(refusal.value)


# -- the parts -------------------------------------------------------------------------------------


def test_no_influence_is_fishers_exact_test():
    fitted, held_out = Rate(successes=9, trials=60), Rate(successes=2, trials=90)
    expected = fisher_exact([[9, 51], [2, 88]], alternative="greater").pvalue
    result = gap("x", fitted, held_out, claim=None)
    assert result.p_no_influence == pytest.approx(expected)
    assert result.p_value is None


def test_a_claim_that_allows_more_is_refuted_less():
    rates = Rate(successes=90, trials=200), Rate(successes=2, trials=200)
    p = [
        gap("x", *rates, claim=dp.Budget(epsilon=epsilon, delta=1e-9)).p_value
        for epsilon in (0.1, 1.0, 5.0)
    ]
    assert p[0] < p[1] < 1e-6 < p[2]


def test_unequal_sizes_are_no_excess():
    rates = Rate(successes=100, trials=1000), Rate(successes=10, trials=100)
    result = gap("x", *rates, claim=dp.Budget(epsilon=0.01, delta=1e-9))
    assert result.p_no_influence > 0.4
    assert result.p_value == 1


@pytest.mark.parametrize(
    ("fitted", "held_out", "epsilon", "certain", "violated"),
    [
        (60, 0, 1.0, True, True),
        (60, 15, 1.0, True, False),
        (10, 0, 1.0, False, False),
        (100, 30, 1.0, True, False),
        (60, 0, 4.0, True, False),
    ],
)
def test_a_hard_rule_needs_certainty_and_more_than_the_claim_allows(
    fitted, held_out, epsilon, certain, violated
):
    rates = Rate(successes=fitted, trials=1000), Rate(successes=held_out, trials=1000)
    claim = dp.Budget(epsilon=epsilon, delta=1e-5)
    rule = gap("x", *rates, claim=claim, hard=True)
    assert (rule.certain, rule.violated) == (certain, violated)
    assert gap("x", *rates, claim=None, hard=True).violated is certain
    assert not gap("x", *rates, claim=claim).violated


def test_copies_count_only_rows_that_occur_once():
    fitted = np.array([[1], [2], [3], [3], [4]])
    held_out = np.array([[4], [5], [6]])
    result = exact_copies(np.array([[1], [3], [4], [6]]), fitted, held_out, claim=None)
    assert result is not None
    assert result.fitted == Rate(successes=1, trials=2)
    assert result.held_out == Rate(successes=1, trials=2)
    assert exact_copies(np.array([[1]]), np.array([[4], [4]]), held_out, claim=None) is None


def test_guesses_are_the_declared_ones():
    inside = np.arange(4000) < 2000
    guesses = declared_guesses(-np.arange(4000.0), inside, rng=np.random.default_rng(0))
    assert [(g.made, g.correct) for g in guesses] == [
        (40, 40),
        (100, 100),
        (400, 400),
        (2000, 2000),
    ]


def test_ties_are_broken_without_regard_to_the_order_of_rows():
    inside = np.arange(4000) < 2000
    guesses = declared_guesses(np.zeros(4000), inside, rng=np.random.default_rng(0))
    assert all(abs(g.correct - g.made / 2) < 5 * math.sqrt(g.made) / 2 for g in guesses)


def coded(rows: np.ndarray) -> Block:
    cells = rows.astype(np.int32)
    return Block(numeric=np.zeros((len(rows), 0), np.float32), discrete=cells, cells=cells)


def layout(width: int, levels: int) -> Layout:
    names, sizes = tuple(f"c{j}" for j in range(width)), np.full(width, levels)
    return Layout(names=names, sizes=sizes, numeric=(), discrete=names, levels=sizes)


def test_attacks_succeed_on_a_released_table_that_is_the_fitted_one():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 6, (600, 6))
    rows[:, 5] = rng.integers(0, 2, 600)
    fitted, held_out = coded(rows[:300]), coded(rows[300:])
    targets, inside = coded(rows), np.arange(600) < 300
    facts = layout(6, 6)
    results = [
        singling_out(fitted, targets, inside, claim=None, rng=rng),
        linkability(fitted, targets, inside, claim=None, rng=rng),
        nearest_inference(fitted, targets, inside, layout=facts, secret="c5", claim=None),
        linear_reconstruction(
            fitted, fitted, held_out, layout=facts, secret="c5", claim=None, rng=rng
        ),
    ]
    for result in results:
        assert result is not None
        assert result.difference > 0.2, result.name
        assert result.limits(0.05)[0] > 0.1
        assert result.p_no_influence < 1e-6


def test_singling_out_counts_the_predicates_that_were_tried():
    rows = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 1], [2, 2, 2]])
    targets = coded(np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2], [2, 2, 2]]))
    inside = np.array([True, True, False, False])
    result = singling_out(coded(rows), targets, inside, claim=None, rng=np.random.default_rng(0))
    assert result is not None
    # Two released rows are alone; one of them isolates a member, none a non-member.
    assert result.fitted == Rate(successes=1, trials=2)
    assert result.held_out == Rate(successes=0, trials=2)


def test_reconstruction_of_independent_secrets_is_no_better_on_fitted_rows():
    rng = np.random.default_rng(1)
    blocks = [coded(rng.integers(0, 3, (n, 5))) for n in (400, 900, 300)]
    result = linear_reconstruction(*blocks, layout=layout(5, 3), secret="c0", claim=None, rng=rng)
    assert result is not None
    assert result.fitted.trials == result.held_out.trials == 300
    assert result.p_no_influence > 1e-3


def test_who_was_fitted_does_not_enter_a_reconstruction():
    # Guesses of one system hang together: the test must not take them for independent ones.
    rng = np.random.default_rng(2)
    rows = rng.integers(0, 3, (900, 5))
    rows[:, 0] = np.where(rng.random(900) < 0.7, rows[:, 1] > 0, rows[:, 0])
    released, table = coded(rows[:300]), rows[300:]
    p_values = []
    for _ in range(60):
        order = rng.permutation(600)
        sides = coded(table[order[:300]]), coded(table[order[300:]])
        result = linear_reconstruction(
            released, *sides, layout=layout(5, 3), secret="c0", claim=None, rng=rng
        )
        assert result is not None
        p_values.append(result.p_no_influence)
    assert stats.binom.sf(sum(p < 0.1 for p in p_values) - 1, 60, 0.1) > 1e-4


def test_what_cannot_be_attacked_is_left_out():
    one = coded(np.zeros((50, 1)))
    inside = np.arange(50) < 25
    rng = np.random.default_rng(0)
    facts = layout(1, 2)
    assert linkability(one, one, inside, claim=None, rng=rng) is None
    assert nearest_inference(one, one, inside, layout=facts, secret="c0", claim=None) is None
    assert singling_out(one, one, inside, claim=None, rng=rng) is None
    many = layout(4, 60)
    block = coded(rng.integers(0, 60, (50, 4)))
    assert (
        linear_reconstruction(block, block, block, layout=many, secret="c0", claim=None, rng=rng)
        is None
    )


def test_a_table_of_numbers_alone_is_audited():
    tables = mixture(0, n=200)
    audit = audit_table(
        tables.fresh, tables.fitted, tables.held_out, tables.schema, rng=np.random.default_rng(0)
    )
    assert "inference:x7" in audit.p_no_influence
    assert "reconstruction:x7" not in audit.p_no_influence


def test_a_table_without_numbers_and_with_nulls_is_audited():
    frame = patients_frame(900)[["sex", "ward", "grade", "died"]].astype(object)
    frame.loc[::9, "ward"] = None
    schema = dp.Schema.from_dict(
        {
            "table": {"name": "levels", "rows": "private"},
            "columns": {
                "sex": {"kind": "categorical", "categories": ["F", "M"], "source": "book"},
                "ward": {
                    "kind": "categorical",
                    "categories": ["a", "b", "c"],
                    "missing": True,
                    "source": "book",
                },
                "grade": {
                    "kind": "ordinal",
                    "categories": ["low", "mid", "high"],
                    "source": "book",
                },
                "died": {"kind": "boolean", "source": "book"},
            },
        }
    )
    audit = audit_table(
        frame.iloc[:300],
        frame.iloc[300:600],
        frame.iloc[600:],
        schema,
        claim=CLAIM,
        rng=np.random.default_rng(0),
    )
    assert audit.hard_violations == ()
    # Nearly every row occurs more than once: no copy says anything.
    assert all(g.p_no_influence > 1e-3 for g in audit.gaps)


@pytest.mark.parametrize(("epsilon", "rounds"), [(0.0, 300), (1.0, 60)])
def test_the_best_of_the_declared_bounds_is_above_the_truth_no_more_often_than_stated(
    epsilon, rounds
):
    """Randomised response about 200 fair coins, which meets ε exactly; nominal 5 %, seed fixed."""
    rng = np.random.default_rng(0)
    honest = math.exp(epsilon) / (1 + math.exp(epsilon))
    above = refuted = 0
    for _ in range(rounds):
        inside = rng.random(200) < 0.5
        answer = np.where(rng.random(200) < honest, inside, ~inside)
        judge = Judge(
            inside=inside,
            groups=np.arange(200),
            claim=None if epsilon == 0 else dp.Budget(epsilon=epsilon, delta=1e-9),
            assumptions=("coins",),
            alpha=0.05,
        )
        result = judge("response", answer.astype(float), rng=rng)
        above += result.one_run.lower > epsilon + 1e-9
        p_value = result.p_no_influence if epsilon == 0 else result.p_value
        assert p_value is not None
        refuted += p_value < 0.05
    # Two standard errors above the nominal rate.
    most = 0.05 * rounds + 2 * math.sqrt(0.05 * 0.95 * rounds)
    assert above <= most
    assert refuted <= most
