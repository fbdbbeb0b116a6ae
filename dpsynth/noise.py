"""Where randomness comes from.

:class:`NoiseSource` is the only origin of noise and of sampling decisions on sensitive rows. In
earnest it is keyed by the operating system and forgets the key; for tests it can be seeded, which
marks everything made from it as not releasable. Under audit it also carries the transcript in
which releases are written down.
"""

from __future__ import annotations

import os
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn, Self

import numpy as np
import numpy.typing as npt
from randomgen import AESCounter

from dpsynth.privacy import Mechanism, PrivateSelection
from dpsynth.transcript import Transcript

IntArray = npt.NDArray[np.int64]

# Above this scale the exact sampler's own float64 parameter conversion is the limit.
_MAX_SIGMA = 2.0**40

_NOT_AUDITED = nullcontext()


class NoiseSource:
    """A keyed generator: AES in counter mode for reals, an exact sampler for integers.

    Create one with :meth:`from_entropy` (the default everywhere), or with :meth:`seeded` or
    :meth:`audited` (tests and audits only).

    Attributes
    ----------
    transcript : Transcript or None
        Where releases are written down; ``None`` unless this is an audit.

    Privacy
    -------
    The key has 128 bits from the operating system, is never stored, logged, pickled or shown, and
    a forked process draws a new one: two processes never share noise. Integer noise is drawn by
    OpenDP's exact discrete Gaussian sampler, which reads the operating system's entropy itself.
    Real noise carries float64 error of the generator, about 2^-53 in total variation per draw;
    :mod:`dpsynth.neural.dpsgd` rounds it to an integer grid. Timing of the samplers is not hidden:
    do not offer them as an interactive service.

    References
    ----------
    Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy",
    arXiv 2004.00010, Algorithm 3.
    Mironov, "On significance of the least significant bits for differential privacy", CCS 2012.
    """

    __slots__ = ("_generator", "_pid", "_seed", "transcript")

    def __init__(self, *, seed: int | None, transcript: Transcript | None = None) -> None:
        self._seed = seed
        self.transcript = transcript
        self._pid = os.getpid()
        self._generator = self._new_generator()

    @classmethod
    def from_entropy(cls) -> NoiseSource:
        """Key a new source from the operating system."""
        return cls(seed=None)

    @classmethod
    def seeded(cls, seed: int) -> NoiseSource:
        """Return a reproducible source **for tests**; what it makes cannot be released."""
        return cls(seed=int(seed))

    @classmethod
    def audited(cls, transcript: Transcript, *, seed: int | None = None) -> NoiseSource:
        """Return a source **for audits** whose releases are written down.

        Parameters
        ----------
        transcript : Transcript
            Where they are written; siblings of the source write there too.
        seed : int, optional
            Makes the source reproducible; by default the key comes from the operating system.

        Privacy
        -------
        The transcript holds exact answers. What is made with this source cannot be released.
        """
        return cls(seed=None if seed is None else int(seed), transcript=transcript)

    @property
    def releasable(self) -> bool:
        """Whether output made with this source may leave the house."""
        return self._seed is None and self.transcript is None

    def declaring(
        self, event: Mechanism, *, units: npt.NDArray[np.integer] | None = None
    ) -> AbstractContextManager[None]:
        """Say, for audits, of which event the releases of a ``with`` block are the parts.

        Parameters
        ----------
        event : Mechanism
            What one unit moves in all of them together. Its noise is not believed: an audit takes
            that from the releases.
        units : ndarray of int, optional
            Privacy units that take part, where they were sampled.
        """
        if self.transcript is None:
            return _NOT_AUDITED
        return self.transcript.declaring(event, units=units)

    def trial(self, event: PrivateSelection, candidate: int) -> AbstractContextManager[None]:
        """Say, for audits, that a ``with`` block is one trial of a private selection.

        Parameters
        ----------
        event : PrivateSelection
            What was booked.
        candidate : int
            Number of the candidate that was drawn.
        """
        if self.transcript is None:
            return _NOT_AUDITED
        return self.transcript.trial(event, candidate)

    @property
    def generator(self) -> np.random.Generator:
        """The generator of this process; re-keyed after a fork."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._generator = self._new_generator()
        return self._generator

    def _new_generator(self) -> np.random.Generator:
        if self._seed is None:
            return np.random.Generator(AESCounter(key=secrets.randbits(128)))
        return np.random.Generator(AESCounter(seed=np.random.SeedSequence(self._seed)))

    def discrete_gaussian(self, *, sigma: float, size: int) -> IntArray:
        """Draw integers from the discrete Gaussian with parameter ``sigma``.

        Parameters
        ----------
        sigma : float
            Scale, in counts.
        size : int
            How many draws.

        Returns
        -------
        ndarray of int64, shape (size,)
        """
        if not 0 < sigma < _MAX_SIGMA:
            raise ValueError(f"sigma must lie in (0, 2^40), got {sigma}.")
        if size == 0:
            return np.zeros(0, dtype=np.int64)
        if self._seed is None:
            return _exact_discrete_gaussian(float(sigma), size)
        return self._seeded_discrete_gaussian(float(sigma), size)

    def _seeded_discrete_gaussian(self, sigma: float, size: int) -> IntArray:
        # The law is the same up to float64 and a tail of 1e-32; only the source differs.
        reach = int(np.ceil(12 * sigma)) + 1
        support = np.arange(-reach, reach + 1)
        weights = np.exp(-0.5 * (support / sigma) ** 2)
        cumulative = np.cumsum(weights)
        draws = self.generator.random(size) * cumulative[-1]
        return support[np.searchsorted(cumulative, draws, side="right")].astype(np.int64)

    def public_seed(self) -> int:
        """Draw a 63-bit seed for choices that need no secrecy, such as initial weights."""
        return int(self.generator.integers(2**63))

    def sibling(self) -> NoiseSource:
        """Return a source of the same kind with a stream of its own, for another thread."""
        seed = None if self._seed is None else self.public_seed()
        return NoiseSource(seed=seed, transcript=self.transcript)

    def describe(self) -> dict[str, object]:
        """Return what a manifest says about the noise; never the key or the seed."""
        return {
            "source": "operating system entropy" if self._seed is None else "fixed seed",
            "real": "AES-128-CTR (randomgen.AESCounter)",
            "integer": "exact discrete Gaussian (opendp)"
            if self._seed is None
            else "discrete Gaussian by inversion",
            "releasable": self.releasable,
        }

    def __repr__(self) -> str:
        kind = "from_entropy" if self._seed is None else "seeded"
        audited = "" if self.transcript is None else ", audited"
        return f"NoiseSource({kind}{audited}{'' if self.releasable else ', not releasable'})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a noise source is never stored: make a new one in each process.")


class NormalsAhead:
    """Normals that are drawn in another thread while something else is computed.

    Stands for a source of noise where ``generator.standard_normal`` is all that is asked for.

    Parameters
    ----------
    source : NoiseSource
        Where the normals come from; nobody else draws from it.
    count : int
        Normals of one step.

    Privacy
    -------
    Every normal is handed out once: those of a step that were not asked for are dropped, and none
    can be had beyond them.
    """

    def __init__(self, source: NoiseSource, count: int) -> None:
        self._source, self._count = source, count
        self.transcript = source.transcript
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="normals")
        self._drawn: Future[npt.NDArray[np.float64]] | None = None
        self._next = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def begin(self) -> None:
        """Begin to draw the normals of the next step."""
        self._drawn = self._thread.submit(
            lambda: self._source.generator.standard_normal(self._count)
        )
        self._next = 0

    @property
    def generator(self) -> Self:
        """Itself: it hands out what was drawn."""
        return self

    def standard_normal(self, count: int) -> npt.NDArray[np.float64]:
        """Return the next normals of this step, shape (count,)."""
        if self._drawn is None or self._next + count > self._count:
            raise RuntimeError("more normals were asked for than a step has.")
        first, self._next = self._next, self._next + count
        return self._drawn.result()[first : self._next]

    def __repr__(self) -> str:
        return "NormalsAhead(...)"


def _exact_discrete_gaussian(sigma: float, size: int) -> IntArray:
    import opendp.prelude as opendp

    opendp.enable_features("contrib")
    # "int" would be 32 bits wide: the sampler stops at its ends, where the noise hides nothing.
    space = opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l2_distance(T=float)
    return np.asarray(opendp.m.make_gaussian(*space, sigma)([0] * size), dtype=np.int64)
