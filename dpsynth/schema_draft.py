"""A first schema from names and dtypes, with a TODO wherever a person must answer."""

from __future__ import annotations

import json
import re

from dpsynth.files import column_types
from dpsynth.schema import TODO, Kind

_KEY_NAME = re.compile(
    r"(^|_)(id|ids|uuid|guid|ssn|key|mrn|pseudonym|iban)$|^(id|uuid)_|_no$|number$", re.I
)

_HEAD = """\
# A draft made from names and dtypes alone; no value was read.
# Answer every TODO. What stands here is public and not protected: take bounds and categories from a
# codebook, never from the rows, or buy them (= "discover" with source = "dp").

[table]
name = {name}
rows = "private"
# unit = {{ id = "COLUMN", max_rows = 1 }}   # who is protected; absent: one row is one unit
"""


def draft(source: object, *, name: str) -> str:
    """Return the text of a schema file; see :meth:`dpsynth.schema.Schema.draft`."""
    parts = [_HEAD.format(name=_quoted(name))]
    for column, dtype in column_types(source).items():
        parts.append(f"\n[columns.{_quoted(column)}]\n{_entry(column, dtype)}")
    return "".join(parts)


def _entry(column: str, dtype: str | None) -> str:
    kind = _kind(column, dtype)
    lines = [f'kind = "{kind}"']
    if kind == TODO:
        lines[0] += f"   # {', '.join(Kind)}"
    if kind == Kind.KEY:
        return lines[0] + "\n"
    if kind in (Kind.INTEGER, Kind.REAL, Kind.DATETIME):
        lines.append(f'bounds = "{TODO}"')
    elif kind != Kind.BOOLEAN:
        lines.append(f'categories = "{TODO}"')
    if kind == Kind.REAL:
        lines.append("# decimals = 2")
    lines += ["# missing = true", f'source = "{TODO}"']
    return "\n".join(lines) + "\n"


def _kind(column: str, dtype: str | None) -> str:
    if _KEY_NAME.search(column):
        return Kind.KEY
    return dtype or TODO


def _quoted(text: str) -> str:
    # JSON escapes are TOML escapes; JSON leaves DEL alone, which TOML forbids.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
