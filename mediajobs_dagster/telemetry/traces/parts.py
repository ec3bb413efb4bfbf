"""The spans below that of an attempt: stages, commands, calls and operations of the storage.

Attributes have the names of OpenTelemetry's semantic conventions where there are any
(https://opentelemetry.io/docs/specs/semconv/), else they begin with `mediajobs.`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from mediajobs_dagster.attempts.manifest import Manifest, StageRecord
from mediajobs_dagster.models import FfmpegCommand, ServiceCall, StorageOp
from mediajobs_dagster.telemetry.traces.span import Attributes, Fault, Kind, Period, Span
from mediajobs_dagster.trace_context import span_id_of

_OK = "ok"
_S3_NAMES = ("aws.s3.bucket", "aws.s3.key")
_OUR_NAMES = ("mediajobs.storage.bucket", "mediajobs.storage.key")
_MILLISECOND = timedelta(milliseconds=1)
"""The record gives how long a stage took in whole milliseconds, rounded down."""


@dataclass(frozen=True)
class _Stage:
    record: StageRecord
    period: Period
    span_id: str


@dataclass(frozen=True)
class Parts:
    """The parts of one attempt."""

    attempt_id: str
    trace_id: str
    whole: Span
    """That of the attempt: all parts lie within it."""
    manifest: Manifest
    is_on_s3: bool
    """Whether the storage is S3."""

    def spans(self) -> Iterator[Span]:
        """All of them. Each is the same span whenever it is made again."""
        stages = self._stages()
        for stage in stages:
            record = stage.record
            about: Attributes = {"mediajobs.stage": record.name, "error.type": _error_type(record.status)}
            parent = self.whole.span_id
            yield self._span(stage.span_id, parent, record.name, stage.period, about, status=record.status)
        for number, command in enumerate(self.manifest.ffmpeg_commands):
            yield self._of_command(number, command, stages)
        for number, op in enumerate(self.manifest.s3_ops):
            yield self._of_operation(number, op, stages)
        for number, call in enumerate(self.manifest.calls):
            yield self._of_call(number, call, stages)

    def _stages(self) -> list[_Stage]:
        found: list[_Stage] = []
        earliest = self.whole.period.start
        for number, record in enumerate(self.manifest.stages):
            period = Period.lasting(record.started_at, record.duration_ms)
            # One begins when the one before is over, also where the clock was set back meanwhile.
            period = period.within(Period(earliest, max(earliest, self.whole.period.end)))
            found.append(_Stage(record, period, span_id_of(self.attempt_id, "stage", number)))
            earliest = period.end
        return found

    def _of_command(self, number: int, command: FfmpegCommand, stages: Sequence[_Stage]) -> Span:
        about: Attributes = {
            "process.executable.name": _tool(command),
            "process.command_args": command.argv,
            "process.exit.code": command.exit_code,
            "mediajobs.command.speed": command.speed,
            "mediajobs.command.cpu_seconds": command.cpu_seconds,
            "mediajobs.command.max_rss_mb": command.max_rss_mb,
            "mediajobs.command.remote_bytes": command.remote_bytes or None,
            "mediajobs.command.stderr": None if command.status == _OK else command.stderr_tail or None,
            "error.type": _error_type(command.status),
        }
        parent, around = self._around(stages, command.started_at)
        period = Period.lasting(command.started_at, command.duration_ms).within(around)
        span_id = span_id_of(self.attempt_id, "command", number)
        return self._span(span_id, parent, _tool(command), period, about, status=command.status)

    def _of_operation(self, number: int, op: StorageOp, stages: Sequence[_Stage]) -> Span:
        place, key = _S3_NAMES if self.is_on_s3 else _OUR_NAMES
        about: Attributes = {
            place: op.bucket,
            key: op.key,
            "mediajobs.storage.operation": op.op,
            "mediajobs.storage.bytes": op.bytes,
            # One entry can stand for many requests side by side. Of those, only how long they took is known.
            "mediajobs.storage.is_sum": True if op.started_at is None else None,
            "error.type": _error_type(op.status),
        }
        started_at = op.started_at or _begin_of(op, stages) or self.whole.period.start
        parent, around = self._around(stages, started_at)
        period = Period.lasting(started_at, op.duration_ms).within(around)
        kind = Kind.CLIENT if self.is_on_s3 else Kind.INTERNAL
        span_id = span_id_of(self.attempt_id, "storage", number)
        return self._span(span_id, parent, f"storage {op.op}", period, about, kind=kind, status=op.status)

    def _of_call(self, number: int, call: ServiceCall, stages: Sequence[_Stage]) -> Span:
        host, port = _server(call.target)
        about: Attributes = {
            "url.full": call.target,
            "server.address": host,
            "server.port": port,
            "http.request.method": call.method,
            "http.response.status_code": call.http_status,
            "http.request.resend_count": call.tries - 1 if call.tries > 1 else None,
            "http.response.body.size": call.bytes,
            "mediajobs.service.name": call.service,
            "mediajobs.service.operation": call.op,
            "mediajobs.service.units": call.units,
            "error.type": _error_type(call.status),
        }
        parent, around = self._around(stages, call.started_at)
        period = Period.lasting(call.started_at, call.duration_ms).within(around)
        # The service was told this id, so what it tells of its own work is found below it.
        span_id = call.span_id or span_id_of(self.attempt_id, "call", number)
        name = f"{call.service} {call.op}"
        return self._span(span_id, parent, name, period, about, kind=Kind.CLIENT, status=call.status)

    def _around(self, stages: Sequence[_Stage], moment: datetime) -> tuple[str, Period]:
        """Id and time of the stage that was under way at a moment; of the attempt, if none was."""
        for stage in reversed(stages):
            if stage.period.start <= moment:
                if moment <= stage.period.end + _MILLISECOND:
                    return stage.span_id, stage.period
                break
        return self.whole.span_id, self.whole.period

    def _span(
        self,
        span_id: str,
        parent_id: str,
        name: str,
        period: Period,
        attributes: Attributes,
        *,
        status: str,
        kind: Kind = Kind.INTERNAL,
    ) -> Span:
        fault = None if status == _OK else Fault(status)
        return Span(self.trace_id, span_id, parent_id, name, period, kind, attributes, fault)


def _begin_of(op: StorageOp, stages: Sequence[_Stage]) -> datetime | None:
    """When the stage began in which an operation of unknown time took place."""
    wanted = "publish" if op.op == "put" else "ffmpeg" if op.op == "range_read" else "fetch"
    return next((each.period.start for each in stages if each.record.name == wanted), None)


def _error_type(status: str) -> str | None:
    return None if status == _OK else status


def _tool(command: FfmpegCommand) -> str:
    return command.argv[0].rpartition("/")[2] if command.argv else "command"


def _server(target: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(target)
        return parts.hostname, parts.port
    except ValueError:  # no address
        return None, None
