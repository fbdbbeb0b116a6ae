"""From a sweep file to a sweep, with every problem named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from dpsynth.bench.configuration import (
    ALL,
    ATTACK,
    DEFAULT_MEASURES,
    CommandSpec,
    Method,
    MethodSpec,
    Positive,
    Sweep,
    TableSpec,
    Whole,
)
from dpsynth.methods import METHODS
from dpsynth.sections import Fits, Problems, parse, read_document

_SECTIONS = ("sweep", "dataset", "method", "command")

_PATHS = ("path", "train", "test", "schema")

# By kind: what a table needs, and what it may have besides kind, label, rows.
_KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "simulator": (("name", "n"), ("holdout",)),
    "sklearn": (("name",), ("holdout",)),
    "statsmodels": (("name",), ("holdout",)),
    "csv": (("schema", "path"), ("holdout",)),
    "csv with train and test": (("schema", "train", "test"), ()),
    "folder": (("path",), ()),
}

_SOME = Fits(bool, "(one at least)")
_Natural = Annotated[int, Fits(lambda number: number >= 0, "from 0")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """The section ``[sweep]``."""

    methods: tuple[Method, ...] = ()
    epsilons: Annotated[tuple[Positive, ...], _SOME]
    delta: Annotated[float, Fits(lambda delta: 0 < delta < 1, "in (0, 1)")]
    repetitions: Whole = 1
    seeds: Annotated[tuple[_Natural, ...], _SOME] | None = None
    rows: Whole | None = None
    jobs: Whole = 1
    measures: Annotated[tuple[str, ...], _SOME] | Literal["all"] = DEFAULT_MEASURES


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file; paths in it start at its folder.

    Parameters
    ----------
    path : path
        TOML file; ``dpsynth bench --example`` prints one.

    Raises
    ------
    UsageError
        Naming every problem at once, each with its place and fix (``DPS520``).
    """
    document = read_document(path, hint="dpsynth bench --example prints one")
    problems = Problems()
    for name in document:
        if name not in _SECTIONS:
            problems.add(f"[{name}]", "unknown section.", f"use {', '.join(_SECTIONS)}.")
    sweep = _sweep(document, path.resolve().parent, problems)
    problems.raise_any(str(path))
    assert sweep is not None
    return sweep


def _sweep(document: dict[str, Any], folder: Path, problems: Problems) -> Sweep | None:
    stated = document.get("sweep", {})
    section = parse(_Section, stated, where="[sweep]", problems=problems)
    if isinstance(stated, dict):
        _check_choices(stated, problems)
    datasets, methods, commands = (_entries(document, key, problems) for key in _SECTIONS[1:])
    if not datasets:
        problems.add("[[dataset]]", "there is none.", "add at least one.")
    tables = [_table(where, entry, folder, problems) for where, entry in datasets.items()]
    specs: list[MethodSpec | CommandSpec | None] = []
    for where, entry in methods.items():
        _check_settings(where, entry, problems)
        specs.append(parse(MethodSpec, entry, where=where, problems=problems))
    given = {"folder": folder}
    for where, entry in commands.items():
        specs.append(parse(CommandSpec, entry, where=where, problems=problems, given=given))
    names = () if section is None else section.methods
    if section is not None and not (names or specs):
        problems.add("[sweep] methods", "there is none.", "name at least one.")
    labels = [entry.get("label") for entry in (*methods.values(), *commands.values())]
    _check_labels("dataset", [entry.get("label") for entry in datasets.values()], problems)
    _check_labels("method", [*names, *labels], problems)
    if section is None or problems.found:
        return None
    measures = section.measures
    return Sweep(
        tables=tuple(
            replace(table, rows=table.rows or section.rows) for table in tables if table is not None
        ),
        methods=(
            *(MethodSpec(label=name, method=name) for name in names),
            *(spec for spec in specs if spec is not None),
        ),
        epsilons=tuple(sorted(set(section.epsilons))),
        delta=section.delta,
        seeds=tuple(dict.fromkeys(section.seeds or range(section.repetitions))),
        measures=(ALL,) if measures == ALL else tuple(n for n in _measures() if n in measures),
        jobs=section.jobs,
    )


def _measures() -> tuple[str, ...]:
    from dpsynth.bench.measuring import families

    return (*families(), ATTACK)


def _check_choices(stated: dict[str, Any], problems: Problems) -> None:
    if "repetitions" in stated and "seeds" in stated:
        problems.add("[sweep] seeds", "repetitions are given as well.", "give one of the two.")
    asked, known = stated.get("measures"), _measures()
    for name in asked if isinstance(asked, list) else ():
        if name not in known:
            fix = f'write "{ALL}" or a list of {", ".join(known)}.'
            problems.add("[sweep] measures", f"there is no measure {name!r}.", fix)


def _entries(document: dict[str, Any], name: str, problems: Problems) -> dict[str, dict[str, Any]]:
    """Return the sections of a name by their place."""
    entries = document.get(name, [])
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
        problems.add(f"[[{name}]]", "it must be a list of sections.", f"write [[{name}]].")
        return {}
    return {f"[[{name}]] {number}": entry for number, entry in enumerate(entries, 1)}


def _check_labels(name: str, labels: list[object], problems: Problems) -> None:
    counts = Counter(label for label in labels if isinstance(label, str))
    for label, count in counts.items():
        if count > 1:
            problems.add(f"[[{name}]]", f"two are called {label!r}.", "give each its own label.")


def _table(where: str, entry: dict[str, Any], folder: Path, problems: Problems) -> TableSpec | None:
    if entry.pop("public", None) is not True:
        problems.add(
            f"{where} public",
            "the table is not declared public.",
            "write public = true if anybody may know every row; a sweep fits many times and shows "
            "figures of the rows, so that sensitive tables have no place in it.",
        )
    kind = str(entry.get("kind"))
    if kind == "csv" and ("train" in entry or "test" in entry):
        kind = "csv with train and test"
    if kind in _KEYS:
        _check_keys(where, entry, kind, problems)
    for key in _PATHS:
        if isinstance(entry.get(key), str) and entry[key]:
            entry[key] = folder / entry[key]
    if entry.get("kind") != "csv":
        place = entry.get("path")
        known = place.name if isinstance(place, Path) else where
        entry.setdefault("label", entry.get("name", known))
    return parse(TableSpec, entry, where=where, problems=problems)


def _check_keys(where: str, entry: dict[str, Any], kind: str, problems: Problems) -> None:
    """Note what tables of a kind lack or cannot have; unknown keys are found elsewhere."""
    needed, more = _KEYS[kind]
    for key in needed:
        if key not in entry:
            problems.add(where, f"{key!r} is missing.", f"add it: {kind} tables need it.")
    allowed = ("public", "kind", "label", *needed, "rows", *more)
    for key in (field.name for field in fields(TableSpec)):
        if key in entry and key not in allowed:
            problems.add(f"{where} {key}", f"not of {kind} tables.", f"use {', '.join(allowed)}.")
    known = _names(kind)
    if "name" in entry and known and entry["name"] not in known:
        problems.add(
            f"{where} name",
            f"there is no {kind} table {entry['name']!r}.",
            f"use {', '.join(known)}.",
        )


def _names(kind: str) -> tuple[str, ...]:
    from benchmarks.datasets import SKLEARN, STATSMODELS
    from benchmarks.simulators import SIMULATORS

    known = {"simulator": tuple(SIMULATORS), "sklearn": SKLEARN, "statsmodels": STATSMODELS}
    return known.get(kind, ())


def _check_settings(where: str, entry: dict[str, Any], problems: Problems) -> None:
    from dpsynth.bench.fitting import settings_type
    from dpsynth.codec import CodecSettings

    method, settings = entry.get("method"), entry.get("settings")
    if method not in METHODS or not isinstance(settings, dict):
        return
    own = settings_type(method)
    kinds = (CodecSettings,) if own is None else (own, CodecSettings)
    known = tuple(field.name for kind in kinds for field in fields(kind))
    for name in settings:
        if name not in known:
            what = f"{method} has no setting {name!r}."
            problems.add(f"{where} settings", what, f"use {', '.join(known)}.")
