"""What happened when: stages, and below them commands, calls and operations of the storage, on one line of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mediajobs_dagster.attempts.manifest import Manifest, StageRecord
from mediajobs_dagster.models import StorageOp
from mediajobs_dagster.printable import in_one_line

_WRITES = ("put", "copy", "delete")
_LEAST = 0.35
"""The narrowest bar, percent of the width: it has to be seen."""
_LONGEST_NAME = 80
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Line:
    """One line of a waterfall."""

    name: str
    level: int
    kind: str
    """stage, command, storage, call, queue, job or attempt."""
    start: datetime
    milliseconds: int
    status: str
    address: str | None = None
    x: float = 0.0
    """Where the bar begins, percent of the width."""
    width: float = 0.0

    @property
    def is_bad(self) -> bool:
        """Whether it ended badly."""
        return self.status in ("failure", "lost") or (self.status.isupper() and self.status != "OK")


def waterfall(manifest: Manifest) -> list[Line]:
    """The lines of an attempt, in order of time.

    Of some operations of the storage only the length is on record: older ones, and those that stand for many. They are
    put one after the other into the stage that made them, by their order.
    """
    placed = _placed(manifest)
    lines: list[Line] = []
    for index, stage in enumerate(manifest.stages):
        end = manifest.stages[index + 1].started_at if index + 1 < len(manifest.stages) else manifest.finished_at
        lines.append(Line(stage.name, 0, "stage", stage.started_at, stage.duration_ms, stage.status))
        inside = [
            *(
                Line(_named(each.argv), 1, "command", each.started_at, each.duration_ms, each.status)
                for each in manifest.ffmpeg_commands
                if _is_within(each.started_at, stage, end, is_first=index == 0)
            ),
            *(
                Line(f"{each.service} {each.op}", 1, "call", each.started_at, each.duration_ms, each.status)
                for each in manifest.calls
                if _is_within(each.started_at, stage, end, is_first=index == 0)
            ),
            *(
                _line_of(each, each.started_at)
                for each in manifest.s3_ops
                if each.started_at and _is_within(each.started_at, stage, end, is_first=index == 0)
            ),
            *placed.get(index, ()),
        ]
        lines += sorted(inside, key=lambda line: line.start)
    return scaled(lines, manifest.started_at, manifest.finished_at)


def scaled(lines: Sequence[Line], start: datetime, end: datetime) -> list[Line]:
    """The lines with their places between two moments."""
    whole = max(_MILLISECOND, end - start)

    def place(line: Line) -> Line:
        width = max(_LEAST, 100 * (line.milliseconds * _MILLISECOND / whole))
        x = 100 * ((line.start - start) / whole)
        x = min(max(0.0, x), 100.0 - _LEAST)
        return replace(line, x=x, width=min(width, 100.0 - x))

    return [place(each) for each in lines]


def _named(argv: Sequence[str]) -> str:
    tool = argv[0].rpartition("/")[2] if argv else "?"
    target = in_one_line(argv[-1].removeprefix("file:")) if len(argv) > 1 else ""
    return f"{tool} → {target}"[:_LONGEST_NAME]


def _is_within(moment: datetime, stage: StageRecord, end: datetime, *, is_first: bool) -> bool:
    return (is_first or stage.started_at <= moment) and moment < max(end, stage.started_at + _MILLISECOND)


def _placed(manifest: Manifest) -> dict[int, list[Line]]:
    names = [stage.name for stage in manifest.stages]
    found: dict[int, list[Line]] = {}
    for op in manifest.s3_ops:
        index = _stage_of(op, names)
        if index is None or op.started_at:
            continue
        before = found.setdefault(index, [])
        start = (
            before[-1].start + before[-1].milliseconds * _MILLISECOND if before else manifest.stages[index].started_at
        )
        before.append(_line_of(op, start))
    return found


def _line_of(op: StorageOp, start: datetime) -> Line:
    return Line(f"{op.op} {op.key.rpartition('/')[2]}", 1, "storage", start, op.duration_ms, op.status)


def _stage_of(op: StorageOp, names: Sequence[str]) -> int | None:
    wanted = ("publish",) if op.op in _WRITES else ("check",) if op.op in ("head", "list") else ("fetch", "check")
    return next((names.index(name) for name in (*wanted, "fetch", "check") if name in names), None)
