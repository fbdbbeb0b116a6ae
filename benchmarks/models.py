"""The learners that every comparison uses, with fixed hyper-parameters.

Encoders know the schema's levels; whatever else they need (means, medians) they learn from the
table that they are fitted on, and from no other. Importing this module imports scikit-learn.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self, cast

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.discretise import Tables

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_MOST_TREE_LEVELS = 255
"""More levels than this a tree takes as ordered codes."""
_LARGEST = 1e100
"""Numbers are cut here, so that their squares stay finite."""

_BATCH = 256
_STEPS = 2_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 200


class Learner(Protocol):
    """What is used of a scikit-learn estimator."""

    classes_: npt.NDArray

    def fit(self, features: FloatArray, target: npt.NDArray, /) -> Self:
        """Learn."""
        ...

    def predict(self, features: FloatArray, /) -> npt.NDArray:
        """Return predictions."""
        ...

    def predict_proba(self, features: FloatArray, /) -> FloatArray:
        """Return probabilities of the classes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the columns of a feature matrix are.

    Parameters
    ----------
    places : tuple of int
        Columns of :attr:`~benchmarks.discretise.Conformed.features` that are used.
    numeric : tuple of bool
        Whether each of them holds numbers.
    sizes : tuple of int
        Cells of each, null and outside included.
    declared : tuple of bool
        Whether the schema lists the levels.
    """

    places: tuple[int, ...]
    numeric: tuple[bool, ...]
    sizes: tuple[int, ...]
    declared: tuple[bool, ...]

    @classmethod
    def of(cls, tables: Tables, *, without: int | None = None) -> Inputs:
        """Describe all columns but one."""
        places = tuple(i for i in range(len(tables.columns)) if i != without)
        return cls(
            places=places,
            numeric=tuple(tables.columns[i].is_numeric for i in places),
            sizes=tuple(tables.sizes[i] for i in places),
            declared=tuple(tables.columns[i].categories != "discover" for i in places),
        )

    def matrix(self, features: FloatArray) -> FloatArray:
        """Return the chosen columns, extremes cut."""
        return np.clip(features[:, list(self.places)], -_LARGEST, _LARGEST)


def boosting(inputs: Inputs, *, iterations: int, seed: int, regression: bool = False) -> Learner:
    """Return gradient-boosted trees that take levels as levels and null as null."""
    options: dict[str, Any] = {
        "max_iter": iterations,
        "early_stopping": False,
        "random_state": seed,
        "categorical_features": [
            not number and size <= _MOST_TREE_LEVELS
            for number, size in zip(inputs.numeric, inputs.sizes, strict=True)
        ],
    }
    if regression:
        return cast("Learner", _scaled_target(HistGradientBoostingRegressor(**options)))
    return cast("Learner", HistGradientBoostingClassifier(**options))


def linear(inputs: Inputs, *, regression: bool = False) -> Learner:
    """Return one-hot logistic regression, or ridge regression."""
    if regression:
        return cast("Learner", make_pipeline(_encoder(inputs), _scaled_target(Ridge())))
    last = LogisticRegression(max_iter=300, tol=1e-3)
    return cast("Learner", make_pipeline(_encoder(inputs), last))


def network(inputs: Inputs, *, rows: int, seed: int, regression: bool = False) -> Learner:
    """Return a network with one hidden layer of 64 on the inputs of :func:`linear`.

    Parameters
    ----------
    inputs : Inputs
        What the columns are.
    rows : int
        Training rows. They govern the epochs alone, so that every table of one size is trained by
        the same number of steps.
    seed : int
        Initial weights and the order of rows.
    regression : bool
        Whether the target is a number.

    Notes
    -----
    It trains for a fixed number of epochs: a rule that stops early would hold rows out of one table
    and stop at another epoch for another.
    """
    batch = max(1, min(_BATCH, rows))
    epochs = int(np.clip(_STEPS * batch // max(rows, 1), _FEWEST_EPOCHS, _MOST_EPOCHS))
    options: dict[str, Any] = {
        "hidden_layer_sizes": (64,),
        "batch_size": batch,
        "max_iter": epochs,
        "n_iter_no_change": epochs,
        "learning_rate_init": 3e-3,
        "alpha": 1e-3,
        "early_stopping": False,
        "random_state": seed,
    }
    if regression:
        last: Any = _scaled_target(MLPRegressor(**options))
    else:
        last = MLPClassifier(**options)
    return cast("Learner", make_pipeline(_encoder(inputs), last))


class Constant:
    """A learner that says the same of every row.

    Parameters
    ----------
    said : ndarray of float, shape (n_classes,), or float
        Probabilities of the classes, or a number.
    """

    def __init__(self, said: FloatArray | float) -> None:
        self.said = np.atleast_1d(np.asarray(said, dtype=np.float64))
        self.classes_ = np.arange(len(self.said))

    def fit(self, features: FloatArray, target: npt.NDArray, /) -> Constant:
        """Learn nothing."""
        del features, target
        return self

    def predict(self, features: FloatArray, /) -> npt.NDArray:
        """Return the number for every row, shape (n_rows,)."""
        return np.full(len(features), self.said[0])

    def predict_proba(self, features: FloatArray, /) -> FloatArray:
        """Return the probabilities for every row, shape (n_rows, n_classes)."""
        return np.tile(self.said, (len(features), 1))


def fitted(model: Learner, features: FloatArray, target: npt.NDArray) -> Learner:
    """Return the model after ``fit``; slow convergence is not worth a warning here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, target)


def probabilities(model: Learner, features: FloatArray, n_classes: int) -> FloatArray:
    """Return predicted probabilities of all classes, 0 for those the model has not seen."""
    out = np.zeros((len(features), n_classes))
    out[:, model.classes_.astype(int)] = model.predict_proba(features)
    return out


def one_thread() -> AbstractContextManager[object]:
    """Keep OpenMP and BLAS to one thread.

    The learners meet at a barrier for every node of every tree: where another process holds a core,
    their threads wait for each other far longer than they compute.
    """
    return threadpool_limits(limits=1)


def _scaled_target(model: RegressorMixin) -> TransformedTargetRegressor:
    return TransformedTargetRegressor(
        regressor=model, transformer=StandardScaler(), check_inverse=False
    )


def _encoder(inputs: Inputs) -> ColumnTransformer:
    """Return numbers standardised and levels one-hot; null is a level, or a column of its own."""
    parts: list[tuple[str, Any, list[int]]] = []
    numbers = [i for i, number in enumerate(inputs.numeric) if number]
    if numbers:
        fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        parts.append(("numbers", make_pipeline(fill, StandardScaler()), numbers))
    for known in (True, False):
        levels = [
            i
            for i, number in enumerate(inputs.numeric)
            if not number and inputs.declared[i] == known
        ]
        if levels:
            # A discovered list is no public fact: each table brings its own.
            categories: Any = [np.arange(inputs.sizes[i]) for i in levels] if known else "auto"
            encoder = OneHotEncoder(categories=categories, handle_unknown="ignore")
            parts.append((f"levels-{'declared' if known else 'discovered'}", encoder, levels))
    return ColumnTransformer(parts)
