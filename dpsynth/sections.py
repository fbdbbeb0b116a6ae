"""A section of a settings file as a frozen dataclass.

The dataclass is the only description there is: its annotations say what a key may hold, its
``__post_init__`` or a :class:`Fits` what is out of range, its docstring what a key means (the
comment above it in a file that dpsynth writes). Whoever reads a file learns every problem at once.
"""

from __future__ import annotations

import difflib
import inspect
import textwrap
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

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
    Any: "a value",
}


@dataclass(frozen=True, slots=True)
class Fits:
    """A range, behind the type in ``Annotated[type, Fits(...)]``.

    Parameters
    ----------
    test : callable
        Whether a value of the type is inside.
    words : str
        What comes behind "it must be a number".
    example : str
        A value as the file has it, where that of the type says too little.
    """

    test: Callable[[Any], bool]
    words: str
    example: str = ""


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


def read_document(path: Path, *, hint: str) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : path
        The file.
    hint : str
        Where such a file comes from.

    Raises
    ------
    UsageError
        If there is none (``DPS520``).
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError:
        raise UsageError(
            f"there is no readable file {str(path)!r}.",
            code="DPS520",
            fix=f"check path and rights; {hint}.",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}.", code="DPS520", fix="mend it.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8.", code="DPS520", fix="save it as UTF-8.") from None


def parse(
    kind: type[T],
    table: object,
    *,
    where: str,
    problems: Problems,
    given: Mapping[str, object] | None = None,
) -> T | None:
    """Return a section, or ``None`` with the reasons added to ``problems``.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are annotated with str, int, float, bool, Path, Literal, tuples
        or mappings of them, one of them in a range (:class:`Fits`), or one of them or None.
    table : object
        The parsed section.
    where : str
        Its heading in the file, in brackets.
    problems : Problems
        Receives what is wrong.
    given : mapping of str to object, optional
        Fields that no file may state.
    """
    if not isinstance(table, Mapping):
        problems.add(where, "it must be a section.", f"write {where} and its keys below.")
        return None
    given = {} if given is None else given
    hints = get_type_hints(kind, include_extras=True)
    known = {item.name: item for item in fields(kind) if item.name not in given}  # type: ignore[arg-type]
    before = len(problems.found)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            fix = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}."
            problems.add(where, f"unknown key {str(key)!r}.", fix)
    values: dict[str, Any] = {}
    for key, item in known.items():
        if key in table:
            values[key] = _value(hints[key], table[key], f"{where} {key}", problems)
        elif item.default is MISSING and item.default_factory is MISSING:
            fix = f"add {key} = {_example(hints[key])}"
            problems.add(where, f"{key!r} is missing.", fix)
    if len(problems.found) > before:
        return None
    try:
        return kind(**values, **given)
    except DPSynthError as error:
        problems.add(where, error.message, error.fix or "change it.")
        return None


def check(section: object, *, name: str) -> None:
    """Hold a section that was made in code to its annotations; lists become tuples.

    Parameters
    ----------
    section : dataclass instance
        The section, in its ``__post_init__``.
    name : str
        Its name.

    Raises
    ------
    UsageError
        Naming every field that is malformed (``DPS520``).
    """
    hints = get_type_hints(type(section), include_extras=True)
    wrong = []
    for item in fields(section):  # type: ignore[arg-type]
        value = getattr(section, item.name)
        if value is None and item.default is None:
            continue
        taken = _first(hints[item.name], value)
        if taken is _UNFIT:
            wrong.append(f"{item.name} must be {_wanted(hints[item.name])}")
        else:
            object.__setattr__(section, item.name, taken)
    if wrong:
        raise UsageError(f"{name}: {'; '.join(wrong)}.", code="DPS520")


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
        lines.append(
            f"# {key} is not set{origin}" if unset else f"{key} = {to_toml(value)}{origin}"
        )
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
            lines.append(f"{item.name} = {to_toml(given[item.name])}")
        elif default is MISSING:
            lines.append(f"{item.name} = {_open(hints[item.name])}")
        elif default is None or default == ():
            lines.append(f"# {item.name} = {_example(hints[item.name])}")
        else:
            lines.append(f"{item.name} = {to_toml(default)}")
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


def to_toml(value: object) -> str:
    """Write a value down: a text, a number, true or false, a path, or a list of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    return tomli_w.dumps({"key": str(value)}).removeprefix("key = ").rstrip("\n")


_UNFIT = object()


def _value(hint: Any, value: object, where: str, problems: Problems) -> Any:  # noqa: ANN401
    if OPEN in (value if isinstance(value, list) else [value]):
        problems.add(where, "it is still to be filled in.", "write what is true.")
        return None
    taken = _first(hint, value)
    if taken is _UNFIT:
        problems.add(where, f"it must be {_wanted(hint)}.", f"for example {_example(hint)}.")
        return None
    return taken


def _first(hint: Any, value: object) -> Any:  # noqa: ANN401
    """Return a value as the first alternative that takes it has it; ``_UNFIT`` if none does."""
    found = (_taken(choice, value) for choice in _alternatives(hint))
    return next((taken for taken in found if taken is not _UNFIT), _UNFIT)


def _wanted(hint: Any) -> str:  # noqa: ANN401
    return " or ".join(_words(choice) for choice in _alternatives(hint))


def _taken(choice: Any, value: object) -> Any:  # noqa: ANN401
    """Return a value as a type has it; ``_UNFIT`` if it is none of it."""
    kind, parts = get_origin(choice), get_args(choice)
    if kind is Annotated:
        taken = _taken(parts[0], value)
        return taken if taken is not _UNFIT and parts[1].test(taken) else _UNFIT
    if kind is Literal:
        return value if value in parts else _UNFIT
    if kind is tuple and isinstance(value, list | tuple):
        items = tuple(_taken(parts[0], item) for item in value)
        return _UNFIT if _UNFIT in items else items
    if kind is Mapping and isinstance(value, Mapping):
        items = {key: _taken(parts[1], item) for key, item in value.items()}
        return _UNFIT if _UNFIT in items.values() else items
    if choice is Any:
        return value
    if choice is Path:
        return Path(value) if isinstance(value, str | Path) and str(value) else _UNFIT
    if choice is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is choice else _UNFIT


def _alternatives(hint: Any) -> list[Any]:  # noqa: ANN401
    if get_origin(hint) in (Union, types.UnionType):
        return [choice for choice in get_args(hint) if choice is not type(None)]
    return [hint]


def _words(choice: Any) -> str:  # noqa: ANN401
    kind, parts = get_origin(choice), get_args(choice)
    if kind is Annotated:
        return f"{_words(parts[0])} {parts[1].words}"
    if kind is Literal:
        return "one of " + ", ".join(repr(option) for option in parts)
    if kind is tuple:
        return f"a list, each {_words(parts[0])}"
    if kind is Mapping:
        return f"keys, each with {_words(parts[1])}"
    return _WORDS[choice]


def _example(hint: Any) -> str:  # noqa: ANN401
    choice = _alternatives(hint)[0]
    kind, parts = get_origin(choice), get_args(choice)
    if kind is Annotated:
        return parts[1].example or _example(parts[0])
    if kind is Literal:
        return to_toml(parts[0])
    if kind is tuple:
        return f"[{_example(parts[0])}]"
    if kind is Mapping:
        return f"{{ {OPEN} }}"
    return {str: f'"{OPEN}"', int: "1", float: "0.1", bool: "false", Path: f'"{OPEN}"'}[choice]


def _open(hint: Any) -> str:  # noqa: ANN401
    """Return what a template holds where nothing is known: an answer is asked for, none given."""
    choice = _alternatives(hint)[0]
    if get_origin(choice) is Literal:
        return f'"{OPEN}"  # {_words(choice)}'
    return _example(hint)
