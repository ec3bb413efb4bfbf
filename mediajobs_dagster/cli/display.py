"""Output for the terminal: tables, figures, and JSON for scripts."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

import click
from rich.console import Console
from rich.text import Text
from typing_extensions import override

from mediajobs_dagster.cli.table import Column, Table
from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.models import JobStatus, JsonObject
from mediajobs_dagster.printable import counted as counted
from mediajobs_dagster.printable import in_one_line, printable, printable_json
from mediajobs_dagster.storage.redaction import redact, redact_values
from mediajobs_dagster.trace_context import TraceParent

_GRAPH = "-filter_complex"

Command = TypeVar("Command", bound=Callable[..., Any])

_COLOURS = {
    **dict.fromkeys(("completed", "success", "ok"), "green"),
    **dict.fromkeys(("failed", "failure", "dead", "lost"), "red"),
    **dict.fromkeys(("processing", "running"), "cyan"),
    **dict.fromkeys(("skipped", "cancelled", "warning"), "yellow"),
}


def json_option(command: Command) -> Command:
    """Add the option `--json`: print JSON for scripts."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(command)


def verbose_option(command: Command) -> Command:
    """Add the option `--verbose`: leave nothing out, however narrow the terminal is."""
    return click.option("-v", "--verbose", is_flag=True, help="Leave nothing out and cut nothing.")(command)


class Terminal(Console):
    """Prints nothing that is secret, and no control characters: every text goes through `redact` and `printable`.

    The cells of a table do so when it is made (`table`).
    """

    @override
    def print(self, *objects: Any, **options: Any) -> None:
        # Without emoji: a file may be called `:cat:.mp4`. A line that is too long is left to the terminal, never cut.
        options.setdefault("emoji", False)
        options.setdefault("crop", False)
        super().print(*map(_fit, objects), **options)


def _fit(shown: object) -> object:
    if isinstance(shown, str):
        return printable(redact(shown))
    if isinstance(shown, Text) and (plain := printable(redact(shown.plain))) != shown.plain:
        return Text(plain, style=shown.style)
    return shown


def console() -> Terminal:
    """Standard output. Piped output is as wide as it needs to be, unless the variable COLUMNS says how wide."""
    return Terminal(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _UNBOUNDED)


_UNBOUNDED = 100_000
"""Wider than anything that is printed."""


def print_json(data: object) -> None:
    """Print `data` as indented JSON, without secrets; values in it are serialised by their `to_json`."""
    click.echo(json_text(_plain(data), indent=2))


def json_text(data: object, *, indent: int | None = None) -> str:
    """JSON without secrets, and without characters that a terminal acts on."""
    return printable_json(json.dumps(redact_values(data), indent=indent, ensure_ascii=False))


class _Serialises(Protocol):
    def to_json(self) -> object: ...


def _plain(value: object) -> object:
    match value:
        case str() | int() | float() | None:
            return value
        case dict():
            return {name: _plain(each) for name, each in cast("dict[str, object]", value).items()}
        case list() | tuple():
            return [_plain(each) for each in cast("list[object]", value)]
        case _:
            return _plain(cast(_Serialises, value).to_json())


def table(
    columns: Sequence[str | Column],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    whole: bool = False,
) -> Table:
    """A table of these rows, which fits the terminal; `whole` if it shall have everything, however wide."""
    made = [each if isinstance(each, Column) else Column(in_one_line(redact(each))) for each in columns]
    shown = in_one_line(redact(title)) if title else None
    return Table(made, [[cell(value) for value in row] for row in rows], title=shown, whole=whole)


def cell(value: object) -> Text:
    """One value as text."""
    if value is None:
        return Text("–", style="dim")
    if isinstance(value, datetime):
        value = f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    text = in_one_line(redact(str(value)))
    # Text, not markup: a file name or a line of ffmpeg's may hold square brackets.
    return Text(text, style=_COLOURS.get(text, ""))


def line(text: str, style: str = "") -> Text:
    """Text in one line, without secrets and control characters."""
    return Text(in_one_line(redact(text)), style=style)


def print_command(console: Console, argv: Sequence[str], *, with_graph: bool = True) -> None:
    """Print an ffmpeg command, ready to copy; a graph of several chains is printed below it, one chain per line.

    Without `with_graph`, such a graph is left out.
    """
    shown = without_guards(argv)
    graph = shown[shown.index(_GRAPH) + 1] if _GRAPH in shown else ""
    if ";" in graph:
        shown[shown.index(_GRAPH) + 1] = "GRAPH"
    console.print(Text(f"  {in_one_line(shlex.join(shown))}"), soft_wrap=True)
    if ";" in graph and not with_graph:
        chains = counted(graph.count(";") + 1, "chain")
        console.print(Text(f"  GRAPH has {chains}; --verbose shows it", style="dim"))
    elif ";" in graph:
        console.print(Text("  GRAPH is", style="dim"))
        for chain in graph.split(";"):
            console.print(Text(f"    {chain}"), soft_wrap=True)


def seconds(milliseconds: int | None) -> str | None:
    """A duration for people."""
    return None if milliseconds is None else f"{milliseconds / 1000:.2f} s"


def span(seconds: float) -> str:
    """A time to wait, for people: `12 s`, `3 min 05 s`, `2 h 10 min`, `3 days`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 172_800:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} days"


def plain(value: JsonObject) -> str | None:
    """A small JSON object without braces and quotes: `height: 720, tone: warm`; None for an empty one."""
    return ", ".join(f"{name}: {json.dumps(each, ensure_ascii=False)}" for name, each in value.items()) or None


def words(name: str) -> str:
    """The name of a figure for people: `cost month` for `cost_month`."""
    return name.replace("_", " ")


def figure(value: object) -> str:
    """A figure that a job reported, for people."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def rtf(value: float | None) -> str | None:
    """A real-time factor for people: 2.0x is twice as fast as real time."""
    return None if value is None else f"{value:.1f}x"


def size(count: int | None) -> str | None:
    """A number of bytes for people."""
    if count is None:
        return None
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} EiB"


def growth(count: int | None) -> str | None:
    """A difference between two numbers of bytes, for people: `+1.2 MiB`, `-3 B`, `±0`."""
    return "±0" if count == 0 else None if count is None else f"{'+' if count > 0 else ''}{size(count)}"


STATUSES = click.Choice([status.value for status in JobStatus])


class TraceId(click.ParamType[str]):
    """32 hexadecimal digits, not all of them 0; or the value of a header `traceparent`, which has them in it."""

    name = "trace_id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        is_id = re.fullmatch(r"[0-9a-f]{32}", value) and value.strip("0")
        if not is_id and TraceParent.parse(value) is None:
            self.fail(f"{value!r} is not a trace id: 32 hexadecimal digits (0-9, a-f), not all 0.", param, ctx)
        return value


class Moment(click.ParamType[datetime]):
    """A date or a time; UTC unless it names a zone."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):  # in UTC it may lie beyond the last date
            self.fail(f"{value!r} is not a date like 2026-01-31 or a time like 2026-01-31T14:00.", param, ctx)
