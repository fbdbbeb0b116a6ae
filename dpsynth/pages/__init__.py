"""What all pages share: one style, light and dark, on screen and on paper; no script, no request.

A page is a template beside the code that fills it. It extends ``base.html.jinja``, or
``internal.html.jinja`` if it is confidential, and takes its tables from ``parts.jinja``.
"""

from __future__ import annotations

from importlib import resources

from dpsynth.errors import require_extra

_SHARED = "dpsynth.pages"


def render(package: str, template: str, **context: object) -> str:
    """Return a page.

    Parameters
    ----------
    package : str
        Package that holds the template.
    template : str
        Its file name.
    **context
        What the template names; everything is escaped.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    jinja2 = require_extra("jinja2", extra="report", purpose="a page")

    def source(name: str) -> str | None:
        for place in (package, _SHARED):
            file = resources.files(place).joinpath(name)
            if file.is_file():
                return file.read_text(encoding="utf-8")
        return None

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**context)
