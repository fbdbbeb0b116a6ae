"""The draft for the OpenDP deployments registry, from the manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpsynth.certificate import (
    DeploymentFacts,
    Meaning,
    Statement,
    StatementCharge,
    StatementRelease,
)
from dpsynth.certificate.figures import percent, power, up
from dpsynth.certificate.registry import to_registry as certificate_draft
from dpsynth.privacy import Budget
from dpsynth.release.facts import PublicationFacts
from dpsynth.release.guarantee import unit_of


def statement_of(manifest: Mapping[str, Any]) -> Statement:
    """Return the ledger's statement about the charges of this release alone.

    Raises
    ------
    UsageError, IntegrityError
        If the charges of the manifest contradict each other.
    """
    privacy, ledger = manifest["privacy"], manifest["ledger"]
    charges = tuple(StatementCharge.from_dict(charge) for charge in ledger["charges"])
    return Statement(
        ledger_id=ledger["ledger_id"],
        sequence=ledger["sequence"],
        head=ledger["head"],
        population=ledger["population"],
        datasets=tuple(dict.fromkeys(charge.dataset for charge in charges)),
        unit=unit_of(manifest),
        n_policy=ledger["n_policy"],
        budget=Budget(epsilon=privacy["requested"]["epsilon"], delta=privacy["delta"]),
        filter=ledger["filter"],
        spent=privacy["epsilon"],
        spent_if_fixed=None,
        remaining=0.0,
        capacity_used=min(1.0, sum(charge.share for charge in charges)),
        curve=tuple((pair["epsilon"], pair["delta"]) for pair in privacy["epsilon_at_delta"]),
        meaning=Meaning.from_dict(privacy["meaning"]),
        charges=charges,
        releases=(
            StatementRelease(
                id=manifest["id"],
                name=manifest["name"],
                day=manifest["created"],
                table_sha256=manifest["table"]["sha256"],
                charge_ids=tuple(charge.id for charge in charges),
                epsilon=privacy["epsilon"],
            ),
        ),
        versions=dict(manifest["software"]),
    )


def to_registry(manifest: Mapping[str, Any]) -> str:
    """Return the draft.

    Parameters
    ----------
    manifest : mapping
        With the custodian's facts.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    DPSynthError
        If the draft does not fit the registry's schema.
    """
    facts = PublicationFacts.from_dict(manifest["publication"])
    ledger = manifest["ledger"]
    return certificate_draft(
        statement_of(manifest),
        DeploymentFacts(
            name=facts.title,
            curators=facts.curators,
            description=facts.description,
            intended_use=facts.intended_use,
            region=facts.region,
            publication_date=manifest["created"],
            registry_authors=facts.registry_authors,
            data_source=facts.data_source,
            sector=facts.sector,
            actors=facts.actors,
            data_domain=(
                f"{facts.population}, {facts.period}; the guarantee holds for "
                f"{manifest['privacy']['domain']}."
            ),
            unprotected_quantities=_list(manifest["unprotected_quantities"]),
            preprocessing=_joined(facts.preprocessing, manifest["tuning"]),
            justification=facts.justification,
            security=facts.security,
            post_processing=_list(manifest["post_processing"]),
            sources=facts.sources,
            notes=_cumulative(ledger),
        ),
        population_budget=Budget(**ledger["budget"]),
    )


def _cumulative(ledger: Mapping[str, Any]) -> str:
    together, delta = ledger["cumulative"], power(ledger["budget"]["delta"])
    return (
        f"All {together['charges']} charges on the population together cost "
        f"ε = {up(together['epsilon'])} at δ = {delta}, {percent(together['capacity_used'])} of "
        f"what its budget admits; releases: {together['releases']}."
    )


def _joined(*texts: str | None) -> str:
    return " ".join(text for text in texts if text is not None)


def _list(items: list[str]) -> str:
    return "".join(f"- {item}\n" for item in items)
