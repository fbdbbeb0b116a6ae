"""A charge: the right to run one plan on one dataset."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from dpsynth.errors import DPSynthError
from dpsynth.ledger.entries import ChargeState

if TYPE_CHECKING:
    from dpsynth.ledger.moves import Moves


class Charge:
    """The right to run one plan on one dataset; :meth:`Ledger.reserve` makes it.

    Used as a context manager it is given back if the block ends, by an exception or not, before
    :meth:`touch`. After :meth:`touch` nothing gives it back; but if the run took leases, a block
    that ends by an exception is charged for the steps that were leased only.

    Attributes
    ----------
    id : str
        Identifier in the ledger.
    """

    def __init__(self, moves: Moves, id: str, *, leases: bool = False) -> None:
        self.id = id
        self._moves = moves
        self._leases = leases

    @property
    def state(self) -> ChargeState:
        """Where the charge stands in the ledger now."""
        return self._moves.state(self.id)

    @property
    def leased(self) -> dict[str, int]:
        """How often each step of the plan may have run, by its name."""
        return self._moves.leased(self.id)

    def touch(self, *, leases: bool = False) -> None:
        """Enter, durably, that the data is about to be read.

        Call it before the first row is read. When it returns the entry is on disk; if it raises,
        the data must not be read.

        Parameters
        ----------
        leases : bool
            Promise that every step of DP-SGD is asked for with :meth:`lease` before it runs.

        Raises
        ------
        UsageError
            If the charge is not reserved (any more).

        Privacy
        -------
        From here on the charge counts in full, whatever happens; with ``leases`` it counts in full
        until it is stopped, and then for the steps that were leased.
        """
        self._leases = self._moves.touch(self.id, leases=leases)

    def lease(self, step: str, upto: int) -> None:
        """Enter, durably, that a step of the plan runs up to so many times in all.

        Parameters
        ----------
        step : str
            Name of the step in the plan.
        upto : int
            How often it will have run before the next lease.

        Raises
        ------
        UsageError
            If the charge is not touched (any more), or was touched without leases; the step must
            not run.
        IntegrityError
            If the plan has no such step, or fewer of them.
        """
        self._moves.lease(self.id, step, upto)

    def commit(self) -> None:
        """Enter that the run ended as planned.

        Raises
        ------
        UsageError
            If the charge is not touched.
        IntegrityError
            If not all its steps were leased.
        """
        self._moves.commit(self.id)

    def stop(self, *, reason: str = "stopped by hand") -> None:
        """Enter that the run has ended early; it counts for the steps that were leased to it.

        It may be called while the run still lives somewhere: the next lease is then refused there.

        Raises
        ------
        UsageError
            If the charge is not touched, or took no leases: then it counts in full for ever.
        """
        self._moves.stop(self.id, reason=reason)

    def abort(self) -> None:
        """Give the charge back, unused.

        Raises
        ------
        UsageError
            If the charge is not reserved (any more).
        """
        self._moves.abort(self.id, reason="given back")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            state = self.state
            if state is ChargeState.RESERVED:
                self.abort()
            elif state is ChargeState.TOUCHED and self._leases and kind is not None:
                self.stop(reason="ended by an error")
        except DPSynthError:
            # The error of the block says more; what is left open is settled by `recover`.
            if kind is None:
                raise

    def __repr__(self) -> str:
        return f"Charge({self.id!r})"
