"""Evidence: what a validator found out about one synthetic table, bound to the table's SHA-256.

Plain values with strict JSON in and out; standard library only, so that reading evidence needs
nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NoReturn, Self, TypeVar, get_args

from dpsynth.errors import DataError, DPSynthError, IntegrityError, UsageError

FORMAT = "dpsynth.evidence/1"

Kind = Literal["utility", "audit"]
Disclosure = Literal["internal", "public-reference", "dp", "post-processing"]

PUBLIC: tuple[Disclosure, ...] = ("public-reference", "dp", "post-processing")
"""Disclosures of what may leave the house."""

_E = TypeVar("_E", bound=StrEnum)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELDS = ("kind", "table_sha256", "created", "metrics", "findings", "verdict", "disclosure")


class Severity(StrEnum):
    """How much a finding weighs."""

    INFO = "info"
    """Worth knowing."""
    WARNING = "warning"
    """A person should look at it before the table is used."""
    ERROR = "error"
    """The table should not leave the house."""


class Verdict(StrEnum):
    """What a gate makes of the evidence. No value says that a table is private or good."""

    PASS = "no-violation-found"  # noqa: S105
    """Nothing that was looked at speaks against the release."""
    REVIEW = "review"
    """A person decides."""
    INCONCLUSIVE = "inconclusive"
    """Too little data to say."""
    FAIL = "block"
    """The table must not be released."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a validator noticed.

    Parameters
    ----------
    code : str
        Stable code, for example ``"DPS311"``.
    severity : Severity
        Its weight.
    message : str
        One sentence built from public names: no cell value, exact count, minimum or maximum.
    """

    code: str
    severity: Severity
    message: str

    def __post_init__(self) -> None:
        _text("code", self.code)
        _text("message", self.message)
        object.__setattr__(self, "severity", _member(Severity, self.severity))

    def __str__(self) -> str:
        return f"{self.severity}: {self.code} {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Evidence:
    """What was found out about one synthetic table.

    Parameters
    ----------
    kind : {"utility", "audit"}
        Which validator made it.
    table_sha256 : str
        Digest of the table's file (:func:`table_sha256`), 64 lower-case hexadecimal digits.
    created : str
        ISO 8601 time with its offset.
    metrics : mapping
        Names to numbers, texts, or mappings and sequences of them. Frozen on entry.
    findings : tuple of Finding
        What was noticed.
    verdict : Verdict
        What the validator's gate makes of it.
    disclosure : {"internal", "public-reference", "dp", "post-processing"}
        ``internal``: computed from sensitive rows, must not leave the house.
        ``public-reference``: computed against public rows. ``dp``: bought from the ledger.
        ``post-processing``: computed from the released table, the schema and canaries alone.

    Raises
    ------
    UsageError
        If a field is malformed. The message names the field only.

    Privacy
    -------
    Internal evidence lies outside the guarantee. Its ``repr`` shows no metric.
    """

    kind: Kind
    table_sha256: str
    created: str
    metrics: Mapping[str, Any] = field(hash=False)
    findings: tuple[Finding, ...]
    verdict: Verdict
    disclosure: Disclosure

    def __post_init__(self) -> None:
        _choice("kind", self.kind, get_args(Kind))
        _choice("disclosure", self.disclosure, get_args(Disclosure))
        _text("table_sha256", self.table_sha256)
        if not _DIGEST.fullmatch(self.table_sha256):
            _malformed("table_sha256", "64 lower-case hexadecimal digits")
        _text("created", self.created)
        try:
            stamp = datetime.fromisoformat(self.created)
        except ValueError:
            _malformed("created", "an ISO 8601 time with its offset")
        if stamp.tzinfo is None:
            _malformed("created", "an ISO 8601 time with its offset")
        if not isinstance(self.metrics, Mapping):
            _malformed("metrics", "a mapping")
        object.__setattr__(self, "metrics", _freeze(self.metrics))
        findings = tuple(self.findings)
        if not all(isinstance(item, Finding) for item in findings):
            _malformed("findings", "a sequence of Finding")
        object.__setattr__(self, "findings", findings)
        object.__setattr__(self, "verdict", _member(Verdict, self.verdict))

    @property
    def is_public(self) -> bool:
        """Whether it may leave the house."""
        return self.disclosure in PUBLIC

    def __repr__(self) -> str:
        return (
            f"Evidence(kind={self.kind!r}, table_sha256={self.table_sha256[:12]!r}…, "
            f"verdict={str(self.verdict)!r}, disclosure={self.disclosure!r})"
        )

    def to_json(self) -> str:
        """Return a JSON document with sorted keys; the same evidence gives the same text."""
        document = {
            "format": FORMAT,
            **{name: getattr(self, name) for name in _FIELDS},
            "metrics": _thaw(self.metrics),
            "findings": [
                {"code": item.code, "severity": item.severity, "message": item.message}
                for item in self.findings
            ],
        }
        text = json.dumps(document, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
        return text + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what :meth:`to_json` wrote, and nothing else.

        Raises
        ------
        IntegrityError
            For anything that is not evidence of this format: other fields, repeated keys, numbers
            that are not finite, wrong types.
        """
        try:
            document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
            return cls(**_fields(document))
        except (ValueError, TypeError, RecursionError) as error:
            # UsageError is a ValueError; a parser's own message could quote the file.
            detail = f": {error.message}" if isinstance(error, DPSynthError) else "."
            raise IntegrityError(
                f"this is no {FORMAT} document{detail}",
                code="DPS610",
                fix="validate the table anew.",
            ) from None

    def write(self, path: str | Path) -> None:
        """Write the JSON document; an existing file is not replaced.

        Raises
        ------
        IntegrityError
            If the file exists.

        Privacy
        -------
        What is internal is for the owner of the file alone.
        """
        content = self.to_json()
        mode = 0o600 if self.disclosure == "internal" else 0o644
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(content)
        except FileExistsError:
            raise IntegrityError(
                f"{str(path)!r} exists and is not overwritten.",
                code="DPS601",
                fix="choose another name or move the old one away.",
            ) from None
        except OSError:
            raise UsageError(f"cannot write {str(path)!r}.", fix="check path and rights.") from None

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file that :meth:`write` wrote.

        Raises
        ------
        DataError
            If there is no readable file.
        IntegrityError
            If it is not evidence.
        """
        try:
            content = Path(path).read_bytes()
        except OSError:
            raise _unreadable(path) from None
        return cls.from_json(content)


def table_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a table's file as 64 hexadecimal digits.

    Parameters
    ----------
    path : path
        The file whose bytes are hashed.

    Raises
    ------
    DataError
        If there is no readable file.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise _unreadable(path) from None


def bound_digest(digest: str | None) -> str:
    """Return the digest of the table that a report is about.

    Raises
    ------
    UsageError
        If none was given.
    """
    if digest is None:
        raise UsageError(
            "the report is not bound to a file.",
            fix="make it with table_sha256=dpsynth.evidence.table_sha256(path).",
        )
    return digest


def _unreadable(path: str | os.PathLike[str]) -> DataError:
    return DataError(
        f"there is no readable file {os.fspath(path)!r}.",
        code="DPS251",
        fix="check path and rights.",
    )


def _malformed(name: str, expected: str) -> NoReturn:
    raise UsageError(f"evidence: {name} must be {expected}.", code="DPS510") from None


def _text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        _malformed(name, "a text that is not empty")


def _choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        _malformed(name, f"one of {', '.join(allowed)}")


def _member(kind: type[_E], value: object) -> _E:
    try:
        return kind(value)
    except ValueError:
        _malformed(kind.__name__.lower(), f"one of {', '.join(kind)}")


def _freeze(value: object) -> object:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            _malformed("metrics", "named by texts")
        return MappingProxyType({key: _freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_freeze(item) for item in value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    _malformed("metrics", "made of finite numbers, texts, mappings and sequences")


def _thaw(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_thaw(item) for item in value]
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        _malformed("every key", "there once")
    return out


def _no_constant(_: str) -> NoReturn:
    _malformed("every number", "finite")


def _fields(document: object) -> dict[str, Any]:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        _malformed("format", FORMAT)
    if set(document) != {"format", *_FIELDS}:
        _malformed("the document", f"made of format, {', '.join(_FIELDS)}")
    if not isinstance(document["findings"], list):
        _malformed("findings", "a list")
    out = {name: document[name] for name in _FIELDS}
    out["findings"] = tuple(_finding(item) for item in document["findings"])
    return out


def _finding(item: object) -> Finding:
    if not isinstance(item, dict) or set(item) != {"code", "severity", "message"}:
        _malformed("every finding", "made of code, severity, message")
    return Finding(**item)
