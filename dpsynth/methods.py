"""Methods by name, for the command line and for stored models."""

from __future__ import annotations

from pathlib import Path

from dpsynth.errors import UsageError, require_extra
from dpsynth.synthesizer import Synthesizer, read_model

METHODS = ("dp-autoregressive", "dp-ctgan", "dp-vae", "pate-gan", "independent")
"""Names of the methods of this release."""


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
    raise UsageError(f"there is no method {name!r}.", fix=f"use one of {', '.join(METHODS)}.")


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
