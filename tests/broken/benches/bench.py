"""A bench: a part under test goes in, the results of all checks that concern it come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from privacy_audits.conformance import Conformance

Results = Iterable[Conformance]


@dataclass(frozen=True)
class Bench:
    """Checks of one part of the code.

    Parameters
    ----------
    name : str
    check : callable
        From a part and a seed to results. The seed chooses tables and coins that are recorded;
        noise comes from entropy wherever its law is compared.
    real : object
        The part that is really used.
    runs : str
        What one pass costs, in words.
    """

    name: str
    check: Callable[[Any, int], Results]
    real: Any
    runs: str

    def __call__(self, part: Any, *, seed: int = 0) -> list[Conformance]:
        return list(self.check(part, seed))


BENCHES: dict[str, Bench] = {}


def bench(*, real: Any, runs: str) -> Callable[[Callable[[Any, int], Results]], Bench]:
    """Enter a function among the benches."""

    def enter(check: Callable[[Any, int], Results]) -> Bench:
        made = Bench(name=check.__name__, check=check, real=real, runs=runs)
        assert made.name not in BENCHES
        BENCHES[made.name] = made
        return made

    return enter
