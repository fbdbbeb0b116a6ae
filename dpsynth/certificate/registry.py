"""A draft for the OpenDP deployments registry, validated against the registry's own schema."""

from __future__ import annotations

import re
from importlib import resources
from types import ModuleType
from typing import Any

from dpsynth.certificate.facts import DeploymentFacts
from dpsynth.certificate.figures import chance, percent, up
from dpsynth.certificate.statement import Statement
from dpsynth.certificate.wording import (
    filter_words,
    mechanism_words,
    n_policy_words,
    neighbours,
    steps_words,
    unit_words,
)
from dpsynth.errors import DPSynthError, require_extra
from dpsynth.privacy import Budget

_SCHEMA = "deployments-schema.yaml"
_TIER_3 = ("actors", "data_domain", "unprotected_quantities", "preprocessing", "justification")

# The registry renders texts as Markdown with LaTeX and HTML: names must stay what they are.
_ACTIVE = {ord(character): f"&#{ord(character)};" for character in "<>&`*[]\\$"}


def to_registry(
    statement: Statement, facts: DeploymentFacts, *, population_budget: Budget | None = None
) -> str:
    """Return a YAML draft of status ``Draft``.

    Parameters
    ----------
    statement : Statement
        What was spent, and on what.
    facts : DeploymentFacts
        What the custodian adds; texts are taken over as they are, Markdown included.
    population_budget : Budget, optional
        Given, the statement is about one release alone, and this is the budget of its population.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    DPSynthError
        If the draft does not fit the registry's schema.
    """
    yaml = require_extra("yaml", extra="report", purpose="a registry draft")
    document = _document(statement, facts, population_budget)
    _validate(document, yaml)

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks, as the registry's own check asks for."""

    def represent(dumper: Any, value: str) -> Any:  # noqa: ANN401 - yaml declares no types
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, represent)
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**6)


def _validate(document: dict[str, Any], yaml: ModuleType) -> None:
    jsonschema = require_extra("jsonschema", extra="report", purpose="a registry draft")
    text = resources.files("dpsynth.certificate").joinpath(_SCHEMA).read_text(encoding="utf-8")
    kind = jsonschema.Draft7Validator
    problems = kind(yaml.safe_load(text), format_checker=kind.FORMAT_CHECKER).iter_errors(document)
    wrong = sorted({"/".join(str(part) for part in problem.absolute_path) for problem in problems})
    if wrong:
        # The validator's own message quotes the document.
        raise DPSynthError(
            f"the draft does not fit the registry's schema at {', '.join(wrong)}.", code="DPS523"
        )


def _document(
    statement: Statement, facts: DeploymentFacts, population_budget: Budget | None
) -> dict[str, Any]:
    is_complete = all(getattr(facts, name) is not None for name in _TIER_3)
    many = len(statement.releases) > 1
    budget = population_budget or statement.budget
    sections: dict[str, dict[str, Any]] = {
        "basic": {
            "name": facts.name,
            "data_curators": list(facts.curators),
            "intended_use": facts.intended_use,
            "data_product_type": "Synthetic data",
            "data_product_region": facts.region,
            "description": facts.description,
            "publication_date": facts.publication_date,
            "data_product_sector": facts.sector,
        },
        "dp_variant": {
            "variant_name": "Approximate DP",
            "data_domain": facts.data_domain,
            "unprotected_quantities": facts.unprotected_quantities,
        },
        "privacy_loss": {
            "privacy_unit": _quoted(unit_words(statement)),
            "privacy_unit_details": _quoted(
                f"{neighbours(statement)} The number of units is {n_policy_words(statement)}."
            ),
            "privacy_parameters": {
                "epsilon": float(up(statement.spent).replace(",", "")),
                "delta": statement.budget.delta,
            },
            "privacy_parameters_details": _parameters(
                statement, of_release=population_budget is not None
            ),
        },
        "deployment_model": {
            "model_name": "Central",
            "actors": facts.actors,
            "release_type": "Many releases" if many else "One release",
            "release_type_details": (
                "All releases about this population charge one budget, which does not renew: "
                f"ε at most {budget.epsilon:g} at δ = {budget.delta:g}."
            ),
            "data_source_type": facts.data_source,
            "access_type": "Non-interactive",
        },
        "accounting": {
            "post_processing": facts.post_processing,
            "composition": (
                "Sequential composition of all mechanisms on the population by a filter that is "
                "valid for adaptively chosen parameters; measure: "
                f"{_quoted(filter_words(statement))}. No parallel composition is claimed."
            ),
        },
        "implementation": {
            "preprocessing_and_hyperparameter_tuning": facts.preprocessing,
            "mechanisms": _mechanisms(statement, facts),
            "justification": facts.justification,
        },
        "administrative": {
            "sources": facts.sources,
            "notes": facts.notes,
            "registry_authors": list(facts.registry_authors),
        },
    }
    return {
        "url_slug": _slug(facts),
        "status": "Draft",
        "tier": 3 if is_complete else 2,
        "deployment": {
            name: {key: value for key, value in section.items() if value is not None}
            for name, section in sections.items()
        },
    }


def _parameters(statement: Statement, *, of_release: bool) -> str:
    meaning, delta = statement.meaning, f"{statement.budget.delta:g}"
    counted = sum(charge.counts for charge in statement.charges)
    whose = (
        f"the charges of this release ({counted})"
        if of_release
        else (f"all {counted} charges on the population")
    )
    lines = [
        f"ε is what {whose} have cost together at δ = {delta}, "
        f"{percent(statement.capacity_used)} of what the population's budget admits.",
        f"Best guess of an attacker about one unit: {chance(meaning.best_guess)} (a coin: 50%); "
        f"detection at 1% false positives: {chance(meaning.tpr_at_1_percent)}, at 0.1%: "
        f"{chance(meaning.tpr_at_0_1_percent)}.",
        f"State of the ledger: entry {statement.sequence}, {statement.head}.",
    ]
    return "".join(f"- {line}\n" for line in lines)


def _mechanisms(statement: Statement, facts: DeploymentFacts) -> str:
    lines = [
        f"{number}. {_quoted(charge.method)} on {_quoted(charge.dataset)}, {charge.state}: "
        + "; ".join(_quoted(f"{s}: {mechanism_words(spec)}") for s, spec in charge.mechanisms)
        + ("" if charge.steps_run is None else f"; of it {_quoted(steps_words(charge))}")
        for number, charge in enumerate(statement.charges, start=1)
        if charge.counts
    ]
    software = ", ".join(f"{name} {version}" for name, version in statement.versions.items())
    lines += [
        "Counts carry exact discrete noise; Gaussian noise of DP-SGD is rounded to a grid on which "
        "the sums lie as well, against leaks through floating point.",
        "Noise comes from a keyed generator (AES in counter mode) or the operating system; "
        "seeded runs cannot be released. The product is not interactive: no timing is exposed.",
    ]
    if software:
        lines.append(f"Software: {_quoted(software)}.")
    if facts.security is not None:
        lines.append(" ".join(facts.security.split()))
    return "".join(f"- {line}\n" for line in lines)


def _quoted(text: str) -> str:
    return text.translate(_ACTIVE)


def _slug(facts: DeploymentFacts) -> str:
    """Form the slug as the registry's own script does."""
    parts = (facts.name, "-".join(facts.curators), facts.publication_date.split("-")[0])
    return "_".join(re.sub(r"\W+", "_", part.lower()) for part in parts).replace("_", "-")
