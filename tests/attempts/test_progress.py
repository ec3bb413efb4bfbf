"""How far an attempt is, and how long it will take."""

from __future__ import annotations

import pytest

from mediajobs_dagster.attempts.progress import STEPS, ProgressMeter
from mediajobs_dagster.attempts.recorder import Stage
from mediajobs_dagster.models import Progress


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """What is told, by a clock that stands at ten seconds after the beginning."""
    times = iter([100.0, *[110.0] * 20])
    monkeypatch.setattr("mediajobs_dagster.attempts.progress.time.monotonic", lambda: next(times))
    return []


def test_the_time_left_is_told_where_it_is_known_how_much_is_done(told: list[Progress]) -> None:
    """Too near to the beginning it would mislead, and of what nobody knows the length there is none."""
    meter = ProgressMeter(told.append)
    meter.within(STEPS, 0.0)
    meter.within(STEPS, 0.5)
    meter.within(STEPS, None, Progress(fraction=None, speed=2.0, out_seconds=4.0))
    begin, half, unknown = told
    assert begin.fraction == pytest.approx(0.05)
    assert half.fraction == pytest.approx(0.465)
    assert half.eta_s == pytest.approx(10 * 0.535 / 0.465)
    assert (unknown.fraction, unknown.eta_s, unknown.speed, unknown.out_seconds) == (None, None, 2.0, 4.0)


def test_progress_never_goes_back_nor_beyond_its_part(told: list[Progress]) -> None:
    """A source that is longer than it declares is all done at most."""
    meter = ProgressMeter(told.append)
    for share in (0.5, 0.2, 7.0, -1.0):
        meter.within(STEPS, share)
    assert [step.fraction for step in told] == pytest.approx([0.465, 0.465, 0.88, 0.88])


def test_each_part_of_an_attempt_has_its_share(told: list[Progress]) -> None:
    """What takes too little time to count has none."""
    meter = ProgressMeter(told.append)
    for part in (Stage.PROBE, Stage.FETCH, STEPS, Stage.VERIFY, Stage.PUBLISH):
        meter.within(part, 0.0)
        meter.within(part, 1.0)
    assert [step.fraction for step in told] == pytest.approx([0, 0, 0, 0.05, 0.05, 0.88, 0.88, 0.96, 0.96, 1.0])
    assert told[0] == Progress(fraction=0.0, speed=None, eta_s=None, out_seconds=0.0)
    assert told[-1] == Progress(fraction=1.0, speed=None, eta_s=0.0, out_seconds=0.0)


def test_the_time_left_is_told_from_a_fiftieth_on(told: list[Progress]) -> None:
    """Before, it would mislead."""
    meter = ProgressMeter(told.append)
    meter.within(Stage.FETCH, 0.39)
    meter.within(Stage.FETCH, 0.41)
    before, after = told
    assert before.eta_s is None
    assert after.eta_s == pytest.approx(10 * 0.9795 / 0.0205)
