"""The manifest: the whole privacy argument of a release as one JSON document.

It has two kinds of fields. *Stated* ones say what happened: which plan ran, what the ledger holds,
which files there are. All others follow from these and from the schema; :func:`complete` works them
out when a release is sealed, and again when it is verified.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from dpsynth.certificate.figures import power
from dpsynth.errors import DPSynthError, IntegrityError, require_extra
from dpsynth.evidence import Evidence
from dpsynth.privacy import Mechanism, PrivateSelection, mechanism_from_spec
from dpsynth.release import guarantee, layout
from dpsynth.release.tables import release_id
from dpsynth.schema import Schema
from dpsynth.synthesizer import plan_from_spec

FORMAT = "dpsynth.manifest/1"
SCHEMA_FILE = "manifest.schema.json"

TOLERANCE = 2e-3
"""How far, in nats or relatively, another version of the libraries may come out."""

_ACCOUNTANT = (
    "dp-accounting: the smaller of Rényi costs and a privacy loss distribution; all parameters "
    "fixed before the first mechanism ran"
)
_STATED = ("name", "created", "ledger", "criteria", "publication", "software")


def complete(stated: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the manifest that follows from what is stated.

    Parameters
    ----------
    stated : mapping
        ``name``, ``created``, ``rows``, ``files`` (digests of tables, schema and evidence),
        ``plan``, ``noise``, ``ledger``, ``evidence``, ``confidential`` (kinds of evidence that stay
        in the house), ``criteria``, ``publication``, ``software``;
        :func:`stated_in` reads it off a manifest.
    schema : Schema
        The released schema.

    Raises
    ------
    DPSynthError
        If a plan or a mechanism is not one.
    """
    plan = plan_from_spec(stated["plan"])
    ran = mechanisms(stated["ledger"])
    strength = guarantee.figures(ran, plan.budget.delta)
    gate = guarantee.gate_terms(plan.budget, strength["epsilon"])
    files = stated["files"]
    facts = stated["publication"]
    return {
        "format": FORMAT,
        "id": release_id(files[layout.CSV]),
        **{name: stated[name] for name in _STATED},
        "table": {
            "rows": stated["rows"],
            "sha256": files[layout.CSV],
            "files": [
                {"file": name, "sha256": files[name]} for name in (layout.CSV, layout.PARQUET)
            ],
        },
        "schema": {
            "file": layout.SCHEMA,
            "name": schema.name,
            "sha256": files[layout.SCHEMA],
            "sources": {column.name: column.source for column in schema.columns},
        },
        "method": {"name": plan.method, "parameters": dict(plan.parameters)},
        "privacy": {
            **strength,
            "unit": plan.unit.describe(),
            "neighbouring_relation": str(plan.unit.relation),
            "domain": "tables with at least one row",
            "requested": {"epsilon": plan.budget.epsilon, "delta": plan.budget.delta},
            "accountant": _ACCOUNTANT,
            "plan": plan.spec(),
            "plan_sha256": plan.digest(),
            "noise": stated["noise"],
        },
        "unprotected_quantities": _unprotected(schema, stated["ledger"]["n_policy"]),
        "post_processing": [
            "sampling from the fitted model",
            "decoding of codes to values within the schema",
            "numbering of keys",
        ],
        "tuning": _tuning(ran),
        "validation": {
            "statements": _validation(stated["evidence"], stated["confidential"], gate),
            "gate": gate,
            "confidential": stated["confidential"],
            "evidence": stated["evidence"],
        },
        "registry": layout.REGISTRY if facts is not None else None,
    }


def stated_in(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stated part of a manifest that fits its JSON Schema."""
    files = {entry["file"]: entry["sha256"] for entry in manifest["table"]["files"]}
    return {
        **{name: manifest[name] for name in _STATED},
        "rows": manifest["table"]["rows"],
        "files": {**files, layout.SCHEMA: manifest["schema"]["sha256"]},
        "plan": manifest["privacy"]["plan"],
        "noise": manifest["privacy"]["noise"],
        "evidence": manifest["validation"]["evidence"],
        "confidential": manifest["validation"]["confidential"],
    }


def mechanisms(ledger: Mapping[str, Any]) -> tuple[Mechanism, ...]:
    """Return everything that ran for a release, in the order of booking."""
    return tuple(
        mechanism_from_spec(line["mechanism"])
        for charge in ledger["charges"]
        for line in charge["mechanisms"]
    )


def evidence_entry(name: str, item: Evidence, sha256: str) -> dict[str, str]:
    """Return what a manifest says about one published evidence."""
    return {
        "file": f"{layout.EVIDENCE}/{name}",
        "kind": item.kind,
        "disclosure": item.disclosure,
        "verdict": str(item.verdict),
        "sha256": sha256,
    }


def differences(one: object, other: object, where: str = "") -> Iterator[str]:
    """Yield the places in which two documents differ by more than the numbers' tolerance."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            place = f"{where}.{key}" if where else key
            if key not in one or key not in other:
                yield place
            else:
                yield from differences(one[key], other[key], place)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            yield where
        for a, b in zip(one, other, strict=False):
            yield from differences(a, b, where)
    elif isinstance(one, float) and isinstance(other, float | int):
        slack = TOLERANCE if where.endswith("epsilon") else 0.0
        if not math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=slack):
            yield where
    elif type(one) is not type(other) or one != other:
        yield where


def to_json(manifest: Mapping[str, Any]) -> str:
    """Write the canonical text: keys sorted, one space per level, shortest reals, LF."""
    return (
        json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )


def from_json(text: str) -> dict[str, Any]:
    """Read a manifest, and nothing else.

    Raises
    ------
    IntegrityError
        If the text is not JSON in the canonical form, or does not fit the JSON Schema.
    """
    try:
        document = json.loads(text)
        canonical = to_json(document)
    except (ValueError, TypeError, RecursionError):
        raise IntegrityError(f"this is no {FORMAT} document.", code="DPS606") from None
    if canonical != text:
        raise IntegrityError("the document is not in its canonical form.", code="DPS606")
    validate(document)
    return document


def validate(document: object) -> None:
    """Hold a manifest against the published JSON Schema.

    Raises
    ------
    IntegrityError
        Naming the fields that do not fit; never what they hold.
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    problems = _validator().iter_errors(document)
    wrong = {".".join(map(str, problem.absolute_path)) or "the document" for problem in problems}
    if wrong:
        raise IntegrityError(
            f"the manifest does not fit its JSON Schema at {', '.join(sorted(wrong)[:5])}.",
            code="DPS606",
        )


@lru_cache(maxsize=1)
def _validator() -> Any:  # noqa: ANN401 - jsonschema declares no types
    jsonschema = require_extra("jsonschema", extra="report", purpose="A manifest")
    text = resources.files("dpsynth.release").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def _unprotected(schema: Schema, n_policy: str) -> list[str]:
    facts = [
        "everything stated in the schema",
        "that the table has at least one row and is well-formed",
        "that the evaluation of this table did not stop the release",
        "names of the population, the dataset and the release",
    ]
    if schema.rows is not None:
        facts.append("the number of rows")
    elif n_policy == "declared":
        facts.append("the number of privacy units")
    return facts


def _tuning(ran: tuple[Mechanism, ...]) -> str:
    if any(isinstance(mechanism, PrivateSelection) for mechanism in ran):
        return (
            "Settings were chosen among candidates on the rows by private selection, which the "
            "plan lists and ε pays for. Everything else was fixed before the rows were read."
        )
    return (
        "No setting was chosen on the rows: all stand in the plan, which was fixed and booked "
        "before they were read. Other runs on the same people are in the cumulative figures."
    )


def _validation(
    evidence: list[Mapping[str, str]], confidential: list[str], gate: Mapping[str, float]
) -> list[str]:
    said = [
        "Automatic rules did not stop this release. Where rules read real rows, they stop a sound "
        f"release with probability at most β = {_small(gate['beta'])}, so that “the release or "
        f"nothing” holds at δ = {_small(gate['delta_with_gate'])} with the same ε.",
    ]
    if confidential:
        said.append(
            f"Inside the house there is evidence from real rows ({', '.join(confidential)}). Its "
            "figures lie outside the guarantee and are not published; a person may have looked at "
            "them before publishing."
        )
    canaries = [e for e in evidence if e["kind"] == "audit"]
    if canaries:
        said.append(
            "Audits that may be published, of canaries and the released table alone, are in the "
            "evidence. They bound leakage from below and can refute a claim, never confirm it."
        )
    else:
        said.append("No audit that may be published is part of this release.")
    if not any(e["kind"] == "utility" for e in evidence):
        said.append("No figure of utility was bought or computed from public rows.")
    return said


def _small(value: float) -> str:
    # The last bits of a product of floats must not turn 1.1 into 1.11.
    return power(float(f"{value:.9g}"))


def problems_of(manifest: Mapping[str, Any], schema: Schema) -> list[str]:
    """Return the fields of a manifest that do not follow from its stated part.

    Parameters
    ----------
    manifest : mapping
        Fits the JSON Schema.
    schema : Schema
        The released schema.
    """
    try:
        again = complete(stated_in(manifest), schema)
    except (DPSynthError, KeyError, TypeError, ValueError):
        return ["privacy.plan"]
    # Through JSON, so that tuples and lists are alike.
    return sorted(set(differences(manifest, json.loads(to_json(again)))))
