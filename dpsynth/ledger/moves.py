"""Moves of charges from one state to the next, each a transaction of its own."""

from __future__ import annotations

import json
from typing import Any

from dpsynth.errors import IntegrityError, UsageError
from dpsynth.filters import StopRule
from dpsynth.ledger.admission import decide_again
from dpsynth.ledger.bodies import refused_body, resumed_body, stopped_body
from dpsynth.ledger.charge import Charge
from dpsynth.ledger.entries import ChargeState
from dpsynth.ledger.leases import leasable, realised
from dpsynth.ledger.owner import Owner
from dpsynth.ledger.pricing import measure, measures_from_json
from dpsynth.ledger.store import Store

Row = dict[str, Any]

_NOT_THERE = "DPS513"
"""Code of a move that the state of a charge does not allow."""


class Moves:
    """Moves of charges from one state to the next.

    Parameters
    ----------
    store : Store
        Log and tables.
    rule : StopRule
        Stop rule of the population.
    """

    def __init__(self, store: Store, rule: StopRule) -> None:
        self._store, self._rule = store, rule

    def leased(self, charge_id: str) -> dict[str, int]:
        """Return how often each step of the plan may have run."""
        with self._store.reading():
            leased = self.charge_now(charge_id)["leased"]
        return {} if leased is None else json.loads(leased)

    def state(self, charge_id: str) -> ChargeState:
        """Return where a charge stands."""
        with self._store.reading():
            return self.state_now(charge_id)

    def touch(self, charge_id: str, *, leases: bool) -> bool:
        """Enter that the data is about to be read; tell whether steps are leased."""
        with self._store.writing():
            row = self._expect(charge_id, ChargeState.RESERVED, "can be touched")
            steps = leasable(json.loads(row["spec"])) if leases else {}
            leased = dict.fromkeys(steps, 0) or None
            body = {"charge_id": charge_id, "leased": leased}
            self._store.append(ChargeState.TOUCHED, body)
        return leased is not None

    def lease(self, charge_id: str, step: str, upto: int) -> None:
        """Enter that a step of the plan runs up to so many times in all."""
        with self._store.writing():
            row = self._expect(charge_id, ChargeState.TOUCHED, "takes leases")
            if row["leased"] is None:
                raise UsageError("this charge was touched without leases.")
            leased = json.loads(row["leased"])
            planned = leasable(json.loads(row["spec"])).get(step, 0)
            if step not in leased or not leased[step] <= upto <= planned:
                raise IntegrityError(
                    f"the plan has {planned} runs of the step {step!r}, and {upto} are asked for.",
                    code="DPS110",
                )
            body = {"charge_id": charge_id, "leased": {**leased, step: upto}}
            self._store.append("leased", body)

    def commit(self, charge_id: str) -> None:
        """Enter that the run ended as planned."""
        with self._store.writing():
            row = self._expect(charge_id, ChargeState.TOUCHED, "can be committed")
            if row["leased"] is not None and json.loads(row["leased"]) != leasable(
                json.loads(row["spec"])
            ):
                raise IntegrityError(
                    "the run ended without having leased all steps of its plan.", code="DPS110"
                )
            self._store.append(ChargeState.COMMITTED, {"charge_id": charge_id})

    def abort(self, charge_id: str, *, reason: str) -> None:
        """Give a charge back, unused."""
        with self._store.writing():
            self._expect(charge_id, ChargeState.RESERVED, "can be given back")
            body = {"charge_id": charge_id, "reason": reason}
            self._store.append(ChargeState.ABORTED, body)

    def stop(self, charge_id: str, *, reason: str) -> None:
        """Enter that a run has ended early, at the cost of its leased steps."""
        while True:
            with self._store.reading():
                before = self._expect(charge_id, ChargeState.TOUCHED, "can be stopped")
            if before["leased"] is None:
                raise UsageError("this charge took no leases, so that it counts in full for ever.")
            measures = measures_from_json(before["measures"])
            if before["rule"] == "filter":
                # Worked out before the write lock is taken.
                ran = realised(json.loads(before["spec"]), json.loads(before["leased"]))
                measures = measure(ran, orders=self._rule.orders).at_most(measures)
            with self._store.writing():
                now = self._expect(charge_id, ChargeState.TOUCHED, "can be stopped")
                if now["leased"] != before["leased"]:
                    continue  # it still runs, and has taken another lease meanwhile
                cost = self._rule.main_cost(self._rule.cost(measures))
                body = stopped_body(charge_id, reason=reason, cost=cost, measures=measures)
                self._store.append(ChargeState.STOPPED, body)
                return

    def resume(self, charge_id: str, *, plan_sha256: str) -> Charge:
        """Go on with a run that was stopped (:meth:`Ledger.resume`)."""
        with self._store.reading():
            before = self.charge_now(charge_id)
            if before["plan_sha256"] != plan_sha256:
                raise IntegrityError(
                    "the plan to go on with is not the one that was booked.",
                    code="DPS110",
                    fix="go on from the checkpoint as it was written, or fit anew.",
                )
            if before["state"] == ChargeState.COMMITTED:
                return Charge(self, charge_id)
            reserved = json.loads(self._store.reservation(charge_id))
        measures = measures_from_json(json.dumps(reserved["measures"]))
        with self._store.writing():
            row = self._expect(charge_id, ChargeState.STOPPED, "can go on")
            others, failures = self.live_costs(without=charge_id)
            refusal = (
                None
                if row["rule"] == "plan"
                else decide_again(
                    self._rule,
                    measures,
                    row["failure_delta"],
                    epsilon=row["epsilon"],
                    costs=others,
                    failures=failures,
                )
            )
            if refusal is None:
                body = resumed_body(charge_id, cost=float(reserved["cost"]), measures=measures)
                self._store.append("resumed", body)
                return Charge(self, charge_id, leases=True)
            body = refused_body(
                row["plan_sha256"],
                dataset_id=row["dataset_id"],
                code=refusal.code,
                epsilon=row["epsilon"],
            )
            self._store.append("refused", body)
        raise refusal

    def recover(self) -> tuple[str, ...]:
        """Settle what dead processes have left open (:meth:`Ledger.recover`)."""
        query = (
            "SELECT charge_id, state, owner FROM charge WHERE state = 'reserved' "
            "OR (state = 'touched' AND leased IS NOT NULL) ORDER BY seq"
        )
        with self._store.reading():
            open_charges = self._store.rows(query)
        settled = []
        for row in open_charges:
            if not Owner.from_dict(json.loads(row["owner"])).is_gone():
                continue
            try:
                if row["state"] == ChargeState.RESERVED:
                    self.abort(row["charge_id"], reason="owner gone")
                else:
                    self.stop(row["charge_id"], reason="owner gone")
            except UsageError as error:
                if error.code != _NOT_THERE:
                    raise
                continue  # another process was quicker
            settled.append(row["charge_id"])
        return tuple(settled)

    # -- inside a transaction ------------------------------------------------------------------

    def live_costs(
        self, *, without: str | None = None
    ) -> tuple[list[tuple[float, ...]], list[float]]:
        """Return what the filter adds up, and failure probabilities, of charges not aborted."""
        cost = "measures" if self._rule.is_curve else "cost"
        rows = self._store.live("charge_id", cost, "failure_delta")
        rows = [row for row in rows if row["charge_id"] != without]
        if self._rule.is_curve:
            costs = [self._rule.cost(measures_from_json(row["measures"])) for row in rows]
        else:
            costs = [(row["cost"],) for row in rows]
        return costs, [row["failure_delta"] for row in rows]

    def charge_now(self, charge_id: str) -> Row:
        """Return a charge and its plan; inside a transaction."""
        rows = self._store.rows(
            "SELECT charge.*, plan.spec FROM charge "
            "JOIN plan ON plan.plan_sha256 = charge.plan_sha256 WHERE charge_id = ?",
            charge_id,
        )
        if not rows:
            raise UsageError("the ledger has no such charge.")
        return rows[0]

    def state_now(self, charge_id: str) -> ChargeState:
        """Return where a charge stands; inside a transaction."""
        return ChargeState(self.charge_now(charge_id)["state"])

    def _expect(self, charge_id: str, state: ChargeState, purpose: str) -> Row:
        row = self.charge_now(charge_id)
        if row["state"] != state:
            raise UsageError(
                f"this charge is {row['state']}; only one that is {state} {purpose}.",
                code=_NOT_THERE,
                fix="reserve the plan again." if state is ChargeState.RESERVED else None,
            )
        return row
