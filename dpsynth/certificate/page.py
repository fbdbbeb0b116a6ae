"""The statement as one page: no script, no request, light and dark, on screen and on paper."""

from __future__ import annotations

from importlib import resources

from dpsynth.certificate import figures, wording
from dpsynth.certificate.outline import outline
from dpsynth.certificate.statement import SHARES_ADD_UP, Statement
from dpsynth.errors import require_extra

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
    jinja2 = require_extra("jinja2", extra="report", purpose="a page")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = resources.files("dpsynth.certificate").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(
        s=statement,
        bars=figures.waterfall(statement),
        questions=outline(statement),
        say=wording,
        show=figures,
        shares_add_up=SHARES_ADD_UP,
    )
