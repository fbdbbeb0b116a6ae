"""Commands on the book of budgets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from dpsynth.cli.console import AsJson, Output, RequiredOutput, custodian_key, out, say
from dpsynth.errors import UsageError

app = App(name="ledger", help="Open, read, check and export the book of budgets.")


@app.command(name="init")
def init(
    ledger: str,
    *,
    dataset: str,
    epsilon: float,
    delta: float,
    unit: str | None = None,
    max_rows: int = 1,
    relation: str = "add_remove",
    population: str | None = None,
    stop_rule: str = "rdp",
    data: Path | None = None,
    key: Path | None = None,
) -> None:
    """Open a book for one population of people.

    Parameters
    ----------
    ledger
        File to create, or the URL of an empty database.
    dataset
        Name of the first dataset.
    epsilon
        ε that may ever be spent on these people.
    delta
        δ that may ever be spent.
    unit
        Column that names the privacy unit; absent: one row is one unit.
    max_rows
        Most rows of one unit.
    relation
        add_remove or replace_one.
    population
        Name of the population; by default that of the dataset.
    stop_rule
        rdp, zcdp, gdp or rdp_mixture: the measure in which plans are added up.
    data
        Table by which the dataset is recognised; needs the key.
    key
        Custodian's key.
    """
    from dpsynth.ledger import Ledger
    from dpsynth.privacy import Budget, NeighbouringRelation, PrivacyUnit

    if relation not in set(NeighbouringRelation):
        raise UsageError(f"relation must be one of {', '.join(NeighbouringRelation)}.")
    Ledger.create(
        ledger,
        population=population or dataset,
        dataset=dataset,
        budget=Budget(epsilon=epsilon, delta=delta),
        unit=PrivacyUnit(column=unit, max_rows=max_rows, relation=NeighbouringRelation(relation)),
        filter=stop_rule,
        content_hmac=_content_hmac(data, key),
    ).close()
    # The address of a server may hold a password.
    print(ledger if "://" not in ledger else dataset)


@app.command(name="add")
def add(ledger: str, dataset: str, *, data: Path | None = None, key: Path | None = None) -> None:
    """Enter another dataset about the same people; it charges the same budget.

    Parameters
    ----------
    ledger
        Ledger file, or the URL of its database.
    dataset
        Name of the dataset.
    data
        Table by which the dataset is recognised; needs the key.
    key
        Custodian's key.
    """
    from dpsynth.ledger import Ledger

    with Ledger.open(ledger) as book:
        book.add_dataset(dataset, content_hmac=_content_hmac(data, key))
    print(dataset)


@app.command(name="key")
def make_key(
    output: Annotated[Path, Parameter(name=["--output", "-o"])], *, signing: bool = False
) -> None:
    """Make a key that stays with the custodian.

    Parameters
    ----------
    output
        File to write; an existing file is not replaced.
    signing
        Make a pair of Ed25519 keys that sign anchors (the public one ends in .pub) instead of a
        key that recognises tables.
    """
    if signing:
        from dpsynth.ledger.signatures import create_signing_key

        create_signing_key(output)
    else:
        from dpsynth.identity import CustodianKey

        CustodianKey.create(output)
    say("keep the key apart from ledger and tables; nothing can replace it")
    print(output)


@app.command(name="show")
def show(ledger: str, *, as_json: AsJson = False) -> None:
    """Show what was spent and what remains.

    Parameters
    ----------
    ledger
        Ledger file, or the URL of its database.
    as_json
        Print one JSON document.
    """
    from dpsynth.ledger import Ledger

    with Ledger.open(ledger, read_only=True) as book:
        summary = book.summary()
    out(summary.to_dict(), str(summary), as_json)


@app.command(name="check")
def check(
    ledger: str,
    *,
    anchor: Path | None = None,
    public_key: Path | None = None,
    as_json: AsJson = False,
) -> None:
    """Verify the chain of entries, everything derived from it, and every cost anew.

    Parameters
    ----------
    ledger
        Ledger file, or the URL of its database.
    anchor
        An earlier head: what `ledger anchor` wrote, or a release's manifest.json.
    public_key
        Key with which the anchor must be signed.
    as_json
        Print one JSON document.
    """
    from dpsynth.ledger import Anchor, Ledger, read_anchor

    known = None
    if public_key is not None:
        if anchor is None:
            raise UsageError("a public key is for an anchor, and none is given.")
        from dpsynth.ledger.signatures import verify_signature

        known = verify_signature(read_anchor(anchor), public_key)
    elif anchor is not None:
        known = Anchor.from_dict(read_anchor(anchor))
    with Ledger.open(ledger, read_only=True) as book:
        book.check(anchor=known, recomputed=True)
        head = book.anchor
    compared = "" if known is None else f", and holds the anchor of entry {known.sequence}"
    text = f"the chain of {head.sequence} entries verifies{compared}; head {head.head}"
    out({"ok": True, **head.to_dict()}, text, as_json)


@app.command(name="anchor")
def anchor(ledger: str, *, key: Path | None = None, output: Output = None) -> None:
    """Write the head of the chain, to be kept outside the ledger.

    Parameters
    ----------
    ledger
        Ledger file, or the URL of its database.
    key
        Private key that signs it.
    output
        File to write; stdout by default. An existing file is not replaced.
    """
    from dpsynth.files import write_bytes
    from dpsynth.ledger import Ledger

    with Ledger.open(ledger, read_only=True) as book:
        head = book.anchor
    document = head.to_dict()
    if key is not None:
        from dpsynth.ledger.signatures import sign

        document = sign(head, key)
    text = json.dumps(document, indent=1)
    if output is None:
        print(text)
    else:
        write_bytes(output, text.encode() + b"\n")
        print(output)


@app.command(name="settle")
def settle(ledger: str, charge: str) -> None:
    """Close a charge that a process on another machine has left open.

    What was only reserved is given back; a run that took leases counts for the steps leased to it.
    A run that still lives is stopped thereby: it gets no further lease.

    Parameters
    ----------
    ledger
        Ledger file, or the URL of its database.
    charge
        Identifier of the charge, as `ledger show --json` lists it.
    """
    from dpsynth.ledger import ChargeState, Ledger

    with Ledger.open(ledger) as book:
        found = book.charge(charge)
        if found.state is ChargeState.RESERVED:
            found.abort()
        else:
            found.stop()
        print(found.state)


@app.command(name="export")
def export(
    ledger: str,
    *,
    format: str,
    output: RequiredOutput,
    facts: Path | None = None,
) -> None:
    """Write a statement of what was spent, fit to leave the house.

    Parameters
    ----------
    ledger
        Ledger file, or the URL of its database.
    format
        json, csv, html or registry-yaml.
    output
        File to write; an existing file is not replaced.
    facts
        TOML file with what a deployments registry asks of the custodian.
    """
    from dpsynth.certificate import DeploymentFacts, render
    from dpsynth.files import refuse_existing, write_bytes
    from dpsynth.ledger import Ledger

    refuse_existing(output)
    with Ledger.open(ledger, read_only=True) as book:
        statement = book.statement()
    stated = None if facts is None else DeploymentFacts.read(facts)
    write_bytes(output, render(statement, format, facts=stated).encode())
    print(output)


def _content_hmac(data: Path | None, key: Path | None) -> str | None:
    if data is None:
        return None
    if key is None:
        raise UsageError(
            "a table is recognised by a keyed digest, and no key is given.",
            fix="give --key; make one with `dpsynth ledger key`.",
        )
    from dpsynth.identity import content_hmac

    return content_hmac(data, custodian_key(key))
