"""The drawings of a page, each as a document of its own."""

from __future__ import annotations

import re

from dpsynth.pages import render

_TAG = re.compile(r"<svg\b[^>]*>|</svg>")
_NAME = re.compile(r'\baria-labelledby="([\w-]+)-title\b')


def drawings(page: str, *, package: str, style: str) -> dict[str, str]:
    """Return the drawings of a page by name.

    Parameters
    ----------
    page : str
        What :func:`dpsynth.pages.render` returned: in it text carries no tag.
    package, style : str
        Package and template of the rules that the drawings need, beside those of all pages.

    Returns
    -------
    dict of str to str
        SVG documents in the order of the page; glyphs of legends, which have no name, are left
        out. They follow the reader's light or dark scheme.
    """
    rules = render("dpsynth.pages", "drawing.css.jinja") + render(package, style)
    found: dict[str, str] = {}
    depth = start = 0
    for tag in _TAG.finditer(page):
        if tag[0] != "</svg>":
            start = start if depth else tag.start()
            depth += 1
            continue
        depth -= 1
        if depth == 0:
            drawing = page[start : tag.end()]
            head, rest = drawing.split(">", 1)
            if name := _NAME.search(head):
                found[name[1]] = _standalone(head, rest, name[1], rules)
    return found


def _standalone(head: str, rest: str, name: str, rules: str) -> str:
    where = f'xmlns="http://www.w3.org/2000/svg" id="{name}" font-family="system-ui, sans-serif"'
    # The text follows the reader's scheme, so that what stands behind it has to.
    behind = f"#{name} {{ background: var(--page); }}"
    head = head.replace("<svg", f"<svg {where}", 1)
    return f"{head}><style>\n{rules}\n{behind}\n</style>{rest}\n"
