"""dagster-celery, which comes with the extra `cluster`."""

# It is typed in part:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false
from __future__ import annotations

from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG

__all__ = [
    "DAGSTER_CELERY_QUEUE_TAG",  # on a run: the queue that it is sent to
    "DAGSTER_CELERY_TASK_ID_TAG",  # on a run: Celery's id of its task
    "CeleryRunLauncher",  # sends runs to Celery; ours has a queue a lane
    "make_app",  # the Celery app of a worker, made as the launcher makes its own
]
