"""A statement is a whitelist: what has no field does not get in, and its lines must add up."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from dpsynth.certificate import Meaning, Statement, StatementCharge
from dpsynth.errors import IntegrityError, UsageError
from tests.dpsynth.certificate.examples import CURVE, charge, statement, statements
from tests.dpsynth.test_imports import modules_after

SCHEMA = json.loads(
    resources.files("dpsynth.certificate").joinpath("statement.schema.json").read_text("utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def objects(document: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a document except those whose names are free."""
    if isinstance(document, dict):
        yield document
        for name, value in document.items():
            if name not in ("versions", "steps_run"):
                yield from objects(value)
    elif isinstance(document, list):
        for value in document:
            yield from objects(value)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@settings(deadline=None, max_examples=60)
@given(statements())
def test_any_statement_round_trips_through_json_and_fits_the_schema(before: Statement) -> None:
    document = json.loads(json.dumps(before.to_dict(), allow_nan=False))
    VALIDATOR.validate(document)
    after = Statement.from_dict(document)
    assert after == before
    assert after.to_dict() == before.to_dict()


def test_every_object_refuses_an_extra_field_in_the_schema_and_in_the_reader() -> None:
    document = statement().to_dict()
    n = len(list(objects(document)))
    assert n > 25
    for i in range(n):
        changed = copy.deepcopy(document)
        target = list(objects(changed))[i]
        target["rows"] = 600
        with pytest.raises(IntegrityError):
            Statement.from_dict(changed)
        if "kind" not in target:  # fields of a mechanism depend on its kind: the reader knows them
            assert not VALIDATOR.is_valid(changed)


def test_every_object_refuses_a_missing_field() -> None:
    document = statement().to_dict()
    optional = {"sensitivity", "count"}  # fields of mechanisms that have a default
    for i, found in enumerate(list(objects(document))):
        for name in set(found) - optional:
            changed = copy.deepcopy(document)
            del list(objects(changed))[i][name]
            with pytest.raises(IntegrityError):
                Statement.from_dict(changed)


def test_the_schema_names_exactly_the_fields_of_the_classes() -> None:
    assert set(SCHEMA["properties"]) == {"format", "derived", *Statement.__slots__}
    assert set(SCHEMA["$defs"]["charge"]["properties"]) == set(StatementCharge.__slots__)


@pytest.mark.parametrize("name", ["spent", "capacity_used"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1e-9, "1", True, None])
def test_a_figure_must_be_a_finite_number(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        statement(**{name: value})


@pytest.mark.parametrize(
    "value", ["", " ", "a\nb", "a\r", "\x00", "‮abc", "a​b", "\ud800", "x" * 201, None]
)
@pytest.mark.parametrize("name", ["population", "filter", "ledger_id"])
def test_a_name_stays_on_one_line(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        statement(**{name: value})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": "refunded"}, "state"),
        ({"day": "2026-03-14T09:00:00"}, "day"),
        ({"day": "2026-02-30"}, "day"),
        ({"plan_sha256": "A" * 64}, "plan_sha256"),
        ({"state": "aborted"}, "share"),
        ({"share": 0.3}, "step_shares"),
        ({"step_shares": (0.25,)}, "step_shares"),
        ({"steps_run": {"unknown step": 3}}, "steps_run"),
        ({"steps_run": {"bins": -1}}, "steps_run"),
        ({"mechanisms": (("s", {"kind": "gaussian", "seed": 7}),), "step_shares": None}, "mech"),
        ({"mechanisms": (("s", {"kind": "magic"}),), "step_shares": None}, "mech"),
        ({"method": "a\nb"}, "method"),
    ],
)
def test_a_malformed_charge_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError, match=field):
        charge(**changes)


def test_lines_must_not_contradict_totals() -> None:
    good = statement()
    with pytest.raises(UsageError, match="capacity_used"):
        statement(capacity_used=good.capacity_used + 0.01)
    with pytest.raises(UsageError, match="used once"):
        statement(charges=(charge(1, share=0.25), charge(1, share=0.25)), releases=())
    with pytest.raises(UsageError, match="charge_ids"):
        statement(charges=good.charges[1:], capacity_used=0.2875)
    with pytest.raises(UsageError, match="datasets"):
        statement(datasets=("admissions 2026",))


def test_derived_figures_are_checked_when_read() -> None:
    document = statement().to_dict()
    document["derived"]["by_method"][0]["share"] = 0.1
    with pytest.raises(IntegrityError, match="derived"):
        Statement.from_dict(document)


def test_messages_quote_no_value() -> None:
    document = statement().to_dict()
    document["charges"][0]["epsilon_alone"] = "s3ntinel"
    document["unit"]["relation"] = "s3ntinel"
    with pytest.raises(IntegrityError) as caught:
        Statement.from_dict(document)
    assert "s3ntinel" not in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "x", {}, {"format": "dpsynth.statement/2"}])
def test_other_documents_are_refused(document: Any) -> None:
    with pytest.raises(IntegrityError):
        Statement.from_dict(document)


def test_shares_per_method_and_release_add_up() -> None:
    found = statement()
    by_method = {p.name: (p.share, p.charges) for p in found.by_method}
    assert by_method == {"dp-vae": (0.35, 2), "independent": (0.1875, 2)}
    assert math.fsum(p.share for p in found.by_method) == pytest.approx(found.capacity_used)
    released = math.fsum(p.share for p in found.by_release) + found.not_released.share
    assert released == pytest.approx(found.capacity_used)
    assert "do not" in found.to_dict()["derived"]["note"]


def test_a_statement_cannot_be_changed() -> None:
    found = statement()
    with pytest.raises(AttributeError):
        found.spent = 0.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.versions["dpsynth"] = "9"  # type: ignore[index]
    with pytest.raises(TypeError):
        found.charges[0].mechanisms[0][1]["sigma"] = 1.0  # type: ignore[index]


# -- what the numbers mean --------------------------------------------------------------------


def test_meaning_of_one_pair_is_the_closed_form() -> None:
    epsilon, delta = 1.0, 1e-5
    found = Meaning.of([(epsilon, delta)], epsilon=epsilon)
    e = math.exp(epsilon)
    assert found.odds_factor == pytest.approx(e)
    assert found.advantage == pytest.approx((e - 1 + 2 * delta) / (e + 1))
    assert found.best_guess == pytest.approx((e + delta) / (e + 1))
    assert found.tpr_at_1_percent == pytest.approx(0.01 * e + delta)
    assert found.tpr_at_0_1_percent == pytest.approx(0.001 * e + delta)


def test_meaning_takes_the_best_pair_for_each_figure() -> None:
    together = Meaning.of(CURVE, epsilon=2.2)
    alone = [Meaning.of([pair], epsilon=2.2) for pair in CURVE]
    for name in ("best_guess", "advantage", "tpr_at_1_percent", "tpr_at_0_1_percent"):
        assert getattr(together, name) == min(getattr(m, name) for m in alone)
    assert together.advantage < alone[3].advantage  # the pair at the budget's δ is not the best


def test_meaning_of_no_and_of_all_loss() -> None:
    nothing = Meaning.of([(0.0, 0.0)], epsilon=0.0)
    assert (nothing.odds_factor, nothing.best_guess, nothing.advantage) == (1.0, 0.5, 0.0)
    assert (nothing.tpr_at_1_percent, nothing.tpr_at_0_1_percent) == (0.01, 0.001)
    everything = Meaning.of([(1e6, 0.0)], epsilon=1e6)
    assert everything.best_guess == everything.tpr_at_0_1_percent == 1.0
    assert math.isfinite(everything.odds_factor)
    with pytest.raises(UsageError):
        Meaning.of([], epsilon=1.0)


def test_meaning_bounds_the_exact_gaussian() -> None:
    """One Gaussian with σ = 1: its privacy profile against its trade-off curve, both exact."""
    from scipy.stats import norm

    def delta(epsilon: float) -> float:
        return norm.cdf(0.5 - epsilon) - math.exp(epsilon) * norm.cdf(-0.5 - epsilon)

    curve = [(k / 50, delta(k / 50)) for k in range(300)]
    found = Meaning.of(curve, epsilon=4.0)
    for alpha, value in ((0.01, found.tpr_at_1_percent), (0.001, found.tpr_at_0_1_percent)):
        exact = norm.cdf(norm.ppf(alpha) + 1.0)
        assert exact <= value < exact + 1e-4
    exact = 2 * norm.cdf(0.5) - 1
    assert exact <= found.advantage < exact + 1e-4


def test_reading_a_statement_needs_nothing_heavy() -> None:
    loaded = modules_after("import dpsynth.certificate")
    assert not loaded & {"jinja2", "yaml", "jsonschema", "numpy", "pandas", "torch"}
