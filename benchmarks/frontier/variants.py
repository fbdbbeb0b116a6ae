"""Methods with one of their defaults changed, to see what that default is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpsynth.codec import CodecSettings
from dpsynth.methods import method_class
from dpsynth.neural.base import NeuralSynthesizer
from dpsynth.privacy import Budget
from dpsynth.schema import Schema
from dpsynth.synthesizer import Synthesizer

DEFAULTS = "defaults"

VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "dp-autoregressive": {
        "no hidden layer": {"hidden": 0},
        "hidden layer of 128": {"hidden": 128},
        "target counts once": {"target_weight": 1.0},
        "learning rate halved": {"learning_rate": 0.005},
        "learning rate doubled": {"learning_rate": 0.02},
        "sampling probability doubled": {"sampling_probability": 0.1},
        "12% of the budget for counts": {"codec_share": 0.12},
        "32 codes per number": {"numeric_codes": 32},
    },
    "dp-vae": {
        "latent width 12": {"latent": 12},
        "weight of KL halved": {"kl_weight": 0.3},
        "target counts once": {"target_weight": 1.0},
        "learning rate halved": {"learning_rate": 0.005},
        "steps doubled": {"steps": 2000},
    },
    "dp-ctgan": {
        "two critic steps": {"critic_steps": 2},
        "ten critic steps": {"critic_steps": 10},
        "no weight on one-way counts": {"marginal_weight": 0.0},
    },
    "pate-gan": {
        "two units per teacher": {"units_per_teacher": 2.0},
        "one round": {"rounds": 1},
        "half the labels": {"labels": 4000},
        "target asked as rarely as others": {"target_share": 0.0},
    },
}
"""By method and name: the settings, of the method or of its codec, that are not the defaults."""


def changed(method: str, variant: str, schema: Schema, *, budget: Budget, rows: int) -> Synthesizer:
    """Return an unfitted method with its defaults, or with one of them changed.

    Parameters
    ----------
    method, variant : str
        Names; :data:`DEFAULTS` changes nothing.
    schema : Schema
        Public facts.
    budget : Budget
        What the defaults depend on.
    rows : int
        Public guess of the number of rows, on which they depend as well.
    """
    kind = method_class(method)
    model = kind(schema)
    if variant == DEFAULTS or not isinstance(model, NeuralSynthesizer):
        return model
    # The defaults depend on public quantities: they are those of the plan.
    plan = model.plan(budget=budget, rows=rows)
    settings, codec = dict(plan.parameters["settings"]), dict(plan.parameters["codec"])
    for name, value in VARIANTS[method][variant].items():
        (codec if name in codec else settings)[name] = value
    return type(model)(
        schema, codec=CodecSettings(**codec), settings=type(model).settings_type(**settings)
    )
