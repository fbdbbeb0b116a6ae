"""Sentences of a statement in plain words. Text is fixed; only fields of the statement vary."""

from __future__ import annotations

from dpsynth.certificate.figures import chance, down, factor, power, up
from dpsynth.certificate.lines import StatementCharge
from dpsynth.certificate.statement import Statement
from dpsynth.plan_fragment import mechanism_words as mechanism_words
from dpsynth.privacy import NeighbouringRelation

STATE_WORDS = {
    "reserved": "booked, not begun",
    "touched": "begun, counts in full",
    "stopped": "stopped early",
    "committed": "complete",
    "aborted": "given back, unused",
}

_N_POLICY = {
    "noised": "not public: at most noisy counts of it are released",
    "declared": "declared public by the custodian; it lies outside the guarantee",
    "replace_one": "public through the neighbouring relation",
}

_FILTERS = {
    "rdp": "Rényi divergence at one order that was fixed when the ledger was made",
    "zcdp": "zero-concentrated differential privacy (ρ)",
    "gdp": "Gaussian differential privacy (μ²)",
    "rdp_mixture": "Rényi divergence at several orders whose weights were fixed at the beginning",
}


def verdict(statement: Statement) -> tuple[str, str]:
    """Return the verdict in a few words, and the sentence that gives its reason."""
    spent, limit = up(statement.spent), up(statement.budget.epsilon)
    at = f"at δ = {power(statement.budget.delta)}"
    if statement.spent > statement.budget.epsilon:
        return "Over budget", f"ε = {spent} was spent {at}; the budget is ε = {limit}."
    so_far = f"ε = {spent} of ε = {limit} {at}"
    if statement.remaining > 0:
        return (
            "Within budget",
            f"{so_far} is spent; Gaussian noise of ε up to {down(statement.remaining)} on its own "
            "still fits.",
        )
    return "Exhausted", f"{so_far} is spent; nothing more can be run on these people."


def unit_words(statement: Statement) -> str:
    """Name the privacy unit in a few words."""
    unit = statement.unit
    if unit.column is None:
        return "one row"
    rows = "one row" if unit.max_rows == 1 else f"at most {unit.max_rows} rows"
    return f"one “{unit.column}” ({rows})"


def neighbours(statement: Statement) -> str:
    """Say which tables count as neighbours."""
    unit = statement.unit
    rows = "one row" if unit.column is None else f"all rows of one “{unit.column}”"
    if unit.column is not None:
        rows += f" (at most {unit.max_rows})"
    if unit.relation is NeighbouringRelation.ADD_REMOVE:
        return f"Two tables are neighbours if one is the other with {rows} added or removed."
    return f"Two tables are neighbours if one is the other with {rows} exchanged for another's."


def promise(statement: Statement) -> tuple[str, ...]:
    """Say what is protected, in plain words."""
    unit, meaning = statement.unit, statement.meaning
    whose = "any one row" if unit.column is None else f"any one “{unit.column}”"
    rows = (
        f"{whose}"
        if unit.column is None or unit.max_rows == 1
        else f"all (at most {unit.max_rows}) rows of {whose}"
    )
    if unit.relation is NeighbouringRelation.ADD_REMOVE:
        change, question = f"Adding or removing {rows}", f"whether {whose} is in the data"
    else:
        change = f"Exchanging {rows} for another’s"
        question = f"which of two candidates for {whose} is in the data"
    return (
        f"{change} changes the probability of whatever was released, all of it together, by at "
        f"most a factor of {factor(meaning.odds_factor)}, but for a probability of "
        f"{power(statement.budget.delta)}.",
        "Somebody who knows everything else about the data, sees everything that was released and "
        f"thinks both cases equally likely guesses {question} correctly at most "
        f"{chance(meaning.best_guess)} of the time; a coin does so 50% of the time.",
    )


def n_policy_words(statement: Statement) -> str:
    """Say whether the number of units is public."""
    return _N_POLICY[statement.n_policy]


def filter_words(statement: Statement) -> str:
    """Say in which measure charges are added up."""
    return _FILTERS.get(statement.filter, statement.filter)


def steps_words(charge: StatementCharge) -> str:
    """Say how far a run came that was stopped early; empty otherwise."""
    if charge.steps_run is None:
        return ""
    return ", ".join(f"{step}: {number} run" for step, number in charge.steps_run.items())


def sources(statement: Statement) -> str:
    """Name the datasets."""
    return ", ".join(statement.datasets) or "none"
