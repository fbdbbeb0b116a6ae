"""The book of one population's budget."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from dpsynth.errors import BudgetError, IntegrityError, UsageError
from dpsynth.evidence import Evidence
from dpsynth.filters import FAILURE_SHARE, FilterKind, stop_rule
from dpsynth.ledger import datasets
from dpsynth.ledger import replay as replays
from dpsynth.ledger.admission import decide, other_unit, understated, what_is_left
from dpsynth.ledger.anchors import Anchor, AnchorNotes
from dpsynth.ledger.bodies import (
    dataset_body,
    first_entries,
    judged_body,
    plan_body,
    refused_body,
    released_body,
    reserved_body,
)
from dpsynth.ledger.charge import Charge
from dpsynth.ledger.datasets import Row
from dpsynth.ledger.entries import ChargeState, damaged
from dpsynth.ledger.judgements import Judgement
from dpsynth.ledger.moves import Moves
from dpsynth.ledger.pricing import Price, price
from dpsynth.ledger.recomputing import recompute
from dpsynth.ledger.replay import Replay
from dpsynth.ledger.sqlite import SQLite
from dpsynth.ledger.store import Database, Store
from dpsynth.ledger.summary import LedgerSummary, summarise
from dpsynth.privacy import Budget, NeighbouringRelation, Plan, PrivacyUnit

if TYPE_CHECKING:
    from dpsynth.certificate import Statement


class Ledger:
    """The book of one population's budget.

    Make one with :meth:`create`, :meth:`open` or :meth:`in_memory`. One object may be used by
    several threads; every process opens its own.

    Privacy
    -------
    The ledger holds parameters, times and verdicts on tables; a verdict may be computed from real
    rows, and nothing else is. It is confidential: which plans were run on whom, when, and what
    came of them, is nobody else's business. What may leave it is :meth:`statement`.
    """

    def __init__(self, store: Store, replay: Replay, notes: AnchorNotes | None) -> None:
        (self._population,) = replay.tables["population"].values()
        self._store = store
        self._ledger_id = replay.ledger_id
        self._rule = replays.stop_rule(self._population)
        self._moves = Moves(store, self._rule)
        if notes is not None:
            store.after_commit = lambda head: notes.note(
                Anchor(ledger_id=self._ledger_id, sequence=head.seq, head=head.hash)
            )

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
        content_hmac: str | None = None,
    ) -> Self:
        """Open a new book.

        Parameters
        ----------
        path : path or str
            File to make, on a local disk, or the URL of an empty database
            (``postgresql+psycopg://user@host/database``).
        population : str
            Name of the people whose budget this is; public.
        dataset : str
            Name of the first dataset about them; public.
        budget : Budget
            The most that may ever be spent on them.
        unit : PrivacyUnit
            Who is protected.
        filter : {"rdp", "zcdp", "gdp", "rdp_mixture"}
            Measure in which plans are added up (:mod:`dpsynth.filters`); Rényi divergence at one
            order admits every mechanism.
        failure_share : float
            Share of δ set aside for failure probabilities of category discovery, in [0, 1). It
            cannot be changed later (:mod:`dpsynth.filters` says why).
        n_policy : {"noised", "declared", "replace_one"}, optional
            Whether the number of units is public: only noisy counts of it, declared by the
            custodian, or public through the neighbouring relation. A statement for reports.
        content_hmac : str, optional
            Keyed digest of the first dataset (:mod:`dpsynth.identity`).

        Raises
        ------
        IntegrityError
            If the file exists, or the database holds a ledger.
        UsageError
            If a parameter is wrong, or the ledger cannot be made or reached.
        """
        entries = first_entries(
            population=population,
            dataset=dataset,
            rule=stop_rule(budget, kind=filter, failure_share=failure_share),
            unit=unit,
            n_policy=n_policy,
            content_hmac=content_hmac,
        )
        return cls._new(_create(path), entries, AnchorNotes())

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
            rule=stop_rule(budget, kind=filter, failure_share=failure_share),
            unit=unit,
            n_policy=None,
            content_hmac=None,
        )
        return cls._new(SQLite.in_memory(), entries, None)

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False) -> Self:
        """Open an existing book: verify it, and give back what dead processes had reserved.

        Parameters
        ----------
        path : path or str
            File of the ledger, or the URL of its database.
        read_only : bool
            Look only; nothing is given back, and nothing can be reserved.

        Raises
        ------
        UsageError
            If there is no such ledger, or it cannot be written and ``read_only`` is false.
        IntegrityError
            If it is no ledger, was changed, or is older than one that this user has seen.
        """
        notes = AnchorNotes()
        ledger = cls._verified(Store(_open(path, read_only), read_only=read_only), notes)
        if not read_only:
            notes.note(ledger.anchor)
            ledger.recover()
        return ledger

    @classmethod
    def _new(
        cls,
        database: Database,
        entries: Iterable[tuple[str, Row]],
        notes: AnchorNotes | None,
    ) -> Self:
        store = Store(database)
        store.begin(entries)
        ledger = cls._verified(store, notes)
        if notes is not None:
            notes.note(ledger.anchor)
        return ledger

    @classmethod
    def _verified(cls, store: Store, notes: AnchorNotes | None) -> Self:
        try:
            # Noted heads are read first: others may write, and note, while this one verifies.
            with store.reading():
                ledger_id = store.ledger_id()
            newest = notes.newest(ledger_id) if notes and ledger_id else None
            with store.reading():
                replay = store.verify()
                if len(replay.tables["population"]) != 1:
                    raise damaged(2, "and those after it do not name one population")
                ledger = cls(store, replay, notes)
                if newest is not None:
                    ledger._compare(newest)
        except BaseException:
            store.close()
            raise
        return ledger

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

    def add_dataset(self, name: str, *, content_hmac: str | None = None) -> None:
        """Enter another dataset about the same people; it charges the same budget.

        Parameters
        ----------
        name : str
            Name of the dataset; public.
        content_hmac : str, optional
            Keyed digest of its content (:mod:`dpsynth.identity`).

        Raises
        ------
        UsageError
            If the name is taken.
        IntegrityError
            If the content is that of a dataset with another name.
        """
        with self._store.writing():
            known = self._datasets()
            if name in known:
                raise UsageError(
                    f"the ledger has a dataset {name!r} already.", fix="choose another name."
                )
            datasets.refuse_twin(known, name, content_hmac)
            body = dataset_body(name, self._population["population_id"], content_hmac)
            self._store.append("dataset", body)

    def recognise(self, dataset: str, content_hmac: str | None) -> None:
        """Make sure that a table is the one that was entered under this name.

        A dataset that was entered without a digest takes this one.

        Parameters
        ----------
        dataset : str
            Name of the dataset.
        content_hmac : str or None
            Keyed digest of the table (:mod:`dpsynth.identity`); ``None`` without a key.

        Raises
        ------
        UsageError
            If the dataset has a digest and none is given.
        IntegrityError
            If the table is another one.

        Privacy
        -------
        That a table is the one that was entered is outside the guarantee, like its form.
        """
        if not datasets.is_new(self._known_datasets(), dataset, content_hmac):
            return
        with self._store.writing():
            # Once more: another process may have been quicker, with this table or another.
            known = self._datasets()
            if datasets.is_new(known, dataset, content_hmac):
                body = {"dataset_id": known[dataset]["dataset_id"], "content_hmac": content_hmac}
                self._store.append("identified", body)

    def find(self, content_hmac: str | None) -> str | None:
        """Return the name under which a table was entered, if it was.

        Parameters
        ----------
        content_hmac : str or None
            Keyed digest of the table (:mod:`dpsynth.identity`); ``None`` without a key.

        Raises
        ------
        UsageError
            If datasets have digests and none is given (``DPS517``).
        """
        entered = {row["content_hmac"]: name for name, row in self._known_datasets().items()}
        entered.pop(None, None)
        if content_hmac is None and entered:
            raise datasets.needs_key(next(iter(entered.values())))
        return entered.get(content_hmac)

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
        dataset_id = datasets.find(self._known_datasets(), dataset)["dataset_id"]
        if plan.unit != self.unit:
            refusal = other_unit(plan, self.unit, left=self._left())
            self._refuse(refusal, plan, dataset_id, epsilon=None)
        # Before the write lock is taken: this may need seconds, and depends on the plan alone.
        cost = price(
            plan.mechanisms,
            orders=self._rule.orders,
            delta=self.budget.delta,
            planned_delta=plan.budget.delta,
        )
        if cost.epsilon_as_planned > plan.budget.epsilon:
            refusal = understated(plan, cost, left=self._left())
            self._refuse(refusal, plan, dataset_id, epsilon=cost.epsilon)
        with self._store.writing():
            costs, failures = self._moves.live_costs()
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
        self._moves.state(charge_id)
        return Charge(self._moves, charge_id)

    def resume(self, charge_id: str, *, plan: Plan) -> Charge:
        """Go on with a run that ended early: what was given back is booked again, if it is there.

        Parameters
        ----------
        charge_id : str
            A charge that was stopped, or whose process no longer runs. One that is committed is
            returned as it is.
        plan : Plan
            What is to be run on: the plan that was booked, no other.

        Returns
        -------
        Charge
            Touched; its leases go on from :attr:`Charge.leased`.

        Raises
        ------
        BudgetError
            If others have spent what was given back (``DPS101``). The refusal is entered.
        IntegrityError
            If the plan is not the one that was booked (``DPS110``).
        UsageError
            If the run still goes on, or took no leases.

        Privacy
        -------
        A run that goes on costs what it was reserved for: all its steps, those that were lost
        included. It is admitted like a new plan of that cost.
        """
        self.recover()
        return self._moves.resume(charge_id, plan_sha256=plan.digest())

    def recover(self) -> tuple[str, ...]:
        """Settle what processes of this machine have left open that no longer run.

        What was only reserved is given back; a run that took leases is stopped and counts for
        them. Any other charge that was touched counts in full for ever.

        Returns
        -------
        tuple of str
            Identifiers of the charges settled.
        """
        return self._moves.recover()

    def record_release(self, name: str, *, table_sha256: str, charges: Iterable[str]) -> None:
        """Enter that a table was released, and which charges paid for it.

        Parameters
        ----------
        name : str
            Name of the release; public.
        table_sha256 : str
            Digest of the synthetic table.
        charges : iterable of str
            Identifiers of the charges.

        Raises
        ------
        UsageError
            If one of the charges is unknown or was never touched.
        """
        charges = tuple(charges)
        with self._store.writing():
            for charge_id in charges:
                if self._moves.state_now(charge_id) in (ChargeState.RESERVED, ChargeState.ABORTED):
                    raise UsageError("a release needs a charge that was touched.")
            body = released_body(name, table_sha256=table_sha256, charges=charges)
            self._store.append("released", body)

    def record_verdict(
        self,
        evidence: Evidence,
        *,
        criteria_sha256: str | None = None,
        charge_id: str | None = None,
    ) -> None:
        """Enter what an audit or an evaluation made of a table, for good.

        Parameters
        ----------
        evidence : Evidence
            Its kind, verdict and the digest of the table are entered; no figure is.
        criteria_sha256 : str, optional
            Digest of the criteria that were fixed before.
        charge_id : str, optional
            Charge of the fit that the table was drawn from.

        Notes
        -----
        An audit that is repeated until it passes proves nothing: what it said first stays here.
        """
        body = judged_body(evidence, criteria_sha256=criteria_sha256, charge_id=charge_id)
        with self._store.writing():
            self._store.append("judged", body)

    def verdicts(self, table_sha256: str, *, charge_id: str | None = None) -> tuple[Judgement, ...]:
        """Return what was entered about a table, or any table of a fit's charge, oldest first."""
        with self._store.reading():
            rows = self._store.rows(
                "SELECT time, body FROM entry WHERE kind = 'judged' ORDER BY seq"
            )
        found = (Judgement.of(row["time"], json.loads(row["body"])) for row in rows)
        return tuple(
            line
            for line in found
            if line.table_sha256 == table_sha256
            or (charge_id is not None and line.charge_id == charge_id)
        )

    def fixed_in_advance(self, charge_ids: Sequence[str]) -> bool:
        """Tell whether all of these charges were booked before any of them read a row.

        Only then may their mechanisms be composed as parameters that were fixed in advance.
        """
        with self._store.reading():
            rows = [
                row
                for row in self._store.rows("SELECT charge_id, reserved, touched FROM charge")
                if row["charge_id"] in charge_ids
            ]
        # ISO times of one zone sort as texts.
        read = [row["touched"] for row in rows if row["touched"] is not None]
        return not read or max(row["reserved"] for row in rows) <= min(read)

    # -- looking -------------------------------------------------------------------------------

    @property
    def anchor(self) -> Anchor:
        """Head of the chain, to be kept outside the ledger."""
        with self._store.reading():
            return self._anchor_now()

    def check(self, *, anchor: Anchor | None = None, recomputed: bool = False) -> LedgerSummary:
        """Verify the chain, the rules and the tables, entry by entry.

        Parameters
        ----------
        anchor : Anchor, optional
            An earlier head of this ledger; without it a cut-off tail that was cut off the tables
            too can be seen only by users who have noted a later head.
        recomputed : bool
            Work out every cost anew from the mechanisms as well, which may need seconds.

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
            replay = self._store.verify()
            if anchor is not None:
                self._compare(anchor)
        if recomputed:
            recompute(replay.tables, self._rule)
        return self.summary(compose=False)

    def summary(self, *, compose: bool = True) -> LedgerSummary:
        """Say what was spent and what remains.

        Parameters
        ----------
        compose : bool
            Work out ``spent_if_fixed`` as well, which may need seconds.
        """
        return self._summary(compose=compose)[0]

    def statement(self) -> Statement:
        """Return what may leave the ledger; it may need seconds.

        Raises
        ------
        MissingExtraError
            If the extra ``report`` is not installed.
        """
        from dpsynth.ledger.statements import make_statement

        summary, charges = self._summary(compose=True)
        return make_statement(summary, self._rule, charges)

    def _summary(self, *, compose: bool) -> tuple[LedgerSummary, list[Row]]:
        with self._store.reading():
            anchor = self._anchor_now()
            datasets = list(self._datasets())
            charges = self._store.rows(
                "SELECT charge.*, dataset.name AS dataset, plan.method, plan.spec FROM charge "
                "JOIN dataset ON dataset.dataset_id = charge.dataset_id "
                "JOIN plan ON plan.plan_sha256 = charge.plan_sha256 ORDER BY charge.reserved"
            )
            releases = self._store.rows("SELECT * FROM released ORDER BY seq")
        summary = summarise(
            anchor=anchor,
            population=self._population,
            unit=self.unit,
            rule=self._rule,
            datasets=datasets,
            charges=charges,
            releases=releases,
            compose=compose,
        )
        return summary, charges

    def __repr__(self) -> str:
        name, budget = self._population["name"], self.budget
        return f"Ledger({name!r}, ε = {budget.epsilon:g}, δ = {budget.delta:g})"

    def _repr_html_(self) -> str | None:
        try:
            return self.summary(compose=False)._repr_html_()
        except UsageError:
            return None  # closed: its repr can still be shown

    # -- inside a transaction ------------------------------------------------------------------

    def _book(self, plan: Plan, cost: Price, *, dataset_id: str, rule: str) -> Charge:
        if not self._store.rows("SELECT 1 FROM plan WHERE plan_sha256 = ?", plan.digest()):
            self._store.append("plan", plan_body(plan))
        main = self._rule.main_cost(self._rule.cost(cost.measures))
        body = reserved_body(plan, cost, dataset_id=dataset_id, rule=rule, cost=main)
        self._store.append(ChargeState.RESERVED, body)
        return Charge(self._moves, body["charge_id"])

    def _datasets(self) -> dict[str, Row]:
        """Return datasets by name."""
        rows = self._store.rows("SELECT * FROM dataset ORDER BY seq")
        return {row["name"]: row for row in rows}

    def _anchor_now(self) -> Anchor:
        head = self._store.head
        return Anchor(ledger_id=self._ledger_id, sequence=head.seq, head=head.hash)

    def _compare(self, anchor: Anchor) -> None:
        if anchor.ledger_id != self._ledger_id:
            raise IntegrityError("the anchor is that of another ledger.", code="DPS614")
        entry = self._store.entry(anchor.sequence)
        if entry is None:
            raise IntegrityError(
                f"the ledger ends before entry {anchor.sequence}, which an anchor has seen.",
                code="DPS614",
                fix="restore the newest copy; this one was cut off or is an older state.",
            )
        if entry.hash != anchor.head:
            raise IntegrityError(
                f"entry {anchor.sequence} is not the one that an anchor has seen.",
                code="DPS614",
                fix="restore the newest copy; this one was rewritten or forked.",
            )

    # -- each its own transaction --------------------------------------------------------------

    def _left(self) -> str:
        with self._store.reading():
            costs, _ = self._moves.live_costs()
        return what_is_left(self._rule, costs)

    def _known_datasets(self) -> dict[str, Row]:
        with self._store.reading():
            return self._datasets()

    def _refuse(
        self, refusal: BudgetError, plan: Plan, dataset_id: str, *, epsilon: float | None
    ) -> NoReturn:
        body = refused_body(
            plan.digest(), dataset_id=dataset_id, code=refusal.code, epsilon=epsilon
        )
        with self._store.writing():
            self._store.append("refused", body)
        raise refusal


def _create(path: str | Path) -> Database:
    where = _location(path)
    if isinstance(where, Path):
        return SQLite.create(where)
    from dpsynth.ledger.server import Server

    return Server.create(where)


def _open(path: str | Path, read_only: bool) -> Database:
    where = _location(path)
    if isinstance(where, Path):
        return SQLite.open(where, read_only=read_only)
    from dpsynth.ledger.server import Server

    return Server.open(where, read_only=read_only)


def _location(path: str | Path) -> Path | str:
    """Tell a file from the URL of a database."""
    if isinstance(path, str) and "://" in path:
        if path.startswith("sqlite:///"):
            return Path(path.removeprefix("sqlite:///"))
        return path
    return Path(path)
