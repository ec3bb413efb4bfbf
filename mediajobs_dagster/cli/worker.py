"""`mediajobs worker`: execute the runs of a cluster on this machine."""

from __future__ import annotations

from collections.abc import Sequence

import click

from mediajobs_dagster.cli.log_format import log_format
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import log_to_stderr


@click.command(short_help="Execute the runs of a cluster on this machine.")
@click.option(
    "--queues", default=",".join(Lane), show_default=True, help="Lanes to take runs from, separated by commas."
)
@click.option(
    "--concurrency", type=click.IntRange(min=1), default=2, show_default=True, help="Runs to execute at the same time."
)
@click.option("--hostname", help="Host name to record; default: MEDIAJOBS_HOSTNAME, else the machine's own.")
@log_format
@click.pass_obj
def worker(media: MediaJobs, queues: str, concurrency: int, hostname: str | None) -> None:
    """Execute the runs of a cluster on this machine, until it is told to stop.

    Start one worker on each machine. Workers, daemon and web server share one PostgreSQL (MEDIAJOBS_DATABASE_URL), one
    object storage (MEDIAJOBS_STORAGE_URL), one Redis (MEDIAJOBS_CELERY_URL), and the dagster.yaml in DAGSTER_HOME.

    An encode uses all the cores it may use, so a few runs at once are enough. A worker with `--queues light` keeps
    thumbnails from waiting behind encodes.

    SIGTERM or Ctrl-C stops it: it interrupts its runs and puts their jobs back into the queue for other workers,
    within MEDIAJOBS_SHUTDOWN_GRACE_S seconds.
    """
    # Dagster and Celery take a second to import, so only the commands that need them import them.
    from mediajobs_dagster.orchestration.build import build_definitions
    from mediajobs_dagster.orchestration.celery.worker import ClusterWorker

    if media.settings.logs_operations:
        log_to_stderr(media.settings)
    lanes = _lanes(queues)
    if hostname:
        media = MediaJobs(media.settings.model_copy(update={"hostname": hostname}), media.registry)
    code = ClusterWorker(media, build_definitions(media, for_runs=True), lanes, concurrency).run()
    raise click.exceptions.Exit(code)


def _lanes(queues: str) -> Sequence[Lane]:
    try:
        return [Lane(name.strip()) for name in queues.split(",")]
    except ValueError:
        raise RequestError(f"There is no queue {queues!r}; choose from {', '.join(Lane)}.") from None
