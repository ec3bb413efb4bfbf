"""Commands of ffmpeg for people: to be read, and to be copied into a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.models import FfmpegCommand

_GRAPHS = ("-filter_complex", "-vf", "-af", "-filter:v", "-filter:a", "-lavfi")
_LABEL = re.compile(r"\[[^\[\]]*\]")
_BAD_LINE = re.compile(r"\[(error|fatal|panic)\]")


@dataclass(frozen=True)
class Chain:
    """A chain of a filter graph."""

    inputs: tuple[str, ...]
    filters: tuple[tuple[str, str], ...]
    """Name and options of each."""
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class ReadableCommand:
    """A command, ready to be shown."""

    command: FfmpegCommand
    short: str
    """Without what all commands have, and without the graph."""
    shell: str
    """All of it, for a shell."""
    graph: tuple[Chain, ...]
    stderr: tuple[tuple[str, bool], ...]
    """Each line, and whether it tells of an error."""


def readable(command: FfmpegCommand) -> ReadableCommand:
    """The command for people."""
    shown = without_guards(command.argv)
    graphs = [index + 1 for index, each in enumerate(shown[:-1]) if each in _GRAPHS]
    chains = tuple(chain for index in graphs for chain in chains_of(shown[index]))
    for index in graphs:
        shown[index] = "…"
    lines = tuple((line, bool(_BAD_LINE.search(line))) for line in command.stderr_tail.splitlines())
    return ReadableCommand(command, shlex.join(shown).replace("'…'", "…"), shlex.join(command.argv), chains, lines)


def chains_of(graph: str) -> tuple[Chain, ...]:
    """The chains of a filter graph (the syntax is that of ffmpeg-filters(1), "Filtergraph syntax")."""
    return tuple(map(_chain, filter(None, (each.strip() for each in _split(graph, ";")))))


def _chain(text: str) -> Chain:
    inputs: list[str] = []
    outputs: list[str] = []
    while found := _LABEL.match(text):
        inputs.append(found[0])
        text = text[found.end() :]
    while text.endswith("]") and (begin := text.rfind("[")) >= 0:
        outputs.insert(0, text[begin:])
        text = text[:begin]
    named = (each.partition("=") for each in _split(text, ","))
    return Chain(tuple(inputs), tuple((name, options) for name, _, options in named), tuple(outputs))


def _split(text: str, at: str) -> Iterator[str]:
    """The parts between separators that are neither quoted nor escaped."""
    part: list[str] = []
    is_quoted = is_escaped = False
    for character in text:
        if character == at and not is_quoted and not is_escaped:
            yield "".join(part)
            part = []
            continue
        if character == "'" and not is_escaped:
            is_quoted = not is_quoted
        is_escaped = character == "\\" and not is_escaped and not is_quoted
        part.append(character)
    yield "".join(part)


def failed_first(commands: Sequence[ReadableCommand]) -> list[ReadableCommand]:
    """Those that failed and said something, the last one first."""
    return [each for each in reversed(commands) if each.command.status != "ok" and each.stderr]
