"""The synthesizer: plan, fit, sample, save; the contract that every method obeys."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.accountant import Accountant
from dpsynth.archive import pack, unpack
from dpsynth.calibration import calibrate
from dpsynth.checkpoint import CheckpointFile, Course, Kept, Progress
from dpsynth.codec import Codec, CodecSettings, codec_charges
from dpsynth.errors import IntegrityError, NotFittedError, UsageError
from dpsynth.files import write_bytes
from dpsynth.identity import CustodianKey, content_hmac
from dpsynth.ledger import Charge, ChargeState, Ledger
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, Gaussian, Plan, PlannedCharge, PrivacyUnit, PrivateSelection
from dpsynth.schema import Schema
from dpsynth.table import Source, Table, TableReader

FORMAT = "dpsynth.model/1"

DEFAULT_UNITS = 10_000
"""Guess of the number of units where neither schema nor caller declares one."""

_FAILURE_SHARE = 0.05
"""Share of δ set aside for category discovery, where a schema asks for it."""


class Synthesizer(ABC):
    """Base of all methods.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    codec : CodecSettings, optional
        Public sizes of the codec; by default the method chooses them from the budget, the declared
        size and the schema when it makes a plan.

    Attributes
    ----------
    plan_ : Plan
        What the fit spent, fixed before the data was touched.
    privacy_ : dict
        The guarantee in numbers: ε, δ, unit, relation, noise, ledger entry.

    Notes
    -----
    The words are those of scikit-learn, but this is no ``BaseEstimator``: cloning and grid search
    refit without a word and would multiply ε. One object is fitted once.

    Privacy
    -------
    :meth:`fit` is (ε, δ)-differentially private for the unit and the neighbouring relation of the
    schema, for every table with at least one row. :meth:`sample`, :meth:`save` and everything else
    are post-processing. Not protected: what the schema states.
    """

    method: ClassVar[str] = ""
    resumable: ClassVar[bool] = False

    def __init__(self, schema: Schema, *, codec: CodecSettings | None = None) -> None:
        schema.check()
        if not schema.modelled:
            raise UsageError(
                "the schema has no column to model.", fix="declare one that is no key."
            )
        self.schema = schema
        self.codec_settings = codec
        self.plan_: Plan
        self.privacy_: dict[str, Any]
        self._codec: Codec
        self._file: CheckpointFile | None = None

    # -- what a method fills in --------------------------------------------------------------

    def _default_codec(self, budget: Budget, units: int) -> CodecSettings:
        del budget, units
        return CodecSettings()

    @abstractmethod
    def _plan_charges(
        self, budget: Budget, units: int, codec: CodecSettings
    ) -> tuple[tuple[PlannedCharge, ...], dict[str, Any]]:
        """Return calibrated charges and public hyper-parameters."""

    @abstractmethod
    def _fit_codes(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        course: Course,
    ) -> tuple[PlannedCharge, ...]:
        """Train on codes; return the charges that were run."""

    @abstractmethod
    def _sample_codes(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """Return codes, shape (n, n_columns)."""

    def _arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the arrays that are stored with the model."""
        return {}

    def _restore(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Take stored arrays back."""
        if arrays:
            raise IntegrityError("this model stores no arrays.", code="DPS602")

    # -- the public life of a synthesizer ------------------------------------------------------

    def plan(self, budget: Budget, *, rows: int | None = None) -> Plan:
        """Work out what a fit would spend, without touching data.

        Parameters
        ----------
        budget : Budget
            The (ε, δ) to calibrate to.
        rows : int, optional
            Public guess of the number of rows, if the schema declares none. It sets scales, never
            the guarantee.

        Returns
        -------
        Plan
        """
        units = self._units(rows)
        codec = self.codec_settings or self._default_codec(budget, units)
        charges, parameters = self._plan_charges(budget, units, codec)
        return Plan(
            method=self.method,
            unit=self.schema.unit,
            budget=budget,
            charges=charges,
            parameters={
                **parameters,
                "expected_units": units,
                "codec": codec.state(),
            },
            schema_sha256=self.schema.digest(),
        )

    def fit(
        self,
        data: Source | TableReader,
        *,
        budget: Budget,
        ledger: Ledger,
        dataset: str,
        rows: int | None = None,
        noise: NoiseSource | None = None,
        progress: Progress | None = None,
        key: CustodianKey | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Spend a budget on fitting this method to a table.

        Parameters
        ----------
        data : path, DataFrame, Arrow table or TableReader
            The sensitive table. A path is opened only after the ledger has granted the charge.
        budget : Budget
            What to spend.
        ledger : Ledger
            The book in which the spend is entered first.
        dataset : str
            Name of the dataset in the ledger.
        rows : int, optional
            Public guess of the number of rows.
        noise : NoiseSource, optional
            Operating system entropy by default. A seeded source marks the model as not releasable.
        progress : callable, optional
            Receives (steps done, steps in all).
        key : CustodianKey, optional
            Recognises the table as the one that was entered under this name.
        checkpoint : path, optional
            File in which the fit keeps what it has released; :meth:`save` removes it. If it
            exists, the fit that wrote it goes on, within its charge: steps that were leased and
            lost count, and are not taken again.

        Returns
        -------
        self

        Raises
        ------
        BudgetError
            If the ledger refuses; the data has not been opened.
        DataError
            If the form of the table does not fit the schema; nothing has been spent.
        IntegrityError
            If the table is not the one that was entered; nothing has been spent.
        UsageError
            If this object was fitted before, or the dataset is recognised by a key and none is
            given.

        Privacy
        -------
        From the moment the first row is read the charge counts, whatever happens: in full, or, for
        a run that ends early, with the steps of DP-SGD that were leased to it. A run that goes on
        takes no more steps than were booked, those that were lost included.
        """
        if hasattr(self, "plan_"):
            raise UsageError(
                "this synthesizer was fitted before, and every fit is a new charge.",
                fix="make a new synthesizer and give it a budget of its own.",
            )
        noise = noise or NoiseSource.from_entropy()
        reader = TableReader.of(data, self.schema)
        file, kept = self._checkpoint(checkpoint, budget=budget, dataset=dataset)
        if kept is None:
            plan = self.plan(budget, rows=rows)
            charge = ledger.reserve(plan, dataset=dataset)
        else:
            plan = plan_from_spec(kept.document["plan"])
            charge = ledger.resume(kept.charge, plan=plan)
        with charge:
            # All steps may have been taken, and the model not been saved: then no row is needed.
            is_done = charge.state is ChargeState.COMMITTED
            if not is_done:
                reader.preflight()
                ledger.recognise(dataset, None if key is None else content_hmac(reader.source, key))
            if kept is None:
                charge.touch(leases=True)
            self.plan_ = plan
            ran = self._fit_table(
                None if is_done else reader.read(charge, rng=noise.generator),
                noise,
                lambda releases: self._course(
                    releases, charge, dataset, noise=noise, progress=progress, file=file, kept=kept
                ),
                kept,
            )
            if ran != plan.charges:
                raise IntegrityError(
                    "the mechanisms that ran are not those that were booked.", code="DPS110"
                )
            if not is_done:
                charge.commit()
        self.privacy_ = stated_privacy(plan, self.schema, charge=charge, ledger=ledger, noise=noise)
        if kept is not None:
            self.privacy_["releasable"] &= kept.document["releasable"]
        self._file = file
        return self

    def _checkpoint(
        self, path: str | Path | None, *, budget: Budget, dataset: str
    ) -> tuple[CheckpointFile | None, Kept | None]:
        if path is None:
            return None, None
        if not self.resumable:
            raise UsageError(
                f"{self.method} keeps no checkpoints: it reads the rows in one go.",
                fix="fit without a checkpoint.",
            )
        file = CheckpointFile(path)
        kept = file.read()
        if kept is not None:
            kept.require(
                method=self.method,
                schema=self.schema.to_dict(),
                dataset=dataset,
                budget={"epsilon": budget.epsilon, "delta": budget.delta},
            )
        return file, kept

    def _course(
        self,
        codec: Mapping[str, Any],
        charge: Charge,
        dataset: str,
        *,
        noise: NoiseSource,
        progress: Progress | None,
        file: CheckpointFile | None,
        kept: Kept | None,
    ) -> Course:
        document = {
            "method": self.method,
            "schema": self.schema.to_dict(),
            "dataset": dataset,
            "budget": {"epsilon": self.plan_.budget.epsilon, "delta": self.plan_.budget.delta},
            "plan": self.plan_.spec(),
            "charge": charge.id,
            "releasable": noise.releasable and (kept is None or kept.document["releasable"]),
            **codec,
        }
        return Course(
            progress=progress,
            lease=charge.lease,
            keep=None if file is None else partial(file.write, document),
            kept=None if kept is None else kept.arrays,
            leased={} if kept is None else charge.leased,
        )

    def _fit_table(
        self,
        table: Table | None,
        noise: NoiseSource,
        course: Callable[[Mapping[str, Any]], Course] | None = None,
        kept: Kept | None = None,
    ) -> tuple[PlannedCharge, ...]:
        """Buy the codec and train, or go on from what was kept; return the charges that ran.

        ``course`` is told what the codec released. Without a table nothing remains to be read.
        """
        settings = self._take_settings(self.plan_.parameters)
        if kept is None:
            assert table is not None
            self._codec, bought = Codec.fit(table, plan=self.plan_, settings=settings, noise=noise)
        else:
            self._codec = Codec.from_state(self.schema, kept.document["codec"])
            steps = kept.document["bought"]
            bought = tuple(charge for charge in self.plan_.charges if charge.step in steps)
        released = {"codec": self._codec.state(), "bought": [charge.step for charge in bought]}
        codes = np.zeros((0, len(self._codec.codes)), dtype=np.int32)
        return bought + self._fit_codes(
            codes if table is None else self._codec.encode(table),
            np.zeros(0, dtype=np.int64) if table is None else table.unit_index,
            noise=noise,
            course=Course.plain() if course is None else course(released),
        )

    def _take_settings(self, parameters: Mapping[str, Any]) -> CodecSettings:
        """Make the settings of the plan those of this object; return the codec's."""
        self.codec_settings = CodecSettings(**parameters["codec"])
        return self.codec_settings

    def sample(self, n: int | None = None, *, seed: int | None = None) -> pd.DataFrame:
        """Draw a synthetic table.

        Parameters
        ----------
        n : int, optional
            Number of rows; by default the noisy number of rows that the fit bought, or the
            schema's public one.
        seed : int, optional
            Makes the draw repeatable. Sampling is post-processing, so that a known seed costs no
            privacy.

        Returns
        -------
        DataFrame, shape (n, n_columns)
            Columns in the schema's order; keys are numbered afresh.
        """
        n, rng = self._rows_and_generator(n, seed)
        return self._codec.decode(self._sample_codes(n, rng), rng)

    def _rows_and_generator(
        self, n: int | None, seed: int | None
    ) -> tuple[int, np.random.Generator]:
        self._require_fit()
        if n is None:
            n = self.schema.rows or max(1, round(self._codec.rows))
        if n < 1:
            raise UsageError(f"n must be at least 1, got {n}.")
        source = NoiseSource.from_entropy() if seed is None else NoiseSource.seeded(seed)
        return int(n), source.generator

    def save(self, path: str | Path) -> None:
        """Write the model as JSON and tensors into one file; an existing file is not replaced.

        A checkpoint of the fit is removed: it is not needed any more.

        Raises
        ------
        IntegrityError
            If the file exists.

        Privacy
        -------
        The file holds the schema, the plan, noisy counts and noised weights: no row, no exact
        count, no generator state.
        """
        self._require_fit()
        document = {
            "format": FORMAT,
            "method": self.method,
            "schema": self.schema.to_dict(),
            "plan": self.plan_.spec(),
            "privacy": self.privacy_,
            "codec": self._codec.state(),
        }
        write_bytes(Path(path), pack(document, self._arrays()))
        if self._file is not None:
            self._file.remove()

    @classmethod
    def _from_document(
        cls, document: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[np.float32]]
    ) -> Self:
        schema = Schema.from_dict(document["schema"])
        plan = plan_from_spec(document["plan"])
        won = document["privacy"].get("selection")
        model = cls._rebuild(
            schema, plan if won is None else candidate_plan(plan, won["candidate"])
        )
        model.plan_ = plan
        model.privacy_ = dict(document["privacy"])
        model._codec = Codec.from_state(schema, document["codec"])
        model._restore(arrays)
        return model

    @classmethod
    def _rebuild(cls, schema: Schema, plan: Plan) -> Self:
        """Return an unfitted synthesizer with the hyper-parameters of a plan."""
        model = cls(schema)
        model._take_settings(plan.parameters)
        return model

    def cliques(self) -> tuple[tuple[str, ...], ...]:
        """Return the columns whose counts the fit released, alone or together.

        Follows from the schema, or from what was released: audits look where the method looked.
        """
        return tuple((column.name,) for column in self.schema.modelled)

    # -- helpers for methods -------------------------------------------------------------------

    def _units(self, rows: int | None) -> int:
        declared = rows or self.schema.rows
        if declared is None:
            return DEFAULT_UNITS
        if declared < 1:
            raise UsageError(f"rows must be at least 1, got {declared}.")
        return max(1, round(declared / self.schema.unit.max_rows))

    def _codec_charges(
        self, budget: Budget, codec: CodecSettings, *, share: float
    ) -> tuple[PlannedCharge, ...]:
        """Return the codec's charges at ``share`` of the budget, in units of μ² of a Gaussian."""
        multiplier = calibrate(
            lambda scale: [Gaussian(relation=self.schema.unit.relation, noise_multiplier=scale)],
            budget,
        )
        sigma = self._histogram_sigma(multiplier / math.sqrt(share), codec)
        return self._codec_at(budget, codec, sigma=sigma)

    def _codec_at(
        self, budget: Budget, codec: CodecSettings, *, sigma: float
    ) -> tuple[PlannedCharge, ...]:
        return codec_charges(
            self.schema,
            codec,
            sigma=sigma,
            failure_delta=_FAILURE_SHARE * budget.delta,
        )

    def _histogram_sigma(self, multiplier: float, codec: CodecSettings) -> float:
        """Return the noise per cell at which all counts together are one Gaussian query."""
        unit_charges = self._codec_at(Budget(epsilon=1.0, delta=1e-6), codec, sigma=1.0)
        moved = sum(
            getattr(c.mechanism, "count", 1) * getattr(c.mechanism, "sensitivity", 1) ** 2
            for c in unit_charges
        )
        return multiplier * math.sqrt(moved)

    def _require_fit(self) -> None:
        if not hasattr(self, "_codec"):
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted.", fix="call fit first."
            )

    def __repr__(self) -> str:
        name = type(self).__name__
        if not hasattr(self, "privacy_"):
            return f"{name}(schema={self.schema.name!r}, not fitted)"
        p = self.privacy_
        return (
            f"{name}(schema={self.schema.name!r}, fitted at ε = {p['epsilon']}, δ = {p['delta']}, "
            f"unit: {p['unit']})"
        )

    def _repr_html_(self) -> str | None:
        from dpsynth.model_fragment import model_fragment

        return model_fragment(self)


def stated_privacy(
    plan: Plan, schema: Schema, *, charge: Charge, ledger: Ledger, noise: NoiseSource
) -> dict[str, Any]:
    """Return what a fitted model says about its guarantee."""
    anchor = ledger.anchor
    return {
        "epsilon": Accountant(plan.mechanisms).certificate(plan.budget.delta),
        "delta": plan.budget.delta,
        "unit": plan.unit.describe(),
        "relation": str(plan.unit.relation),
        "noise": noise.describe(),
        "releasable": noise.releasable and not schema.research,
        "plan_sha256": plan.digest(),
        "ledger": {
            "ledger_id": anchor.ledger_id,
            "charge": charge.id,
            "sequence": anchor.sequence,
            "head": anchor.head,
        },
    }


def candidate_plan(plan: Plan, index: int) -> Plan:
    """Return the plan of one trial of a private selection.

    Parameters
    ----------
    plan : Plan
        The plan of the selection, as :mod:`dpsynth.selection` makes it.
    index : int
        Number of the candidate, from 0.
    """
    (selection,) = plan.mechanisms
    assert isinstance(selection, PrivateSelection)
    facts = plan.parameters["candidates"][index]
    return Plan(
        method=facts["method"],
        unit=plan.unit,
        budget=Budget(**facts["budget"]),
        charges=tuple(
            PlannedCharge(step=step, mechanism=mechanism)
            for step, mechanism in zip(facts["steps"], selection.candidates[index], strict=True)
        ),
        parameters=facts["parameters"],
        schema_sha256=plan.schema_sha256,
    )


def plan_from_spec(spec: Mapping[str, Any]) -> Plan:
    """Rebuild a plan from :meth:`Plan.spec`."""
    from dpsynth.privacy import mechanism_from_spec

    return Plan(
        method=spec["method"],
        unit=PrivacyUnit(**spec["unit"]),
        budget=Budget(**spec["budget"]),
        charges=tuple(
            PlannedCharge(step=c["step"], mechanism=mechanism_from_spec(c["mechanism"]))
            for c in spec["charges"]
        ),
        parameters=spec["parameters"],
        schema_sha256=spec["schema_sha256"],
    )


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.float32]]]:
    """Read what :meth:`Synthesizer.save` wrote.

    Raises
    ------
    UsageError
        If there is no such file.
    IntegrityError
        If it is not a dpsynth model.
    """
    return unpack(path, format=FORMAT, what="model")
