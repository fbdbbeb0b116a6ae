"""``Independent``: DP one-way counts and nothing else, the reference that everything must beat."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dpsynth.calibration import calibrate
from dpsynth.checkpoint import Course
from dpsynth.codec import CodecSettings
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, PlannedCharge
from dpsynth.synthesizer import Synthesizer


class Independent(Synthesizer):
    """Columns drawn independently from noisy one-way counts.

    The whole budget goes into the codec's counts.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    codec : CodecSettings, optional
        Public sizes of the codec.

    Privacy
    -------
    The codec's histograms (:mod:`dpsynth.counts`); sampling is post-processing.
    """

    method: ClassVar[str] = "independent"

    def _plan_charges(
        self, budget: Budget, units: int, codec: CodecSettings
    ) -> tuple[tuple[PlannedCharge, ...], dict[str, Any]]:
        del units  # the noise does not depend on the size of the table

        def at(scale: float) -> tuple[PlannedCharge, ...]:
            return self._codec_at(budget, codec, sigma=self._histogram_sigma(scale, codec))

        scale = calibrate(lambda s: [charge.mechanism for charge in at(s)], budget)
        return at(scale), {}

    def _fit_codes(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        course: Course,
    ) -> tuple[PlannedCharge, ...]:
        del codes, unit_index, noise, course
        return ()

    def _sample_codes(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        columns = []
        for name, codes in self._codec.codes.items():
            weights = np.where(codes.usable, self._codec.counts[name], 0.0)
            if weights.sum() <= 0:
                weights = codes.usable.astype(float)
            columns.append(rng.choice(codes.size, size=n, p=weights / weights.sum()))
        return np.stack(columns, axis=1).astype(np.int32)
