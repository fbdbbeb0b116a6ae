"""The durable book of budgets: reserve, touch, commit.

A budget belongs to a population of people, not to a file. Every plan that reads any dataset about
them is booked here first, and the book says no before a row is read. See :mod:`dpsynth.filters` for
when a plan is admitted and why that is sound.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from dpsynth._admission import decide, other_unit, room, understated
from dpsynth._ledger_bodies import (
    dataset_body,
    first_entries,
    plan_body,
    refused_body,
    reserved_body,
)
from dpsynth._ledger_log import CAME_FROM, ChargeState, Replay, damaged, stop_rule
from dpsynth._ledger_store import Store
from dpsynth._ledger_summary import Anchor, ChargeLine, LedgerSummary, round_down, round_up
from dpsynth._owner import Owner
from dpsynth._pricing import Price, composed_epsilon, price
from dpsynth.errors import BudgetError, DPSynthError, IntegrityError, UsageError
from dpsynth.filters import FAILURE_SHARE, FilterKind, StopRule
from dpsynth.privacy import Budget, NeighbouringRelation, Plan, PrivacyUnit

__all__ = ["Anchor", "Charge", "ChargeLine", "ChargeState", "Ledger", "LedgerSummary"]


class Charge:
    """The right to run one plan on one dataset; :meth:`Ledger.reserve` makes it.

    Used as a context manager it is given back if the block ends, by an exception or not, before
    :meth:`touch`. After :meth:`touch` nothing gives it back.

    Attributes
    ----------
    id : str
        Identifier in the ledger.
    """

    def __init__(self, ledger: Ledger, id: str) -> None:
        self.id = id
        self._ledger = ledger

    @property
    def state(self) -> ChargeState:
        """Where the charge stands in the ledger now."""
        return self._ledger._state(self.id)

    def touch(self) -> None:
        """Enter, durably, that the data is about to be read.

        Call it before the first row is read. When it returns the entry is on disk; if it raises,
        the data must not be read.

        Raises
        ------
        UsageError
            If the charge is not reserved (any more).

        Privacy
        -------
        From here on the charge counts in full, whatever happens.
        """
        self._ledger._move(self.id, ChargeState.TOUCHED)

    def commit(self) -> None:
        """Enter that the run ended as planned.

        Raises
        ------
        UsageError
            If the charge is not touched.
        """
        self._ledger._move(self.id, ChargeState.COMMITTED)

    def abort(self) -> None:
        """Give the charge back, unused.

        Raises
        ------
        UsageError
            If the charge is not reserved (any more).
        """
        self._ledger._move(self.id, ChargeState.ABORTED, reason="given back")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self.state is ChargeState.RESERVED:
                self.abort()
        except DPSynthError:
            # The error of the block says more; what stays reserved is given back by `recover`.
            if kind is None:
                raise

    def __repr__(self) -> str:
        return f"Charge({self.id!r})"


class Ledger:
    """The book of one population's budget.

    Make one with :meth:`create`, :meth:`open` or :meth:`in_memory`. One object may be used by
    several threads; every process opens its own.

    Privacy
    -------
    The ledger holds parameters and times, never anything computed from data. It is confidential
    nevertheless: which plans were run on whom, and when, is nobody else's business.
    """

    def __init__(self, store: Store, replay: Replay) -> None:
        (self._population,) = replay.tables["population"].values()
        self._store = store
        self._ledger_id = replay.ledger_id
        self._rule = stop_rule(self._population)

    # -- making and opening --------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        population: str,
        dataset: str,
        budget: Budget,
        unit: PrivacyUnit,
        filter: FilterKind | str = FilterKind.RDP,
        failure_share: float = FAILURE_SHARE,
        n_policy: str | None = None,
    ) -> Self:
        """Open a new book.

        Parameters
        ----------
        path : path
            File to make, on a local disk.
        population : str
            Name of the people whose budget this is; public.
        dataset : str
            Name of the first dataset about them; public.
        budget : Budget
            The most that may ever be spent on them.
        unit : PrivacyUnit
            Who is protected.
        filter : {"rdp", "zcdp"}
            Measure in which plans are added up: Rényi divergence at one order admits every
            mechanism, zCDP those without subsampling.
        failure_share : float
            Share of δ set aside for failure probabilities of category discovery, in [0, 1). It
            cannot be changed later (:mod:`dpsynth.filters` says why).
        n_policy : {"noised", "declared", "replace_one"}, optional
            Whether the number of units is public: only noisy counts of it, declared by the
            custodian, or public through the neighbouring relation. A statement for reports.

        Raises
        ------
        IntegrityError
            If the file exists.
        UsageError
            If a parameter is wrong or the file cannot be made.
        """
        entries = first_entries(
            population=population,
            dataset=dataset,
            rule=StopRule.for_budget(budget, kind=filter, failure_share=failure_share),
            unit=unit,
            n_policy=n_policy,
        )
        return cls._verified(Store.create(Path(path), entries))

    @classmethod
    def in_memory(
        cls,
        *,
        dataset: str,
        budget: Budget,
        unit: PrivacyUnit,
        population: str | None = None,
        filter: FilterKind | str = FilterKind.RDP,
        failure_share: float = FAILURE_SHARE,
    ) -> Self:
        """Open a book that ends with the process: for tests and research on public data."""
        entries = first_entries(
            population=population or dataset,
            dataset=dataset,
            rule=StopRule.for_budget(budget, kind=filter, failure_share=failure_share),
            unit=unit,
            n_policy=None,
        )
        return cls._verified(Store.create(None, entries))

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False) -> Self:
        """Open an existing book: verify it, and give back what dead processes had reserved.

        Parameters
        ----------
        path : path
            File of the ledger.
        read_only : bool
            Look only; nothing is given back, and nothing can be reserved.

        Raises
        ------
        UsageError
            If there is no such file, or it cannot be written and ``read_only`` is false.
        IntegrityError
            If the file is no ledger or was changed.
        """
        ledger = cls._verified(Store.open(Path(path), read_only=read_only))
        if not read_only:
            ledger.recover()
        return ledger

    @classmethod
    def _verified(cls, store: Store) -> Self:
        try:
            with store.reading():
                replay = store.verify()
            if len(replay.tables["population"]) != 1:
                raise damaged(2, "and those after it do not name one population")
        except BaseException:
            store.close()
            raise
        return cls(store, replay)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- spending ------------------------------------------------------------------------------

    @property
    def unit(self) -> PrivacyUnit:
        """Who is protected."""
        return PrivacyUnit(
            column=self._population["unit_column"],
            max_rows=self._population["max_rows"],
            relation=NeighbouringRelation(self._population["relation"]),
        )

    @property
    def budget(self) -> Budget:
        """The most that may ever be spent."""
        return self._rule.budget

    def add_dataset(self, name: str) -> None:
        """Enter another dataset about the same people; it charges the same budget.

        Parameters
        ----------
        name : str
            Name of the dataset; public.

        Raises
        ------
        UsageError
            If the name is taken.
        """
        with self._store.writing():
            if name in self._datasets():
                raise UsageError(
                    f"the ledger has a dataset {name!r} already.", fix="choose another name."
                )
            self._store.append("dataset", dataset_body(name, self._population["population_id"]))

    def reserve(self, plan: Plan, *, dataset: str) -> Charge:
        """Book a plan before it reads data, or refuse it.

        Every number in the decision is worked out anew from the plan's mechanisms.

        Parameters
        ----------
        plan : Plan
            What is to be run.
        dataset : str
            Name of the dataset that it reads.

        Returns
        -------
        Charge
            Reserved; call :meth:`Charge.touch` before the first row is read.

        Raises
        ------
        BudgetError
            If the plan protects another unit (``DPS105``), costs more than it says (``DPS106``) or
            more than remains (``DPS101``). The refusal is entered; a smaller plan may be tried.
        UsageError
            If the ledger does not know the dataset, or the plan runs no mechanism.

        Privacy
        -------
        Admission and refusal depend on parameters only.
        """
        if not plan.charges:
            raise UsageError("the plan runs no mechanism, so that there is nothing to book.")
        dataset_id = self._dataset_id(dataset)
        refusal = other_unit(plan, self.unit)
        if refusal is not None:
            self._refuse(refusal, plan, dataset_id, epsilon=None)
        # Before the write lock is taken: this may need seconds, and depends on the plan alone.
        cost = price(
            plan.mechanisms,
            orders=self._rule.orders,
            delta=self.budget.delta,
            planned_delta=plan.budget.delta,
        )
        refusal = understated(plan, cost)
        if refusal is not None:
            self._refuse(refusal, plan, dataset_id, epsilon=cost.epsilon)
        with self._store.writing():
            costs, failures = self._store.live_costs()
            decision = decide(self._rule, cost, costs=costs, failures=failures)
            if isinstance(decision, str):
                return self._book(plan, cost, dataset_id=dataset_id, rule=decision)
        self._refuse(decision, plan, dataset_id, epsilon=cost.epsilon)

    def charge(self, charge_id: str) -> Charge:
        """Return the charge of this identifier, for example to give it back by hand.

        Raises
        ------
        UsageError
            If there is none.
        """
        self._state(charge_id)
        return Charge(self, charge_id)

    def recover(self) -> tuple[str, ...]:
        """Give back what processes of this machine had reserved that no longer run.

        A charge that was touched is never given back.

        Returns
        -------
        tuple of str
            Identifiers of the charges given back.
        """
        query = "SELECT charge_id, owner FROM charge WHERE state = 'reserved' ORDER BY seq"
        with self._store.reading():
            reserved = self._store.rows(query)
        gone = [
            row["charge_id"]
            for row in reserved
            if Owner.from_dict(json.loads(row["owner"])).is_gone()
        ]
        given_back = []
        for charge_id in gone:
            with self._store.writing():
                # Another process may have been quicker.
                if self._state_now(charge_id) is ChargeState.RESERVED:
                    body = {"charge_id": charge_id, "reason": "owner gone"}
                    self._store.append(ChargeState.ABORTED, body)
                    given_back.append(charge_id)
        return tuple(given_back)

    # -- looking -------------------------------------------------------------------------------

    @property
    def anchor(self) -> Anchor:
        """Head of the chain, to be kept outside the ledger."""
        with self._store.reading():
            return self._anchor_now()

    def check(self, *, anchor: Anchor | None = None) -> LedgerSummary:
        """Verify the chain, the rules and the tables, entry by entry.

        Parameters
        ----------
        anchor : Anchor, optional
            An earlier head of this ledger; without it a cut-off tail that was cut off the tables
            too cannot be seen.

        Returns
        -------
        LedgerSummary
            Without ``spent_if_fixed``.

        Raises
        ------
        IntegrityError
            Naming the first bad entry, or what the tables and the log do not agree on.
        """
        with self._store.reading():
            self._store.verify()
            if anchor is not None:
                self._compare(anchor)
        return self.summary(compose=False)

    def summary(self, *, compose: bool = True) -> LedgerSummary:
        """Say what was spent and what remains.

        Parameters
        ----------
        compose : bool
            Work out ``spent_if_fixed`` as well, which may need seconds.
        """
        with self._store.reading():
            anchor = self._anchor_now()
            datasets = self._datasets()
            rows = self._store.rows(
                "SELECT charge.*, dataset.name AS dataset, plan.method, plan.spec FROM charge "
                "JOIN dataset USING (dataset_id) JOIN plan USING (plan_sha256) ORDER BY charge.seq"
            )
        live = [row for row in rows if row["state"] != ChargeState.ABORTED]
        costs = [row["cost"] for row in live]
        spent = self._rule.certified_epsilon(costs)
        fixed = None
        if len(live) == 1:
            # One plan, fixed before it touched anything: its own figure is certified.
            fixed = live[0]["epsilon"]
            if self._rule.kind is FilterKind.RDP:
                spent = min(spent, fixed)
        elif compose and live:
            fixed = composed_epsilon(
                (json.loads(row["spec"]) for row in live), delta=self.budget.delta
            )
        used = math.fsum(costs) / self._rule.limit if self._rule.limit > 0 else float(bool(live))
        return LedgerSummary(
            anchor=anchor,
            population=self._population["name"],
            unit=self.unit,
            n_policy=self._population["n_policy"],
            budget=self.budget,
            filter=self._rule.kind,
            datasets=tuple(datasets),
            spent=round_up(spent),
            spent_if_fixed=None if fixed is None else round_up(min(fixed, spent)),
            remaining=round_down(room(self._rule, costs)),
            capacity_used=min(1.0, used),
            charges=tuple(
                ChargeLine(
                    id=row["charge_id"],
                    method=row["method"],
                    dataset=row["dataset"],
                    state=ChargeState(row["state"]),
                    epsilon=round_up(row["epsilon"]),
                    reserved=row["reserved"],
                    plan_sha256=row["plan_sha256"],
                )
                for row in rows
            ),
        )

    def __repr__(self) -> str:
        name, budget = self._population["name"], self.budget
        return f"Ledger({name!r}, ε = {budget.epsilon:g}, δ = {budget.delta:g})"

    # -- inside a transaction ------------------------------------------------------------------

    def _book(self, plan: Plan, cost: Price, *, dataset_id: str, rule: str) -> Charge:
        if not self._store.rows("SELECT 1 FROM plan WHERE plan_sha256 = ?", plan.digest()):
            self._store.append("plan", plan_body(plan))
        measured = self._rule.cost(cost.rdp, cost.rho)
        body = reserved_body(plan, cost, dataset_id=dataset_id, rule=rule, measured=measured)
        self._store.append(ChargeState.RESERVED, body)
        return Charge(self, body["charge_id"])

    def _datasets(self) -> dict[str, str]:
        """Return identifiers by name."""
        rows = self._store.rows("SELECT name, dataset_id FROM dataset ORDER BY seq")
        return {row["name"]: row["dataset_id"] for row in rows}

    def _state_now(self, charge_id: str) -> ChargeState:
        rows = self._store.rows("SELECT state FROM charge WHERE charge_id = ?", charge_id)
        if not rows:
            raise UsageError("the ledger has no such charge.")
        return ChargeState(rows[0]["state"])

    def _anchor_now(self) -> Anchor:
        head = self._store.head()
        assert head is not None
        return Anchor(ledger_id=self._ledger_id, sequence=head.seq, head=head.hash)

    def _compare(self, anchor: Anchor) -> None:
        if anchor.ledger_id != self._ledger_id:
            raise IntegrityError("the anchor is that of another ledger.", code="DPS614")
        entry = self._store.entry(anchor.sequence)
        if entry is None:
            raise IntegrityError(
                f"the ledger ends before entry {anchor.sequence}, which the anchor has seen.",
                code="DPS614",
                fix="restore the newest copy; this one was cut off or is an older state.",
            )
        if entry.hash != anchor.head:
            raise IntegrityError(
                f"entry {anchor.sequence} is not the one that the anchor has seen.",
                code="DPS614",
                fix="restore the newest copy; this one was rewritten or forked.",
            )

    # -- each its own transaction --------------------------------------------------------------

    def _state(self, charge_id: str) -> ChargeState:
        with self._store.reading():
            return self._state_now(charge_id)

    def _move(self, charge_id: str, state: ChargeState, **details: str) -> None:
        with self._store.writing():
            now = self._state_now(charge_id)
            if now is not CAME_FROM[state]:
                raise UsageError(
                    f"this charge is {now}; only one that is {CAME_FROM[state]} becomes {state}.",
                    code="DPS513",
                    fix="reserve the plan again." if state is ChargeState.TOUCHED else None,
                )
            self._store.append(state, {"charge_id": charge_id, **details})

    def _dataset_id(self, name: str) -> str:
        with self._store.reading():
            known = self._datasets()
        if name not in known:
            names = ", ".join(repr(other) for other in known)
            raise UsageError(
                f"the ledger knows no dataset {name!r}; it knows {names}.",
                fix="name one of these, or add the dataset to the population it is about.",
            )
        return known[name]

    def _refuse(
        self, refusal: BudgetError, plan: Plan, dataset_id: str, *, epsilon: float | None
    ) -> NoReturn:
        body = refused_body(plan, dataset_id=dataset_id, code=refusal.code, epsilon=epsilon)
        with self._store.writing():
            self._store.append("refused", body)
        raise refusal
