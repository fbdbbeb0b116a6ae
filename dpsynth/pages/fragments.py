"""What a notebook shows of an object: a title, facts and tables, as a fragment of HTML.

An object says what is to be shown in plain text; how it looks is said here alone. A fragment takes
its colours and its font from the notebook, light or dark, and has no script, no style sheet and
nothing to be fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpsynth.errors import MissingExtraError
from dpsynth.pages import render

if TYPE_CHECKING:
    from dpsynth.evidence import Finding

MOST_ROWS = 60
"""Rows of a table that are shown."""
MOST_LETTERS = 400
"""Letters of a text that are shown: names come from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A table of a fragment.

    Parameters
    ----------
    caption : str
        What it lists.
    head : tuple of str
        Names of its columns; the first names the rows.
    rows : tuple of tuple of str
        Cells in plain text, as many as there are columns.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        """The first rows, their texts cut."""
        return tuple(tuple(map(_cut, row)) for row in self.rows[:MOST_ROWS])

    @property
    def whole_caption(self) -> str:
        """The caption, which says what is left out."""
        if len(self.rows) <= MOST_ROWS:
            return self.caption
        return f"{self.caption}: the first {MOST_ROWS} of {len(self.rows)}"


def fragment(
    title: str,
    *,
    stamp: str = "",
    facts: Sequence[tuple[str, str]] = (),
    tables: Sequence[Rows] = (),
    remarks: Sequence[str] = (),
) -> str | None:
    """Return a fragment of HTML, for ``_repr_html_``.

    Parameters
    ----------
    title : str
        What is shown.
    stamp : str
        What stands above everything else, such as that it is confidential.
    facts : sequence of pairs of str
        Names and texts, below the title.
    tables : sequence of Rows
        Below the facts. Those without rows are left out.
    remarks : sequence of str
        Sentences at the end.

    Returns
    -------
    str or None
        None if the extra ``report`` is not installed: a notebook then shows the ``repr``.
        Everything is escaped.
    """
    try:
        return render(
            "dpsynth.pages",
            "fragment.html.jinja",
            title=_cut(title),
            stamp=stamp,
            facts=[(name, _cut(text)) for name, text in facts],
            tables=[table for table in tables if table.rows],
            remarks=remarks,
        )
    except MissingExtraError:
        return None


def finding_rows(findings: Iterable[Finding]) -> Rows:
    """Return findings as a table."""
    return Rows(
        caption="Findings",
        head=("Code", "Weight", "What was noticed"),
        rows=tuple((found.code, str(found.severity), found.message) for found in findings),
    )


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"
