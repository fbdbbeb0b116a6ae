"""One of our methods, with defaults or with settings changed, fitted under a ledger of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dpsynth.codec import CodecSettings
from dpsynth.ledger import Ledger
from dpsynth.methods import method_class
from dpsynth.privacy import Budget
from dpsynth.schema import Schema
from dpsynth.synthesizer import Synthesizer


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Fitted:
    """What a fit gave.

    Parameters
    ----------
    synthetic : DataFrame
        A sample of the declared size.
    cliques : tuple of tuple of str
        Columns whose counts the method released together: audits look where it looked.
    """

    synthetic: pd.DataFrame
    cliques: tuple[tuple[str, ...], ...]


def settings_type(method: str) -> type | None:
    """Return the class of a method's settings; None where only its codec can be set."""
    if method == "independent":
        return None
    if method == "mst":
        from dpsynth.marginals.mst import MSTSettings

        return MSTSettings
    return getattr(method_class(method), "settings_type", None)


def configured(
    method: str, settings: Mapping[str, Any], schema: Schema, *, budget: Budget, rows: int
) -> Synthesizer:
    """Return an unfitted method with some of its defaults changed.

    Parameters
    ----------
    method : str
        Name.
    settings : mapping
        Settings of the method or of its codec by name; empty for the defaults.
    schema : Schema
        Public facts.
    budget : Budget
        What the defaults depend on.
    rows : int
        Public guess of the number of rows, on which they depend as well.
    """
    kind = method_class(method)
    if not settings:
        return kind(schema)
    # The defaults depend on public quantities: they are those of the plan.
    parameters = kind(schema).plan(budget=budget, rows=rows).parameters
    codec, own = dict(parameters["codec"]), dict(parameters.get("settings", {}))
    for name, value in settings.items():
        (codec if name in codec else own)[name] = value
    made = settings_type(method)
    options: dict[str, Any] = {"codec": CodecSettings(**codec)}
    if made is not None:
        options["settings"] = made(**own)
    return kind(schema, **options)


def fit(
    method: str,
    settings: Mapping[str, Any],
    data: Path,
    schema: Schema,
    *,
    budget: Budget,
    rows: int,
) -> Fitted:
    """Fit once and sample once.

    Parameters
    ----------
    method, settings
        As for :func:`configured`.
    data : path
        Rows to fit: public.
    schema : Schema
        Public facts.
    budget : Budget
        What is spent: all of a book that ends with the run.
    rows : int
        Declared number of rows, and the size of the sample.

    Raises
    ------
    BudgetError
        If the method cannot be run under so small a budget.

    Privacy
    -------
    Every run has a ledger of its own, so that nothing counts over the sweep: for tables that
    anybody may know, and for nothing else.
    """
    ledger = Ledger.in_memory(dataset="sweep", budget=budget, unit=schema.unit)
    model = configured(method, settings, schema, budget=budget, rows=rows)
    model.fit(data, budget=budget, ledger=ledger, dataset="sweep", rows=rows)
    return Fitted(synthetic=model.sample(rows), cliques=model.cliques())
