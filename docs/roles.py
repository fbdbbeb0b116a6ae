"""Docstrings name objects in the roles of Sphinx; the site shows them as code."""

from __future__ import annotations

import re

from griffe import Extension, Object

_ROLE = re.compile(r":[a-z]+:`~?\.*(?P<name>[^`]+)`")


class Roles(Extension):
    """Writes a role as the name it holds."""

    def on_instance(self, *, obj: Object, **_: object) -> None:
        """Change the docstring of an object that was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\g<name>`", obj.docstring.value)
