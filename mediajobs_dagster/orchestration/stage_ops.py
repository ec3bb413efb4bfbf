"""The asset of a job type whose stages are ops of their own: a graph, in which each op waits for its stage.

All ops of a run are executed in its process, one after the other. The first one that is executed starts the work; if
that is not the first of the graph, the run is executed again from a failed op, and what earlier stages have kept is
taken from there.
"""

# Dagster's decorators are typed in part:
# pyright: reportUnknownMemberType=false
# No `from __future__ import annotations` here: Dagster reads the annotations of op functions at run time.
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import dagster as dg

from mediajobs_dagster.attempts.totals import RunTotals
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.orchestration import metadata, tags
from mediajobs_dagster.orchestration.redacted_errors import named_failures, redacted_errors
from mediajobs_dagster.orchestration.relay import Relay
from mediajobs_dagster.orchestration.run_log import RunLog
from mediajobs_dagster.orchestration.run_work import (
    HandRun,
    Metadata,
    after_interrupt,
    assigned,
    check_of,
    end_of_run,
    failure,
    fault_of_system,
    nothing_made,
    standing_of,
)
from mediajobs_dagster.system import MediaJobs

WORKER, RELAYS = "worker", "relays"
_AFTER = "after"
_RESULT = "result"


def relays_resource() -> dg.ResourceDefinition:
    """The relays of a run: one for each job type, for all of its ops."""

    @contextmanager
    def opened(context: dg.InitResourceContext) -> Generator[dict[str, Relay]]:
        del context
        relays: dict[str, Relay] = {}
        try:
            yield relays
        finally:
            for relay in relays.values():
                relay.close()

    return dg.ResourceDefinition(opened, description="The work of one run, for the ops that follow it.")


def graph_of(
    job_type: JobType,
    media: MediaJobs,
    days: dg.DailyPartitionsDefinition,
    check: dg.AssetCheckSpec,
    *,
    deps: Sequence[str],
) -> dg.AssetsDefinition:
    """The asset that a job type makes, with an op for each of its `ops`."""
    *stages, last = job_type.ops
    ops = [_op_of(stage, job_type, media, deps if number == 0 else [_AFTER]) for number, stage in enumerate(stages)]
    ending = _last_op_of(last, job_type, media, check)
    names, check_name = list(job_type.ops), check.get_python_identifier()
    graph = dg.GraphDefinition(
        name=job_type.asset,
        description=job_type.summary,
        node_defs=[*ops, ending],
        dependencies={later: {_AFTER: dg.DependencyDefinition(earlier)} for earlier, later in pairwise(names)},
        input_mappings=[
            dg.InputMapping(graph_input_name=name, mapped_node_name=names[0], mapped_node_input_name=name)
            for name in deps
        ],
        output_mappings=[dg.OutputMapping(name, last, name) for name in (_RESULT, check_name)],
    )
    return dg.AssetsDefinition.from_graph(
        graph,
        keys_by_input_name={name: dg.AssetKey(name) for name in deps},
        keys_by_output_name={_RESULT: dg.AssetKey(job_type.asset)},
        partitions_def=days,
        group_name="media",
        descriptions_by_output_name={_RESULT: job_type.summary},
        code_versions_by_output_name={_RESULT: str(job_type.version)},
        check_specs=[check],
    )


def _op_of(stage: str, job_type: JobType, media: MediaJobs, after: Sequence[str]) -> dg.OpDefinition:
    @dg.op(
        name=stage,
        ins={name: dg.In(dg.Nothing) for name in after},
        out=dg.Out(dg.Nothing),
        tags=tags.of_job_type(job_type),
        required_resource_keys={WORKER, RELAYS},
    )
    def run_stage(context: dg.OpExecutionContext, config: HandRun) -> None:
        with redacted_errors(), named_failures():
            relay, worker = _working(context, job_type, media, force=config.force)
            if relay.passed(stage):
                return
            totals = relay.totals()
            if totals.succeeded or not totals.attempts:  # up to date, or nothing to do: the last op tells it
                return
            _fail(context, worker, job_type, totals)

    return run_stage


def _last_op_of(stage: str, job_type: JobType, media: MediaJobs, check: dg.AssetCheckSpec) -> dg.OpDefinition:
    outs = {name: dg.Out(dg.Nothing, is_required=False) for name in (_RESULT, check.get_python_identifier())}

    @dg.op(
        name=stage,
        ins={_AFTER: dg.In(dg.Nothing)},
        out=outs,
        tags=tags.of_job_type(job_type),
        required_resource_keys={WORKER, RELAYS},
    )
    def run_last(context: dg.OpExecutionContext, config: HandRun) -> Iterator[dg.AssetCheckResult | dg.Output[None]]:
        with redacted_errors(), named_failures():
            relay, worker = _working(context, job_type, media, force=config.force)
            totals = relay.totals()

        def made(figures: Metadata) -> dg.Output[None]:
            context.add_output_metadata(figures, output_name=_RESULT)
            return dg.Output(None, _RESULT)

        yield from end_of_run(context, worker, job_type, totals, made)

    return run_last


def _working(
    context: dg.OpExecutionContext, job_type: JobType, media: MediaJobs, *, force: bool
) -> tuple[Relay, Worker]:
    """The relay, whose work goes on, and the worker."""
    relays: dict[str, Relay] = context.resources.relays
    relay = relays.setdefault(job_type.name, Relay())
    worker: Worker = replace(context.resources.worker, after_interrupt=lambda: after_interrupt(context))
    if relay.is_new:
        attempt_all = assigned(context, worker, job_type, force=force)
        listeners = media.listeners.also(RunLog(context.log)).also(relay.take)
        relay.start(lambda stop: attempt_all(listeners, stop))
    return relay, worker


def _fail(context: dg.OpExecutionContext, worker: Worker, job_type: JobType, totals: RunTotals) -> None:
    """Fail in the op in whose stage all attempts of the run have failed."""
    standing = standing_of(context, worker, job_type)
    result = check_of(standing)
    day = standing.day.isoformat()
    key = dg.AssetKey(job_type.asset)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=str(result.check_name),
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        partition=day,
    )
    context.log_event(evaluation)  # pyright: ignore[reportArgumentType]  # Dagster takes it, its annotation lags behind
    if fault := fault_of_system(totals):
        raise failure(fault, totals, worker)
    # As for other job types: nobody but the input is to blame, so the run is red and the day is not.
    figures = metadata.of_run(totals, standing.of, worker)
    context.log_event(dg.AssetMaterialization(asset_key=key, metadata=figures, partition=day))
    raise failure(nothing_made(totals), totals, worker)
