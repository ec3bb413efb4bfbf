"""Which queues a worker of a cluster takes runs from."""

from __future__ import annotations

import pytest

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.job_types.base import FFMPEG, Lane
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.orchestration.celery.app import queues_for


@pytest.mark.parametrize("lane", Lane)
def test_a_lane_has_its_queue(lane: Lane) -> None:
    """Also while no job type is in it: without a queue, Celery would take runs from the default one, the encodes."""
    assert queues_for(Registry.standard(), [lane], [FFMPEG]) == [lane.value]


def test_a_worker_for_which_nothing_is_left_is_refused() -> None:
    """A machine without ffmpeg can do neither thumbnails nor encodes."""
    with pytest.raises(SettingsError, match="MEDIAJOBS_OFFERS"):
        queues_for(Registry.standard(), [Lane.LIGHT, Lane.HEAVY], [])
