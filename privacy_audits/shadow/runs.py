"""Run the shadows of a design: in parallel, and on from where a run was killed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import DataError, UsageError, require_extra
from privacy_audits.shadow.design import Cast, ShadowDesign
from privacy_audits.shadow.features import DEFAULT_MAPS, FeatureMap
from privacy_audits.shadow.kept import KeptShadows, Shadow
from privacy_audits.typed import TypedRows, TypedSpace

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class Fit(Protocol):
    """A generator under attack: anything that turns a table into a synthetic one.

    It is called in other processes, hence it can be pickled, and draws from ``rng`` alone.
    """

    def __call__(
        self, table: pd.DataFrame, *, rows: int | None, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Return a synthetic table.

        Parameters
        ----------
        table : DataFrame
            Rows to fit to.
        rows : int or None
            Rows to generate; ``None`` where the generator decides.
        rng : numpy.random.Generator
            All of its randomness.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ShadowRuns:
    """All shadows of a design: sensitive.

    Parameters
    ----------
    design : ShadowDesign
        What was run.
    members : ndarray of bool, shape (n_shadows, n_targets)
        Which targets were in.
    features : mapping of str to ndarray, shape (n_shadows, 1 or n_targets, n_features)
        What each feature map makes of the synthetic tables.
    """

    design: ShadowDesign
    members: BoolArray
    features: dict[str, FloatArray]

    def __repr__(self) -> str:
        return f"ShadowRuns({self.design.generator!r})"


def run_shadows(
    fit: Fit,
    cast: Cast,
    design: ShadowDesign,
    folder: str | Path,
    *,
    features: Sequence[FeatureMap] = DEFAULT_MAPS,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ShadowRuns:
    """Fit a generator to the tables of a design and keep what an attacker sees of each.

    Parameters
    ----------
    fit : Fit
        The generator; ``design.generator`` describes it.
    cast : Cast
        Population and targets.
    design : ShadowDesign
        What to run.
    folder : path
        Where finished shadows are kept. Those that are kept already are not run again.
    features : sequence of FeatureMap
        What the attacker looks at.
    n_jobs : int, optional
        Processes; by default what ``joblib.parallel_config`` says, one otherwise. A backend that is
        set there (Dask, Ray) carries the shadows; only this process writes.
    progress : callable, optional
        Receives (shadows done, shadows in all).

    Raises
    ------
    UsageError
        If the table is too small for the design, or two feature maps share a name.
    IntegrityError
        If the folder is that of another design, or a kept shadow is damaged.
    DataError
        If the generator gives another number of rows than asked for.

    Privacy
    -------
    A research instrument: everything that it keeps and returns is computed from real rows, in part
    without noise, and is confidential. The budgets that it spends are those of imagined releases.
    """
    joblib = require_extra("joblib", extra="audits", purpose="A shadow attack")
    names = [feature.name for feature in features]
    if not names or len(set(names)) < len(names):
        raise UsageError("features must have different names, and there must be one.")
    stand_ins = len(cast.targets) if design.absent == "replaced" else 0
    if design.base_rows + stand_ins > len(cast.population):
        raise UsageError(
            "the table has too few rows for the design.",
            fix="lower base_rows, or take fewer targets.",
        )
    kept = KeptShadows(Path(folder), design, design.digest(cast, features))
    members = design.members(len(cast.targets))
    found = {number: kept.read(number) for number in range(design.shadows)}
    done = {number: shadow for number, shadow in found.items() if shadow is not None}
    space = TypedSpace.of(cast.schema, cast.population, cast.targets, keep_outside=True)
    attacker = _Attacker(
        design=design, targets=space.rows(cast.targets), space=space, features=tuple(features)
    )
    # Tables are made one by one, here: a worker receives the rows of its own shadow and no others.
    tasks = (
        joblib.delayed(attacker.look)(
            fit, design.table(cast, members[n], shadow=n), members[n], number=n
        )
        for n in range(design.shadows)
        if n not in done
    )
    for shadow in _results(joblib, tasks, n_jobs):
        kept.add(shadow)
        done[shadow.number] = shadow
        if progress is not None:
            progress(len(done), design.shadows)
    shadows = [done[number] for number in range(design.shadows)]
    return ShadowRuns(
        design=design,
        members=members,
        features={
            name: np.stack([shadow.features[place] for shadow in shadows])
            for place, name in enumerate(names)
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Attacker:
    """Fits one shadow and looks at its table; what it holds is the same for all shadows."""

    design: ShadowDesign
    targets: TypedRows
    space: TypedSpace
    features: tuple[FeatureMap, ...]

    def look(self, fit: Fit, table: pd.DataFrame, present: BoolArray, *, number: int) -> Shadow:
        asked = self.design.synthetic_rows
        synthetic = fit(table, rows=asked, rng=self.design.generator_of("fit", number))
        if asked is not None and len(synthetic) != asked:
            raise DataError(
                "the generator gave another number of rows than it was asked for.",
                fix="leave synthetic_rows out, or mend the generator.",
            )
        rows = self.space.rows(synthetic)
        return Shadow(
            number=number,
            present=present,
            features=tuple(
                feature(
                    rows,
                    self.targets,
                    space=self.space,
                    rng=self.design.generator_of(f"features: {feature.name}"),
                )
                for feature in self.features
            ),
        )


def _results(joblib: ModuleType, tasks: Iterator[object], n_jobs: int | None) -> Iterator[Shadow]:
    """Yield shadows as they are finished; in rounds where the backend cannot do that."""
    try:
        parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    except ValueError:  # a backend without generators, such as Ray's
        parallel = joblib.Parallel(n_jobs=n_jobs)
        while waiting := list(itertools.islice(tasks, joblib.effective_n_jobs(n_jobs))):
            yield from parallel(waiting)
        return
    yield from parallel(tasks)
