"""Methods by name, for the command line and for stored models."""

from __future__ import annotations

from pathlib import Path

from dpsynth.codec import CodecSettings, block_sizes
from dpsynth.errors import UsageError, require_extra
from dpsynth.privacy import Budget
from dpsynth.schema import Schema
from dpsynth.synthesizer import DEFAULT_UNITS, Synthesizer, read_model

METHODS = ("dp-autoregressive", "dp-ctgan", "dp-vae", "pate-gan", "mst", "independent")
"""Names of the methods of this release."""

AUTO = "auto"
"""Stands for the method that :func:`choose` names."""

_FEWEST_UNITS = 1_000
_MOST_CODES = 4_000


def choose(schema: Schema, budget: Budget, *, rows: int | None = None) -> str:
    """Return the method to take, from public quantities alone.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    budget : Budget
        What is to be spent.
    rows : int, optional
        Public guess of the number of rows, if the schema declares none.

    Returns
    -------
    str
        ``dp-autoregressive``; ``mst`` where networks do not take so many codes; ``independent``
        where the table is so small that noise leaves one-way counts only and nobody asks for a
        target.

    Notes
    -----
    Measured on subsamples of Adult at ε = 1 (``docs/methods/dp-autoregressive.md``): with 1,000
    rows the two-way errors of both methods are level, with more the network is ahead; rows of a
    declared target are predicted better by the network down to 300.

    Privacy
    -------
    Reads nothing: the choice may be published.
    """
    declared = rows or schema.rows or DEFAULT_UNITS
    units = declared / schema.unit.max_rows
    has_target = any(column.role == "target" for column in schema.modelled)
    is_small = units * min(budget.epsilon, 1.0) < _FEWEST_UNITS and not has_target
    if is_small:
        return "independent"
    if sum(block_sizes(schema, CodecSettings())) > _MOST_CODES:
        return "mst"
    return "dp-autoregressive"


def method_class(name: str) -> type[Synthesizer]:
    """Return the class behind a method's name.

    Raises
    ------
    UsageError
        If there is no such method.
    """
    if name == "independent":
        from dpsynth.marginals.independent import Independent

        return Independent
    if name == "mst":
        from dpsynth.marginals.mst import MST

        return MST
    if name == "dp-autoregressive":
        require_extra("torch", extra="neural", purpose="Method dp-autoregressive")
        from dpsynth.neural.autoregressive import DPAutoregressive

        return DPAutoregressive
    if name == "dp-ctgan":
        require_extra("torch", extra="neural", purpose="Method dp-ctgan")
        from dpsynth.neural.ctgan import DPCTGAN

        return DPCTGAN
    if name == "dp-vae":
        require_extra("torch", extra="neural", purpose="Method dp-vae")
        from dpsynth.neural.vae import DPVAE

        return DPVAE
    if name == "pate-gan":
        require_extra("torch", extra="neural", purpose="Method pate-gan")
        from dpsynth.neural.pategan import PATEGAN

        return PATEGAN
    raise UsageError(
        f"there is no method {name!r}.", fix=f"use one of {', '.join(METHODS)}, or {AUTO}."
    )


def load(path: str | Path) -> Synthesizer:
    """Load a model that :meth:`Synthesizer.save` wrote.

    Parameters
    ----------
    path : path
        The model file.

    Returns
    -------
    Synthesizer
        Fitted; samples like the one that was saved.
    """
    document, arrays = read_model(path)
    return method_class(document["method"])._from_document(document, arrays)
