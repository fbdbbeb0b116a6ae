"""A synthesizer as a notebook shows it: what a fit spent, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpsynth.accountant import Accountant
from dpsynth.pages.fragments import Rows, fragment
from dpsynth.plan_fragment import HEAD, RELATIONS, plan_lines

if TYPE_CHECKING:
    from dpsynth.synthesizer import Synthesizer


def model_fragment(model: Synthesizer) -> str | None:
    """Return what a notebook shows of a synthesizer; None without the extra ``report``.

    Privacy
    -------
    The plan and the ledger entry: nothing that was computed from rows.
    """
    title = f"{type(model).__name__} of {model.schema.name}"
    unit = model.schema.unit
    if not hasattr(model, "privacy_"):
        return fragment(
            f"{title}: not fitted",
            facts=[
                ("Would protect", unit.describe()),
                ("Neighbours", RELATIONS[unit.relation]),
            ],
            remarks=["plan() says what a fit would spend, without touching data."],
        )
    plan, stated = model.plan_, model.privacy_
    ledger = stated["ledger"]
    return fragment(
        f"{title}: fitted at ε = {stated['epsilon']:g}, δ = {stated['delta']:g}",
        stamp="" if stated["releasable"] else "NOT RELEASABLE: fixed noise, or facts off the rows",
        facts=[
            ("Method", plan.method),
            ("Protects", stated["unit"]),
            ("Neighbours", RELATIONS[stated["relation"]]),
            ("Noise", stated["noise"]["source"]),
            ("Ledger", f"{ledger['ledger_id'][:8]}, charge {ledger['charge'][:8]}"),
            ("Plan", stated["plan_sha256"][:12]),
        ],
        tables=[
            Rows(
                caption=f"What ran, in order, with the ε of each alone at δ = {stated['delta']:g}",
                head=(*HEAD, "ε alone"),
                rows=tuple(
                    (*line, f"{Accountant([mechanism]).certificate(stated['delta']):g}")
                    for line, mechanism in zip(plan_lines(plan), plan.mechanisms, strict=True)
                ),
            )
        ],
        remarks=["ε is not additive: the figures of single steps do not add up to the whole."],
    )
