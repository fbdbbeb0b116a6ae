"""From a sweep file to a sweep, with every problem named."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dpsynth.bench.configuration import (
    ALL,
    ATTACK,
    DEFAULT_MEASURES,
    HOLDOUT,
    MOST_HELD_OUT,
    CommandSpec,
    MethodSpec,
    Sweep,
    TableKind,
    TableSpec,
)
from dpsynth.bench.peers import PLACEHOLDERS, REQUIRED, placeholders
from dpsynth.errors import UsageError
from dpsynth.methods import METHODS

KINDS: tuple[TableKind, ...] = ("simulator", "sklearn", "statsmodels", "csv", "folder")

_HOUR = 3600.0
_LABEL = re.compile(r"[^|\n\r]{1,80}")

T = TypeVar("T")


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file; paths in it start at its folder.

    Parameters
    ----------
    path : path
        TOML file; ``dpsynth bench --example`` prints one.

    Raises
    ------
    UsageError
        Naming every problem at once, each with its place and fix.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"there is no sweep file {str(path)!r}.",
            code="DPS530",
            fix="start from: dpsynth bench --example > sweep.toml",
        ) from None
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"the sweep file {str(path)!r} cannot be read as UTF-8 text.", code="DPS530"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"the sweep file {str(path)!r} is not valid TOML: {error}.", code="DPS530"
        ) from None
    problems: list[str] = []
    sweep = _sweep(document, path.resolve().parent, problems)
    if problems:
        count = len(problems)
        raise UsageError(
            f"{count} problem{'s' if count > 1 else ''} in the sweep file:\n  "
            + "\n  ".join(problems),
            code="DPS531",
            fix="mend the sweep file; dpsynth bench --example prints one.",
        )
    return sweep


class _Entry:
    """A table of the file. Keys that nobody takes are unknown."""

    def __init__(self, where: str, content: object, problems: list[str]) -> None:
        self._where, self._problems = where, problems
        self._known: list[str] = []
        self._content: dict[str, Any] = content if isinstance(content, dict) else {}
        if not isinstance(content, dict):
            self.wrong(None, "must be a table", f"write {where} with keys below it")

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def wrong(self, key: str | None, what: str, fix: str) -> None:
        name = self._where if key is None else f"{self._where} {key}"
        self._problems.append(f"{name}: {what}. Fix: {fix}.")

    def take(
        self, key: str, fits: Callable[[Any], bool], default: T, *, fix: str, needed: bool = False
    ) -> T:
        """Return a value that fits, or the default with the problem noted."""
        self._known.append(key)
        if key not in self._content:
            if needed:
                self.wrong(key, "is missing", fix)
            return default
        value = self._content[key]
        if not fits(value):
            self.wrong(key, "is not what it must be", fix)
            return default
        return value

    def close(self) -> None:
        """Note the keys that are unknown."""
        for key in self._content:
            if key not in self._known:
                self.wrong(key, "unknown key", f"use {', '.join(self._known)}")


def _sweep(document: dict[str, Any], folder: Path, problems: list[str]) -> Sweep:
    top = _Entry("the file", document, problems)
    entry = _Entry(
        "[sweep]", top.take("sweep", _any, {}, fix="write [sweep]", needed=True), problems
    )
    names = entry.take(
        "methods", _texts, [], fix=f'write methods = ["..."] with names of {", ".join(METHODS)}'
    )
    for name in names:
        if name not in METHODS:
            entry.wrong("methods", f"there is no method {name!r}", f"use {', '.join(METHODS)}")
    epsilons = entry.take(
        "epsilons", _several(_positive), [1.0], fix="write epsilons = [0.5, 1.0]", needed=True
    )
    delta = entry.take("delta", _inside_unit, 1e-5, fix="write a number in (0, 1)", needed=True)
    seeds = _seeds(entry)
    rows = entry.take("rows", _whole, None, fix="write a whole number of rows")
    jobs = entry.take("jobs", _whole, 1, fix="write a number of processes")
    measures = _measures(entry)
    entry.close()
    tables = [
        _table(f"[[dataset]] {number}", content, folder, rows, problems)
        for number, content in enumerate(_list(top, "dataset"), 1)
    ]
    methods: list[MethodSpec | CommandSpec] = [
        MethodSpec(label=name, method=name) for name in names if name in METHODS
    ]
    methods += [
        _method(f"[[method]] {number}", content, problems)
        for number, content in enumerate(_list(top, "method"), 1)
    ]
    methods += [
        _command(f"[[command]] {number}", content, folder, problems)
        for number, content in enumerate(_list(top, "command"), 1)
    ]
    top.close()
    if not tables:
        problems.append("[[dataset]]: there is none. Fix: add at least one.")
    if not methods:
        problems.append("[sweep] methods: there is none. Fix: name at least one.")
    _unlike("dataset", [table.label for table in tables], problems)
    _unlike("method", [method.label for method in methods], problems)
    return Sweep(
        tables=tuple(tables),
        methods=tuple(methods),
        epsilons=tuple(sorted({float(epsilon) for epsilon in epsilons})),
        delta=float(delta),
        seeds=seeds,
        measures=measures,
        jobs=jobs,
    )


def _list(top: _Entry, key: str) -> list[Any]:
    tables = top.take(key, lambda value: isinstance(value, list), [], fix=f"write [[{key}]]")
    return list(tables)


def _unlike(what: str, labels: Sequence[str], problems: list[str]) -> None:
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        problems.append(f"[[{what}]]: two are called {label!r}. Fix: give each a label of its own.")


def _seeds(entry: _Entry) -> tuple[int, ...]:
    repetitions = entry.take("repetitions", _whole, 1, fix="write a whole number from 1")
    seeds = entry.take("seeds", _several(_natural), None, fix="write seeds = [0, 1, 2]")
    if "repetitions" in entry and "seeds" in entry:
        entry.wrong("seeds", "repetitions are given as well", "give one of the two")
    chosen = range(repetitions) if seeds is None else seeds
    return tuple(dict.fromkeys(chosen))


def _measures(entry: _Entry) -> tuple[str, ...]:
    from dpsynth.bench.measuring import families

    known = (*families(), ATTACK)
    fix = f'write "{ALL}" or a list of {", ".join(known)}'
    asked = entry.take("measures", lambda v: v == ALL or _texts(v), list(DEFAULT_MEASURES), fix=fix)
    if asked == ALL:
        return (ALL,)
    for name in asked:
        if name not in known:
            entry.wrong("measures", f"there is no measure {name!r}", fix)
    return tuple(name for name in known if name in asked)


def _table(
    where: str, content: object, folder: Path, most: int | None, problems: list[str]
) -> TableSpec:
    entry = _Entry(where, content, problems)
    if entry.take("public", _any, None, fix="") is not True:
        entry.wrong(
            "public",
            "the table is not declared public",
            "write public = true if anybody may know every row; a sweep fits many times and shows "
            "figures of the rows, so that sensitive tables have no place in it",
        )
    kinds = f"write one of {', '.join(KINDS)}"
    kind = entry.take("kind", lambda v: v in KINDS, None, fix=kinds, needed=True)
    if kind is None:
        # What else it needs depends on its kind.
        return TableSpec(label=where, kind="csv")
    built_in = kind not in ("csv", "folder")
    label = entry.take(
        "label", _label, "", fix="write a short text without |", needed=kind == "csv"
    )
    name, n = "", None
    if built_in:
        name = entry.take("name", _label, "", fix="write the name of the table", needed=True)
        _known_table(entry, kind, name)
    if kind == "simulator":
        n = entry.take("n", _whole, None, fix="write a whole number of rows", needed=True)
    paths = _paths(entry, kind, folder)
    rows = entry.take("rows", _whole, most, fix="write a whole number of rows")
    holdout = HOLDOUT
    if built_in or ("path" in paths and kind == "csv"):
        holdout = entry.take(
            "holdout",
            lambda v: _positive(v) and v <= MOST_HELD_OUT,
            HOLDOUT,
            fix=f"write a share in (0, {MOST_HELD_OUT}]",
        )
    entry.close()
    if not label:
        place = paths.get("path")
        label = name or (where if place is None else place.name)
    return TableSpec(
        label=label, kind=kind, name=name, n=n, rows=rows, holdout=float(holdout), **paths
    )


def _known_table(entry: _Entry, kind: TableKind, name: str) -> None:
    if not name:
        return
    from benchmarks.datasets import SKLEARN, STATSMODELS
    from benchmarks.simulators import SIMULATORS

    known = {"simulator": SIMULATORS, "sklearn": SKLEARN, "statsmodels": STATSMODELS}[kind]
    if name not in known:
        entry.wrong("name", f"there is no {kind} table {name!r}", f"use {', '.join(known)}")


def _paths(entry: _Entry, kind: TableKind, folder: Path) -> dict[str, Path | None]:
    if kind == "folder":
        return {"path": _path(entry, "path", folder, is_folder=True)}
    if kind != "csv":
        return {}
    split = "train" in entry or "test" in entry
    if split and "path" in entry:
        entry.wrong("path", "train and test are given as well", "give path, or train and test")
    keys = ("train", "test", "schema") if split else ("path", "schema")
    return {key: _path(entry, key, folder) for key in keys}


def _path(entry: _Entry, key: str, folder: Path, *, is_folder: bool = False) -> Path | None:
    what = "folder" if is_folder else "file"
    value = entry.take(key, _text, None, fix=f"write the path of a {what}", needed=True)
    if value is None:
        return None
    path = folder / value
    if not (path.is_dir() if is_folder else path.is_file()):
        entry.wrong(key, f"there is no {what} {value!r}", "paths start at the sweep file")
    return path


def _method(where: str, content: object, problems: list[str]) -> MethodSpec:
    entry = _Entry(where, content, problems)
    method = entry.take(
        "method",
        lambda value: value in METHODS,
        "",
        fix=f"write one of {', '.join(METHODS)}",
        needed=True,
    )
    settings = entry.take(
        "settings", lambda value: isinstance(value, dict), {}, fix="write settings = { ... }"
    )
    label = entry.take("label", _label, "", fix="write a short text without |", needed=True)
    known = setting_names(method) if method and settings else ()
    for name in settings if method else ():
        if name not in known:
            entry.wrong("settings", f"{method} has no setting {name!r}", f"use {', '.join(known)}")
    entry.close()
    return MethodSpec(label=label, method=method, settings=settings)


def setting_names(method: str) -> tuple[str, ...]:
    """Return the settings of a method and of its codec that a sweep may change."""
    from dpsynth.bench.fitting import settings_type
    from dpsynth.codec import CodecSettings

    own = settings_type(method)
    parts = (CodecSettings,) if own is None else (own, CodecSettings)
    return tuple(field.name for part in parts for field in dataclasses.fields(part))


def _command(where: str, content: object, folder: Path, problems: list[str]) -> CommandSpec:
    entry = _Entry(where, content, problems)
    label = entry.take("label", _label, "", fix="write a short text without |", needed=True)
    command = entry.take(
        "command",
        _texts,
        [],
        fix='write a list of arguments: ["program", "{fit}", "{out}"]; no shell reads it',
        needed=True,
    )
    if "command" in entry:
        used = placeholders(command)
        for name in sorted(used - PLACEHOLDERS):
            entry.wrong("command", f"unknown placeholder {{{name}}}", _braces(PLACEHOLDERS))
        for name in sorted(REQUIRED - used):
            entry.wrong("command", f"{{{name}}} does not occur", "the peer must be told")
    claim = entry.take(
        "claim",
        _label,
        "",
        fix="write what the peer claims, for example: (ε, δ) per row, by its documentation",
        needed=True,
    )
    timeout = entry.take("timeout", _positive, _HOUR, fix="write seconds")
    environment = entry.take(
        "environment",
        lambda v: isinstance(v, dict) and all(isinstance(text, str) for text in v.values()),
        {},
        fix="write environment = { NAME = TEXT }",
    )
    entry.close()
    return CommandSpec(
        label=label,
        command=tuple(command),
        claim=claim,
        timeout=float(timeout),
        folder=folder,
        environment=environment,
    )


def _braces(names: frozenset[str]) -> str:
    return "use " + ", ".join(f"{{{name}}}" for name in sorted(names))


# -- what fits ----------------------------------------------------------------------------------


def _any(value: object) -> bool:
    return value is not None


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _label(value: object) -> bool:
    return isinstance(value, str) and _LABEL.fullmatch(value) is not None


def _texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value: Any) -> bool:  # noqa: ANN401 - any value of a TOML file
    return _number(value) and value > 0


def _inside_unit(value: Any) -> bool:  # noqa: ANN401 - any value of a TOML file
    return _positive(value) and value < 1


def _natural(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _whole(value: Any) -> bool:  # noqa: ANN401 - any value of a TOML file
    return _natural(value) and value > 0


def _several(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and bool(value) and all(map(fits, value))
