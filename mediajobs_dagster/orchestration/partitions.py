"""The partitions: the UTC days on which subjects were created, from the first one on.

Dagster reads them when it loads the definitions. A subject of an earlier day that turns up later, such as one of a
database that was merged into this one, gets its runs all the same; Dagster's pages show its day as soon as the code
server has loaded the definitions again.
"""

from __future__ import annotations

import logging
from datetime import date

import dagster as dg

from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.history import first_day_of
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration.internals.core import PARTITION_NAME_TAG, PARTITION_SET_TAG
from mediajobs_dagster.system import MediaJobs

EARLIEST = date(2000, 1, 1)
"""Before any subject. The partitions begin here while nobody can tell which day was the first."""

_PATIENCE_S = 3.0
"""How long the definitions wait for the database, seconds. They are loaded wherever Dagster pleases."""

_log = logging.getLogger(__name__)


def days_of(media: MediaJobs) -> dg.DailyPartitionsDefinition:
    """The days from the first one to the present one. On an empty database the present one is the first."""
    return _days_from(_first_day(media))


def any_day() -> dg.DailyPartitionsDefinition:
    """Every day that a subject can be of."""
    return _days_from(EARLIEST)


def _days_from(first: date) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), end_offset=1)


def tags_of_day(day: date, job_name: str) -> dict[str, str]:
    """The tags by which Dagster knows the partition of a run. It need not be one of those that it has loaded."""
    return {
        PARTITION_NAME_TAG: day.isoformat(),
        # A sensor's run of an asset job has none from Dagster; with it, the run can be re-executed on its partition.
        PARTITION_SET_TAG: f"{job_name}_partition_set",
    }


def day_of(run: dg.DagsterRun) -> date:
    """The day that a run is about."""
    return date.fromisoformat(run.tags[PARTITION_NAME_TAG])


def _first_day(media: MediaJobs) -> date:
    """The day of the first subject, or the one in the settings if that is earlier: no partition is ever lost."""
    try:
        settings = media.settings
        timeout_s = min(_PATIENCE_S, settings.database_timeout_s)
        found = first_day_of(settings.database_url, timeout_s=timeout_s) or utc_now().date()
        return min(found, settings.first_day or found)
    except MediaJobsError as error:
        _log.warning("The partitions begin on %s, because the first day is not known: %s", EARLIEST, error)
        return EARLIEST
