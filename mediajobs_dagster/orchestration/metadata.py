"""Turns the manifests of a run's attempts into Dagster metadata: figures to plot, tables to read, a picture to see.

At most 16 KB a materialization, so that Dagster's event log stays light; the manifests have the rest.
"""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Mapping, Sequence

import dagster as dg
from PIL import Image

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.attempts.outcome import Outcome
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import StorageError
from mediajobs_dagster.media.command import without_guards

MAX_BYTES = 16 * 1024
_DAGSTERS_OWN = 1536
"""What Dagster itself adds to a materialization: tags, versions, its asset key."""
_MAX_ROWS = 20
_MAX_CELL = 600
_PREVIEW_EDGE = 160

Cell = str | int | float
Metadata = dict[str, dg.MetadataValue]


def of_outcomes(outcomes: Sequence[Outcome], worker: Worker) -> Metadata:
    """The metadata of a run that made these attempts."""
    manifests = [outcome.manifest for outcome in outcomes]
    made = [each for each in manifests if each.metrics.rtf is not None]
    seconds = sum(each.metrics.input.duration_seconds for each in made if each.metrics.input)
    making = sum(each.duration_ms for each in made) / 1000
    spent = sum(each.duration_ms for each in manifests) / 1000
    found: Metadata = {
        "jobs": dg.MetadataValue.int(len(outcomes)),
        "succeeded": dg.MetadataValue.int(sum(outcome.succeeded for outcome in outcomes)),
        "failed": dg.MetadataValue.int(len(failures(outcomes))),
        "duration_seconds": _figure(spent),
        "input_seconds": _figure(seconds),
        "rtf": _figure(seconds / making if making else 0),
        "ffmpeg_seconds": _figure(sum(each.metrics.ffmpeg_ms for each in manifests) / 1000),
        "cpu_pct_avg": _figure(max((each.metrics.cpu_pct_avg for each in manifests), default=0)),
        "mem_rss_mb_max": _figure(max((each.metrics.mem_rss_mb_max for each in manifests), default=0)),
        "bytes_in": dg.MetadataValue.int(sum(each.metrics.s3_bytes_in for each in manifests)),
        "bytes_out": dg.MetadataValue.int(sum(each.metrics.s3_bytes_out for each in manifests)),
    }
    if len(outcomes) == 1:
        found |= _of_single(outcomes[0], worker)
    tables: dict[str, list[dict[str, Cell]]] = {
        "attempts": [_attempt_row(outcome) for outcome in outcomes],
        "ffmpeg_commands": [row for manifest in manifests for row in _command_rows(manifest)],
        "storage_operations": [row for manifest in manifests for row in _storage_rows(manifest)],
    }
    return _with_tables(found, tables)


def of_check(outcomes: Sequence[Outcome]) -> Metadata:
    """The metadata of the output check: the uploads without an output, and why."""
    failed = failures(outcomes)
    rows: list[dict[str, Cell]] = [
        {"upload": outcome.job.subject_id, "code": outcome.error.code, "message": str(outcome.error)[:_MAX_CELL]}
        for outcome in failed
        if outcome.error
    ]
    found: Metadata = {"failed": dg.MetadataValue.int(len(failed)), "jobs": dg.MetadataValue.int(len(outcomes))}
    return _with_tables(found, {"uploads_without_output": rows})


def failures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The attempts after which a job is without its output."""
    return [outcome for outcome in outcomes if not outcome.succeeded]


def _figure(value: float) -> dg.MetadataValue:
    return dg.MetadataValue.float(round(float(value), 3))


def _of_single(outcome: Outcome, worker: Worker) -> Metadata:
    manifest = outcome.manifest
    console = worker.settings.console_url
    found: Metadata = {
        "trace_id": dg.MetadataValue.text(manifest.trace_id),
        "host": dg.MetadataValue.text(manifest.metrics.host.hostname),
        "time_ledger": dg.MetadataValue.json(manifest.time_ledger.to_json()),
        "attempt": dg.MetadataValue.url(f"{console.rstrip('/')}/attempts/{outcome.attempt_id}")
        if console
        else dg.MetadataValue.text(f"mediajobs attempt {outcome.attempt_id}"),
    }
    if manifest.outputs:
        found["output"] = dg.MetadataValue.text(f"{worker.storage.url.rstrip('/')}/{manifest.outputs[0].key}")
    if picture := _preview(manifest, worker):
        found["preview"] = dg.MetadataValue.md(f"![preview](data:image/jpeg;base64,{picture})")
    return found


def _preview(manifest: Manifest, worker: Worker) -> str | None:
    """A picture that was made, small enough for the event log, in base64."""
    for output in manifest.outputs:
        if output.media_info and output.media_info.container == "image":
            try:
                content = worker.storage.read(output.key)
            except StorageError:
                return None  # the job is done; a missing preview must not undo it
            with Image.open(io.BytesIO(content)) as image:
                image.thumbnail((_PREVIEW_EDGE, _PREVIEW_EDGE))
                small = io.BytesIO()
                image.save(small, "JPEG", quality=70)
            return base64.b64encode(small.getvalue()).decode()
    return None


def _attempt_row(outcome: Outcome) -> dict[str, Cell]:
    manifest = outcome.manifest
    return {
        "job": outcome.job.id,
        "attempt": manifest.attempt,
        "status": str(outcome.status),
        "upload": outcome.job.subject_id,
        "seconds": round(manifest.duration_ms / 1000, 3),
        "rtf": manifest.metrics.rtf or 0.0,
        "error": outcome.error.code if outcome.error else "",
    }


def _command_rows(manifest: Manifest) -> list[dict[str, Cell]]:
    return [
        {
            "command": shlex.join(without_guards(command.argv))[:_MAX_CELL],
            "status": command.status,
            "seconds": round(command.duration_ms / 1000, 3),
            "cpu_seconds": round(command.cpu_seconds, 2),
            "max_rss_mb": round(command.max_rss_mb, 1),
            "speed": round(command.speed or 0.0, 2),
        }
        for command in manifest.ffmpeg_commands
    ]


def _storage_rows(manifest: Manifest) -> list[dict[str, Cell]]:
    return [
        {"op": op.op, "key": op.key, "bytes": op.bytes, "ms": op.duration_ms, "status": op.status}
        for op in manifest.s3_ops
    ]


def _with_tables(found: Metadata, tables: Mapping[str, list[dict[str, Cell]]]) -> Metadata:
    """`found` with as many rows of each table as fit; what was left out is said."""
    for number, (name, rows) in enumerate(tables.items()):
        share = (MAX_BYTES - _DAGSTERS_OWN - _size(found)) // (len(tables) - number)
        kept = _that_fit(rows, share)
        if kept:
            found[name] = _table(kept)
        if len(kept) < len(rows):
            found[f"{name}_left_out"] = dg.MetadataValue.int(len(rows) - len(kept))
    return found


def _that_fit(rows: list[dict[str, Cell]], size: int) -> list[dict[str, Cell]]:
    kept = rows[:_MAX_ROWS]
    while kept and _length(_table(kept)) > size:
        kept = kept[:-1]
    return kept


def _table(rows: list[dict[str, Cell]]) -> dg.MetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows])


def _size(found: Metadata) -> int:
    return sum(len(name) + _length(value) for name, value in found.items())


def _length(value: dg.MetadataValue) -> int:
    return len(dg.serialize_value(value))  # pyright: ignore[reportArgumentType]  # metadata values are serializable
