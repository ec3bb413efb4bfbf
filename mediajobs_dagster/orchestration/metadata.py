"""Turns the manifests of a run's attempts into Dagster metadata: figures to plot, tables, and a preview picture.

A materialization gets at most 16 KiB, so that Dagster's event log stays small; the manifests have the rest.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote, urlencode, urlsplit

import dagster as dg
from PIL import Image

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.attempts.totals import RunTotals
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import StorageError
from mediajobs_dagster.history import DayStanding, WithoutOutput
from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.printable import in_one_line

MAX_BYTES = 16 * 1024
_DAGSTERS_OWN = 2048
"""What Dagster itself adds to a materialization: tags, versions, its asset key."""
_MAX_ROWS = 20
_MAX_CELL = 600
_MAX_JSON = 2000
_ATTEMPTS_SHARE = 3072
"""What tables that a step reports leave for those of the attempt, bytes."""
_INLINE = 1000
"""Characters below which Dagster's page shows Markdown at once; a longer one hides behind a link."""
_PREVIEW_EDGES = (160, 128, 96, 64, 32)
_PREVIEW_QUALITIES = (50, 25)

Row = dict[str, str | int | float]
_Cell = str | int | float | None
Metadata = dict[str, dg.MetadataValue]


@dataclass(frozen=True)
class Rows:
    """The first rows of a table that has `of` rows in all."""

    rows: list[Row]
    of: int


def of_run(totals: RunTotals, day: DayStanding, worker: Worker) -> Metadata:
    """The metadata of a materialization: the figures of its whole day, to be plotted, and what this run did."""
    found: Metadata = {
        "subjects": dg.MetadataValue.int(day.subjects),
        "made": dg.MetadataValue.int(day.made),
        "failed": dg.MetadataValue.int(day.dead),
        "waiting": dg.MetadataValue.int(day.waiting),
        "duration_seconds": _figure(day.duration_ms / 1000),
        "media_seconds": _figure(day.media_seconds),
        "rtf": _figure(day.rtf),
        "ffmpeg_seconds": _figure(day.ffmpeg_ms / 1000),
        "cpu_seconds": _figure(day.cpu_seconds),
        "mem_rss_mb_max": _figure(day.max_rss_mb),
        "bytes_in": dg.MetadataValue.int(day.bytes_in),
        "bytes_out": dg.MetadataValue.int(day.bytes_out),
    }
    return _with_attempts(found, totals, worker)


def of_attempts(totals: RunTotals, worker: Worker) -> Metadata:
    """The metadata of a run that failed: what it did."""
    return _with_attempts({}, totals, worker)


def _with_attempts(found: Metadata, totals: RunTotals, worker: Worker) -> Metadata:
    # JSON, because Dagster plots every number by partition, and a day has many runs.
    found["this_run"] = dg.MetadataValue.json(
        {
            "jobs": totals.attempts,
            "succeeded": totals.succeeded,
            "failed": totals.failed,
            "seconds": round(totals.spent_ms / 1000, 3),
            "mediaSeconds": round(totals.media_seconds, 3),
            "rtf": round(totals.rtf, 3),
            "ffmpegSeconds": round(totals.ffmpeg_ms / 1000, 3),
            "bytesIn": totals.bytes_in,
            "bytesOut": totals.bytes_out,
        }
    )
    figures: JsonObject = {}
    if totals.attempts == 1:
        figures = totals.first[0].manifest.figures
        # The picture first; what every materialization has keeps its meaning, whatever a step calls its figures.
        found = {**_of_single(totals.first[0], worker), **_of_figures(figures), **found}
    manifests = [outcome.manifest for outcome in totals.first]
    reported = {name: rows for name, value in figures.items() if (rows := _rows_of(value))}
    found = _with_tables(found, reported, spare=_ATTEMPTS_SHARE)
    tables = {
        "attempts": Rows([_attempt_row(outcome) for outcome in totals.first], of=totals.attempts),
        "ffmpeg_commands": Rows([row for each in manifests for row in _command_rows(each)], of=totals.commands),
        "storage_operations": Rows([row for each in manifests for row in _storage_rows(each)], of=totals.storage_ops),
    }
    return _with_tables(found, tables)


def of_check(day: DayStanding, without_output: Sequence[WithoutOutput]) -> Metadata:
    """The metadata of the output check: how the whole day stands, which subjects have no output, and why."""
    rows: list[Row] = [
        {
            "file": in_one_line(each.title),
            "subject": each.subject_id,
            "code": each.code or "",
            "message": each.reason[:_MAX_CELL],
            "job": each.job_id,
        }
        for each in without_output
    ]
    found: Metadata = {
        "failed": dg.MetadataValue.int(day.dead),
        "subjects": dg.MetadataValue.int(day.subjects),
        "made": dg.MetadataValue.int(day.made),
        "waiting": dg.MetadataValue.int(day.waiting),
    }
    return _with_tables(found, {"subjects_without_output": Rows(rows, of=day.dead)})


def _figure(value: float) -> dg.MetadataValue:
    return dg.MetadataValue.float(round(float(value), 3))


def _of_single(outcome: AttemptEnded, worker: Worker) -> Metadata:
    manifest = outcome.manifest
    console = worker.settings.console_url
    picture = _preview(manifest, worker)
    found: Metadata = {
        **({"preview": dg.MetadataValue.md(picture)} if picture else {}),
        _name_of_subject(manifest): dg.MetadataValue.text(in_one_line(outcome.title)),
        "trace_id": dg.MetadataValue.text(manifest.trace_id or ""),
        "host": dg.MetadataValue.text(manifest.metrics.host.hostname),
        "time_ledger": dg.MetadataValue.json(manifest.time_ledger.to_json()),
        "attempt": dg.MetadataValue.url(f"{console.rstrip('/')}/attempts/{outcome.attempt_id}")
        if console
        else dg.MetadataValue.text(f"mediajobs attempt {outcome.attempt_id}"),
    }
    if manifest.outputs:
        found["output"] = _place(manifest.outputs[0].key, worker)
    return found


def _name_of_subject(manifest: Manifest) -> str:
    """What the title of the subject is: a file, or the edit that becomes one, or a moment of a schedule."""
    return "moment" if "scheduledAt" in manifest.input_summary else "file"


def _of_figures(figures: JsonObject) -> Metadata:
    """What a step has reported, but for tables: numbers, which Dagster plots, and what else there is."""
    return {name: made for name, value in figures.items() if (made := _of_figure(value))}


def _of_figure(value: Any) -> dg.MetadataValue | None:
    match value:
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return _figure(value)
        case str():
            return dg.MetadataValue.text(in_one_line(value)[:_MAX_CELL])
        case dict() if value and len(json.dumps(value)) < _MAX_JSON:
            return dg.MetadataValue.json(cast("JsonObject", value))
        case _:  # none, an empty one, or a list
            return None


def _rows_of(value: Any) -> Rows | None:
    """A list of flat objects as a table; None for anything else."""
    if not (isinstance(value, list) and value and all(map(_is_flat, cast("list[Any]", value)))):
        return None
    rows: list[Row] = [
        {name: _cell(each) for name, each in row.items()} for row in cast("list[dict[str, _Cell]]", value)
    ]
    return Rows(rows, of=len(rows))


def _cell(value: _Cell) -> str | int | float:
    return in_one_line(value)[:_MAX_CELL] if isinstance(value, str) else "" if value is None else value


def _is_flat(row: Any) -> bool:
    return isinstance(row, dict) and all(
        each is None or isinstance(each, str | int | float) for each in cast("dict[str, Any]", row).values()
    )


def _place(key: str, worker: Worker) -> dg.MetadataValue:
    """Where an object is, as something to open: a file, or its page in the console of AWS."""
    address = f"{worker.storage.url.rstrip('/')}/{key}"
    parts = urlsplit(address)
    if parts.scheme == "file":
        return dg.PathMetadataValue(unquote(parts.path))
    if parts.scheme == "s3" and not worker.settings.s3_endpoint_url:
        query = urlencode({"region": worker.settings.s3_region, "prefix": parts.path.removeprefix("/")})
        return dg.MetadataValue.url(f"https://s3.console.aws.amazon.com/s3/object/{parts.netloc}?{query}")
    return dg.MetadataValue.text(address)


def _preview(manifest: Manifest, worker: Worker) -> str | None:
    """The first picture among the outputs as Markdown, scaled down until Dagster's page shows it."""
    for output in manifest.outputs:
        if output.media_info and output.media_info.container == "image":
            try:
                content = worker.storage.read(output.key)
            except StorageError:
                return None  # the job is done; a missing preview must not undo it
            return small_picture(content)
    return None


def small_picture(content: bytes) -> str | None:
    """A picture of any kind as Markdown of less than `_INLINE` characters; None if it cannot be decoded here."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.thumbnail((_PREVIEW_EDGES[0], _PREVIEW_EDGES[0]))
            picture = image.convert("RGB")
        tries = (_markdown(picture, edge, quality) for edge in _PREVIEW_EDGES for quality in _PREVIEW_QUALITIES)
        return next((text for text in tries if len(text) < _INLINE), None)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _markdown(picture: Image.Image, edge: int, quality: int) -> str:
    scaled, small = picture.copy(), io.BytesIO()
    scaled.thumbnail((edge, edge))
    scaled.save(small, "WEBP", quality=quality)
    return f"![preview](data:image/webp;base64,{base64.b64encode(small.getvalue()).decode()})"


def _attempt_row(outcome: AttemptEnded) -> Row:
    manifest = outcome.manifest
    return {
        "job": outcome.job.id,
        "attempt": manifest.attempt,
        "status": str(outcome.status),
        "file": in_one_line(outcome.title),
        "subject": outcome.job.subject_id,
        "seconds": round(manifest.duration_ms / 1000, 3),
        "rtf": manifest.metrics.rtf or 0.0,
        "error": outcome.error.code if outcome.error else "",
    }


def _command_rows(manifest: Manifest) -> list[Row]:
    return [
        {
            "command": shlex.join(without_guards(command.argv))[:_MAX_CELL],
            "status": command.status,
            "seconds": round(command.duration_ms / 1000, 3),
            "cpu_seconds": round(command.cpu_seconds, 2),
            "max_rss_mb": round(command.max_rss_mb or 0.0, 1),
            "speed": round(command.speed or 0.0, 2),
        }
        for command in manifest.ffmpeg_commands
    ]


def _storage_rows(manifest: Manifest) -> list[Row]:
    return [
        {"op": op.op, "key": op.key, "bytes": op.bytes, "ms": op.duration_ms, "status": op.status}
        for op in manifest.s3_ops
    ]


def _with_tables(found: Metadata, tables: Mapping[str, Rows], *, spare: int = 0) -> Metadata:
    """`found` with as many rows of each table as fit and leave `spare` bytes; `NAME_left_out` counts the others."""
    for number, (name, table) in enumerate(tables.items()):
        share = (MAX_BYTES - _DAGSTERS_OWN - spare - _size(found)) // (len(tables) - number)
        kept = _that_fit(table.rows, share)
        if kept:
            found[name] = _table(kept)
        if len(kept) < table.of:
            found[f"{name}_left_out"] = dg.MetadataValue.int(table.of - len(kept))
    return found


def _that_fit(rows: list[Row], size: int) -> list[Row]:
    kept = rows[:_MAX_ROWS]
    while kept and _length(_table(kept)) > size:
        kept = kept[:-1]
    return kept


def _table(rows: list[Row]) -> dg.MetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows])


def _size(found: Metadata) -> int:
    return sum(len(name) + _length(value) for name, value in found.items())


def _length(value: dg.MetadataValue) -> int:
    return len(dg.serialize_value(value))  # pyright: ignore[reportArgumentType]  # metadata values are serializable
