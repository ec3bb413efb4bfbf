"""The assets: the uploads, and one asset for each job type of the registry."""

# Dagster's decorators are typed in part:
# pyright: reportUnknownMemberType=false
# No `from __future__ import annotations` here: Dagster reads the annotations of asset functions at run time.
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dagster as dg

from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.job_types.base import FFMPEG, JobType
from mediajobs_dagster.models import SubjectKind
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.internals.core import PreviewWarning, UnresolvedAssetJobDefinition
from mediajobs_dagster.orchestration.old_runs import OldRuns
from mediajobs_dagster.orchestration.redacted_errors import named_failures, redacted_errors
from mediajobs_dagster.orchestration.run_log import RunLog
from mediajobs_dagster.orchestration.run_work import (
    OUTPUT_CHECK,
    HandRun,
    Metadata,
    after_interrupt,
    assigned,
    end_of_run,
)
from mediajobs_dagster.orchestration.stage_ops import WORKER, graph_of
from mediajobs_dagster.system import MediaJobs

UPLOADS = "uploads"


def uploads_asset(days: dg.DailyPartitionsDefinition) -> dg.AssetSpec:
    """The uploads of a day. They are made outside Dagster; a sensor observes them."""
    return dg.AssetSpec(
        UPLOADS,
        partitions_def=days,
        group_name="media",
        description="The registered media files, by the UTC day they were added.",
    )


def asset_of(job_type: JobType, media: MediaJobs, days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset that a job type makes. The partition of a job is the UTC day its subject was created.

    So no partition set grows with the number of uploads.
    """
    if job_type.ops:
        check = _output_check_of(job_type, days)
        named = {each.name: each.asset for each in media.registry}
        read = [named[each.job_type] for each in job_type.reads if each.job_type in named]
        return graph_of(job_type, media, days, check, deps=[UPLOADS, *read])

    @dg.asset(
        name=job_type.asset,
        deps=[] if job_type.subject in (SubjectKind.TICK, SubjectKind.VIDEO) else [UPLOADS],
        partitions_def=days,
        group_name="upkeep" if job_type.subject is SubjectKind.TICK else "media",
        kinds=set(job_type.needs & {FFMPEG}),
        description=job_type.summary,
        code_version=str(job_type.version),
        op_tags=tags.of_job_type(job_type),
        required_resource_keys={WORKER},
        check_specs=[_output_check_of(job_type, days)],
        output_required=False,  # a run whose jobs were all cancelled or taken back makes nothing
    )
    def make(
        context: dg.AssetExecutionContext, config: HandRun
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        worker: Worker = replace(context.resources.worker, after_interrupt=lambda: after_interrupt(context))
        with redacted_errors(), named_failures():
            attempt_all = assigned(context, worker, job_type, force=config.force)
            totals = attempt_all(media.listeners.also(RunLog(context.log)), None)

        def made(figures: Metadata) -> dg.MaterializeResult[Any]:
            # Handed over in the result, Dagster would store the metadata twice: once more with the output.
            context.add_asset_metadata(figures)
            return dg.MaterializeResult()

        yield from end_of_run(context, worker, job_type, totals, made)

    return make


def _output_check_of(job_type: JobType, days: dg.DailyPartitionsDefinition) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Partitioned checks are a preview feature. Without the partitions, Dagster plans the check for the day but
        # records it for no partition, so every run leaves a second, "skipped" entry.
        warnings.simplefilter("ignore", PreviewWarning)
        return dg.AssetCheckSpec(
            OUTPUT_CHECK,
            asset=job_type.asset,
            description="Warns of the subjects of the day that have no output, and says why.",
            partitions_def=days,
        )


def job_of(job_type: JobType) -> UnresolvedAssetJobDefinition:
    """The Dagster job that materializes the asset of a job type. It has the job type's name."""
    return dg.define_asset_job(
        job_type.name,
        selection=[job_type.asset],
        description=job_type.summary,
        tags=tags.of_job_type(job_type),
        # An attempt already runs in a process group of its own; a process per step would only add seconds.
        executor_def=dg.in_process_executor,
    )


def worker_resource(media: MediaJobs) -> dg.ResourceDefinition:
    """The worker of a run: opened when the run starts, closed when it ends."""

    @contextmanager
    def opened(context: dg.InitResourceContext) -> Generator[Worker]:
        sweepers = (OldRuns(context.instance, media.registry),) if context.instance else ()
        with redacted_errors(), media.worker(sweepers=sweepers) as worker:
            yield worker

    return dg.ResourceDefinition(opened, description="ffmpeg, storage, history and scratch of one run.")
