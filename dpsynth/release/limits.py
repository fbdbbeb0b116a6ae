"""What a user of a synthetic table must know before using it, by method: public knowledge only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GENERAL = (
    "Noise and modelling replace detail: rare categories, small groups and combinations of many "
    "columns are the first to suffer.",
    "Confidence intervals and p-values that are computed as if these rows were real are too "
    "narrow: they leave out the noise of the model. Multiple synthetic tables with combining "
    "rules, or a check on the real rows, are needed for inference.",
    "Columns that determine each other in the real table may come apart; nothing but the schema "
    "is enforced.",
    "What holds for everybody, such as a strong relation between two columns, is learnt from the "
    "table also about people who are not in it. That is outside every guarantee of this kind.",
)

_METHODS = {
    "independent": ("Columns are drawn independently: no relation between columns is kept, none.",),
    "mst": (
        "Relations follow a tree: what two columns share beyond their path in it is lost.",
        "Numbers are grouped; within a group they are independent of all other columns.",
    ),
    "dp-autoregressive": (
        "Numbers are grouped for learning; within a group they are independent of other columns.",
        "A column depends on those before it in the schema's order through one small network: "
        "sharp rules between many columns are smoothed.",
    ),
    "dp-vae": (
        "Rare combinations are smoothed away.",
        "Numbers are grouped for learning; within a group they are independent of other columns.",
    ),
    "dp-ctgan": (
        "Runs differ more than those of the other methods: another fit may look different.",
        "Relations are known coarsely: the budget goes into a critic that is learnt anew while the "
        "generator moves.",
    ),
    "pate-gan": (
        "Relations of three and more columns are whatever the generator makes of pairs.",
        "Numbers are grouped; within a group they are independent of all other columns.",
        "Strong relations between columns with many categories are known coarsely.",
    ),
}


KEYS = (
    "Keys are numbered afresh, one for every row: rows of one person are not linked, and nothing "
    "that happens to a person over time can be followed."
)
"""For tables whose privacy unit may have several rows."""


def known(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return everything that is known to fail in a release, by its method and its privacy unit."""
    keys = (KEYS,) if manifest["privacy"]["plan"]["unit"]["max_rows"] > 1 else ()
    return (*GENERAL, *keys, *_METHODS.get(manifest["method"]["name"], ()))
