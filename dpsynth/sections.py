"""A section of a settings file as a frozen dataclass.

The dataclass is the only description there is: its annotations say what a key may hold, its
``__post_init__`` what is out of range, its docstring what a key means (the comment above it in a
file that dpsynth writes). Whoever reads a file learns every problem at once.
"""

from __future__ import annotations

import difflib
import inspect
import textwrap
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from dpsynth.errors import DPSynthError, UsageError

T = TypeVar("T")

OPEN = "…"
"""Stands where a person must answer."""

_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}


@dataclass(slots=True)
class Problems:
    """What is wrong with a file, collected.

    Parameters
    ----------
    found : list of str
        One sentence each, with its fix.
    """

    found: list[str] = field(default_factory=list)

    def add(self, where: str, what: str, fix: str) -> None:
        """Add one."""
        self.found.append(f"{where}: {what} Fix: {fix}")

    def raise_any(self, name: str) -> None:
        """Raise one error that names all of them.

        Raises
        ------
        UsageError
            If there is one.
        """
        if self.found:
            count = f"{len(self.found)} problem{'s' if len(self.found) > 1 else ''}"
            raise UsageError(
                f"{name}: {count}:\n  " + "\n  ".join(self.found), code="DPS520", fix="mend them."
            )


def parse(kind: type[T], table: object, *, name: str, problems: Problems) -> T | None:
    """Return a section, or ``None`` with the reasons added to ``problems``.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are annotated with str, int, float, bool, Path, Literal, tuples of
        texts, or one of them or None.
    table : object
        The parsed section.
    name : str
        Its name in the file.
    problems : Problems
        Receives what is wrong.
    """
    if not isinstance(table, Mapping):
        problems.add(f"[{name}]", "it must be a section.", f"write [{name}] and its keys below.")
        return None
    hints = get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    before = len(problems.found)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            fix = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}."
            problems.add(f"[{name}]", f"unknown key {str(key)!r}.", fix)
    values: dict[str, Any] = {}
    for key, item in known.items():
        if key in table:
            values[key] = _value(hints[key], table[key], f"[{name}] {key}", problems)
        elif item.default is MISSING and item.default_factory is MISSING:
            fix = f"add {key} = {_example(hints[key])}"
            problems.add(f"[{name}]", f"{key!r} is missing.", fix)
    if len(problems.found) > before:
        return None
    try:
        return kind(**values)
    except DPSynthError as error:
        problems.add(f"[{name}]", error.message, error.fix or "change it.")
        return None


def render(section: object, *, name: str, origins: Mapping[str, str] | None = None) -> str:
    """Write a section down as TOML.

    Parameters
    ----------
    section : dataclass instance
        The section.
    name : str
        Its name.
    origins : mapping of str to str, optional
        Where a value comes from, by key; written behind it.
    """
    lines = [f"[{name}]"]
    for key in meanings(type(section)):
        value = getattr(section, key)
        origin = "" if origins is None else f"  # {origins.get(key, 'default')}"
        unset = value is None or value == ()
        lines.append(f"# {key} is not set{origin}" if unset else f"{key} = {_toml(value)}{origin}")
    return "\n".join(lines) + "\n"


def explain(kind: type, *, name: str, given: Mapping[str, object]) -> str:
    """Write a section with a comment above every key.

    Parameters
    ----------
    kind : type
        The section's dataclass.
    name : str
        Its name.
    given : mapping of str to object
        Values to write; keys that are neither given nor have a default ask for one.
    """
    hints = get_type_hints(kind)
    heading = (inspect.getdoc(kind) or "").partition("\n")[0]
    lines = [f"# {heading}", f"[{name}]"]
    comments = meanings(kind)
    for item in fields(kind):
        lines += textwrap.wrap(
            comments[item.name], 88, initial_indent="# ", subsequent_indent="#   "
        )
        default = item.default
        if item.default_factory is not MISSING:
            default = item.default_factory()
        if item.name in given:
            lines.append(f"{item.name} = {_toml(given[item.name])}")
        elif default is MISSING:
            lines.append(f"{item.name} = {_open(hints[item.name])}")
        elif default is None or default == ():
            lines.append(f"# {item.name} = {_example(hints[item.name])}")
        else:
            lines.append(f"{item.name} = {_toml(default)}")
    return "\n".join(lines) + "\n"


def meanings(kind: type) -> dict[str, str]:
    """Return what each field means, from the numpydoc section *Parameters*."""
    text = inspect.getdoc(kind) or ""
    _, _, rest = text.partition("Parameters\n----------\n")
    out: dict[str, list[str]] = {}
    names: list[str] = []
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            if " : " not in line:
                break  # the heading of the next section
            names = [part.strip() for part in line.partition(" : ")[0].split(",")]
            for part in names:
                out[part] = []
        elif line.strip():
            for part in names:
                out[part].append(line.strip())
    return {item.name: " ".join(out.get(item.name, [])) for item in fields(kind)}


def _value(hint: Any, value: object, where: str, problems: Problems) -> Any:  # noqa: ANN401
    choices = _alternatives(hint)
    if OPEN in (value if isinstance(value, list) else [value]):
        problems.add(where, "it is still to be filled in.", "write what is true.")
        return None
    for choice in choices:
        if get_origin(choice) is Literal:
            if value in get_args(choice):
                return value
        elif get_origin(choice) is tuple:
            if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
                return tuple(value)
        elif choice is Path:
            if isinstance(value, str | Path) and str(value):
                return Path(value)
        elif choice is float:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        elif choice is bool or not isinstance(value, bool):
            if isinstance(value, choice):
                return value
    wanted = " or ".join(_words(choice) for choice in choices)
    problems.add(where, f"it must be {wanted}.", f"for example {_example(hint)}.")
    return None


def _alternatives(hint: Any) -> list[Any]:  # noqa: ANN401
    if get_origin(hint) in (Union, types.UnionType):
        return [choice for choice in get_args(hint) if choice is not type(None)]
    return [hint]


def _words(choice: Any) -> str:  # noqa: ANN401
    if get_origin(choice) is Literal:
        return "one of " + ", ".join(repr(option) for option in get_args(choice))
    return "a list of texts" if get_origin(choice) is tuple else _WORDS[choice]


def _example(hint: Any) -> str:  # noqa: ANN401
    choice = _alternatives(hint)[0]
    if get_origin(choice) is Literal:
        return _toml(get_args(choice)[0])
    if get_origin(choice) is tuple:
        return f'["{OPEN}"]'
    return {str: f'"{OPEN}"', int: "1", float: "0.1", bool: "false", Path: f'"{OPEN}"'}[choice]


def _open(hint: Any) -> str:  # noqa: ANN401
    """Return what a template holds where nothing is known: an answer is asked for, none given."""
    choice = _alternatives(hint)[0]
    if get_origin(choice) is Literal:
        return f'"{OPEN}"  # {_words(choice)}'
    return _example(hint)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return tomli_w.dumps({"key": str(value)}).removeprefix("key = ").rstrip("\n")
