"""The questions that NIST SP 800-226 asks of a guarantee, answered from a statement's fields."""

from __future__ import annotations

from dataclasses import dataclass

from dpsynth.certificate.figures import chance, down, percent, power, up
from dpsynth.certificate.statement import Statement
from dpsynth.certificate.wording import (
    filter_words,
    n_policy_words,
    neighbours,
    sources,
    unit_words,
)

CUSTODIAN = "To be stated by the custodian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question and its answer.

    Parameters
    ----------
    topic, question : str
        What it is about, and what is asked.
    answer : str
        The answer, or :data:`CUSTODIAN` with what is to be stated.
    known : bool
        Whether the ledger knows the answer.
    """

    topic: str
    question: str
    answer: str
    known: bool = True


def outline(statement: Statement) -> tuple[Question, ...]:
    """Return the questions in the order of the publication's pyramid, top to bottom.

    Worded after the publication's outline; section numbers are left out on purpose.
    """
    s, delta = statement, power(statement.budget.delta)
    fixed = ""
    if s.spent_if_fixed is not None:
        fixed = f" (ε = {up(s.spent_if_fixed)}, had all parameters been fixed in advance)"
    counted = [charge for charge in s.charges if charge.counts]
    kinds = dict.fromkeys(str(m["kind"]) for c in counted for _, m in c.mechanisms)
    stopped = sum(charge.state == "stopped" for charge in s.charges)
    versions = ", ".join(f"{name} {version}" for name, version in s.versions.items())
    answers = (
        (
            "Strength",
            "Which variant of differential privacy, and how strong?",
            f"(ε, δ)-differential privacy with ε = {up(s.spent)} at δ = {delta}, valid for "
            f"adaptively chosen runs{fixed}.",
        ),
        (
            "Strength",
            "What does that mean against an attacker?",
            f"Best guess {chance(s.meaning.best_guess)}, advantage "
            f"{chance(s.meaning.advantage)}; at 1% false positives at most "
            f"{chance(s.meaning.tpr_at_1_percent)} are detected.",
        ),
        (
            "Strength",
            "Is δ small against the number of units?",
            f"δ = {delta}. {CUSTODIAN}: δ times the number of units, which should be far below 1.",
        ),
        ("Unit", "Who is protected?", f"{unit_words(s)} of “{s.population}”."),
        ("Unit", "Which tables are neighbours?", neighbours(s)),
        ("Unit", "Is the number of units public?", f"The number is {n_policy_words(s)}."),
        (
            "Composition",
            "Does the figure cover all releases?",
            f"It covers all charges on this population ({len(counted)} that count), through all "
            f"of its datasets: {sources(s)}. Releases in the ledger: {len(s.releases)}. "
            f"{CUSTODIAN}: publications about the same people that did not go through this ledger.",
        ),
        (
            "Composition",
            "How are losses added up?",
            f"Sequentially, in one measure: {filter_words(s)}. No parallel composition is claimed.",
        ),
        (
            "Composition",
            "Who set the budget, and what happens at its end?",
            f"ε = {s.budget.epsilon:g} at δ = {delta}; {percent(s.capacity_used)} of the capacity "
            f"is used, noise of ε up to {down(s.remaining)} on its own still fits. Plans beyond it "
            f"are refused, and it does not renew. {CUSTODIAN}: who set it and why.",
        ),
        (
            "Algorithms",
            "Which mechanisms ran, with which parameters?",
            f"{', '.join(kinds) or 'none'}; the table of charges has their parameters.",
        ),
        (
            "Algorithms",
            "Were runs stopped or repeated?",
            f"Charges that count: {len(counted)}; stopped early: {stopped}. Whatever touched data "
            "is charged, also where nothing came of it.",
        ),
        (
            "Implementation",
            "Which software computed these figures?",
            versions or f"{CUSTODIAN}.",
        ),
        (
            "Bounds",
            "How were bounds, categories and clipping chosen?",
            f"{CUSTODIAN}: the schema, which states a source for each of them.",
        ),
        (
            "Utility",
            "How accurate are the tables, also for small groups?",
            f"{CUSTODIAN}: an evaluation that is itself protected or uses public data.",
        ),
        (
            "Exposure",
            "What is published without protection?",
            f"{CUSTODIAN}: invariants and declared facts. Names in this statement are not "
            "protected.",
        ),
        (
            "Exposure",
            "Who may see what: trust model, access to raw data and to the ledger?",
            f"{CUSTODIAN}. The runs assume one trusted curator (central model).",
        ),
        (
            "Exposure",
            "How were the data collected, on what consent, and how long are they kept?",
            f"{CUSTODIAN}.",
        ),
    )
    return tuple(
        Question(topic=topic, question=question, answer=answer, known=CUSTODIAN not in answer)
        for topic, question, answer in answers
    )
