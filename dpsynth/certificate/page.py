"""The statement as one page: no script, no request, light and dark, on screen and on paper."""

from __future__ import annotations

from dpsynth.certificate import figures, wording
from dpsynth.certificate.outline import outline
from dpsynth.certificate.statement import SHARES_ADD_UP, Statement
from dpsynth.pages import render

_TEMPLATE = "statement.html.jinja"


def to_html(statement: Statement) -> str:
    """Return the page.

    Parameters
    ----------
    statement : Statement
        What was spent, and on what.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    return render(
        "dpsynth.certificate",
        _TEMPLATE,
        s=statement,
        bars=figures.waterfall(statement),
        questions=outline(statement),
        say=wording,
        show=figures,
        shares_add_up=SHARES_ADD_UP,
    )
