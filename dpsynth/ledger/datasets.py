"""Datasets of a population: by name, and by the keyed digest that recognises a table."""

from __future__ import annotations

from typing import Any

from dpsynth.errors import IntegrityError, UsageError

Row = dict[str, Any]


def find(known: dict[str, Row], name: str) -> Row:
    """Return the row of a dataset."""
    if name not in known:
        names = ", ".join(repr(other) for other in known)
        raise UsageError(
            f"the ledger knows no dataset {name!r}; it knows {names}.",
            fix="name one of these, or add the dataset to the population it is about.",
        )
    return known[name]


def is_new(known: dict[str, Row], dataset: str, content_hmac: str | None) -> bool:
    """Tell whether a digest is to be entered; refuse one that is not the dataset's."""
    entered = find(known, dataset)["content_hmac"]
    if content_hmac is None:
        if entered is None:
            return False
        raise needs_key(dataset)
    refuse_twin(known, dataset, content_hmac)
    if entered is not None and entered != content_hmac:
        raise IntegrityError(
            f"this table is not the one that was entered as {dataset!r}, or the key is "
            "another one.",
            code="DPS616",
            fix="enter it as a dataset of its own: it charges the same budget.",
        )
    return entered is None


def needs_key(dataset: str) -> UsageError:
    """Return the refusal of a dataset that only a key recognises."""
    return UsageError(
        f"the dataset {dataset!r} is recognised by a keyed digest, and no key is given.",
        code="DPS517",
        fix="give the custodian's key.",
    )


def refuse_twin(known: dict[str, Row], name: str, content_hmac: str | None) -> None:
    """Refuse a table that was entered under another name."""
    for other, row in known.items():
        if other != name and content_hmac is not None and row["content_hmac"] == content_hmac:
            raise IntegrityError(
                f"this table was entered as {other!r} before.", code="DPS616", fix="name it so."
            )
