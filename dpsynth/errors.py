"""The exception tree.

::

    DPSynthError               exit 1   internal error
    ├── UsageError             exit 2   wrong argument or configuration
    │   ├── NotFittedError
    │   └── MissingExtraError
    ├── SchemaError            exit 3   the schema is refused
    ├── DataError              exit 3   the table is refused
    ├── BudgetError            exit 4   the ledger refuses the spend
    ├── GateError              exit 5   a validation gate failed
    └── IntegrityError         exit 6   tampering, or a file that would be overwritten

Every error says what is wrong, where (a column or a parameter, both public) and how to mend it.
No error carries a cell value, a row index, an exact count, a minimum or a maximum of the data:
messages are built from the schema and from arguments only. Codes are stable:
``DPS1xx`` privacy, ``DPS2xx`` schema and data, ``DPS3xx`` utility, ``DPS4xx`` audit,
``DPS5xx`` usage, ``DPS6xx`` integrity.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import ClassVar


class DPSynthError(Exception):
    """Base of all errors that dpsynth raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong. Built from public facts only.
    code : str, optional
        Stable finding code, for example ``"DPS203"``.
    column : str, optional
        The column concerned.
    fix : str, optional
        What the reader should do.
    """

    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "DPS001"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        column: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.column = column
        self.fix = fix

    def __str__(self) -> str:
        where = f"column {self.column!r}: " if self.column is not None else ""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.code} {where}{self.message}{fix}"


class UsageError(DPSynthError, ValueError):
    """A wrong argument, or a configuration that cannot be run."""

    exit_code = 2
    default_code = "DPS500"


class NotFittedError(UsageError):
    """The synthesizer has not been fitted."""

    default_code = "DPS501"


class MissingExtraError(UsageError, ImportError):
    """An optional dependency is not installed."""

    default_code = "DPS502"


class SchemaError(DPSynthError, ValueError):
    """The schema is incomplete or contradicts itself."""

    exit_code = 3
    default_code = "DPS200"


class DataError(DPSynthError, ValueError):
    """The table does not have the form that the schema declares."""

    exit_code = 3
    default_code = "DPS250"


class BudgetError(DPSynthError):
    """The accountant or the ledger refuses the spend."""

    exit_code = 4
    default_code = "DPS100"


class GateError(DPSynthError):
    """A validation gate failed; nothing was released."""

    exit_code = 5
    default_code = "DPS300"


class IntegrityError(DPSynthError):
    """A file was changed, or would be overwritten."""

    exit_code = 6
    default_code = "DPS600"


def require_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency or say which extra brings it.

    Parameters
    ----------
    module : str
        Name to import.
    extra : str
        Extra of this distribution that installs it.
    purpose : str
        What needs it, as the subject of a sentence.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{purpose} needs {module}.", fix=f"pip install 'dpsynth[{extra}]'"
        ) from error
