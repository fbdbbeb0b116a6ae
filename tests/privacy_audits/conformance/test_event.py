"""What was released adds up to what was booked."""

from __future__ import annotations

import pytest

from dpsynth.codec import Codec
from privacy_audits.conformance import booked_precision
from tests.conftest import patients_schema
from tests.privacy_audits import fit_rigs, rigs


def test_precision_adds_up_in_squares() -> None:
    result = booked_precision([(3.0, 6.0), (1.0, 2.0)], bound=0.5**0.5)
    assert result.statistic == pytest.approx(1.0)
    assert result.passed
    assert not booked_precision([(3.0, 6.0), (1.0, 2.0), (1.0, 99.0)], bound=0.5**0.5).passed


@pytest.mark.parametrize("rows", [1, 3])
def test_the_codec_releases_no_more_than_it_books(rows: int) -> None:
    schema = patients_schema(id="patient", max_rows=rows)
    seen = fit_rigs.codec_precision(Codec.fit, rigs.one_more_patient(rows)[1], schema)
    bound = rigs.plan_bound(rigs.codec_plan(schema))
    result = booked_precision(seen, bound=bound)
    assert result.passed
    assert result.statistic > 0.8
