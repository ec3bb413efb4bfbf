"""The edit of the export benchmarks, as one value that every renderer gets.

28 s of 1080p at `unit` 1: six clips of four recordings, cuts and dissolves; picture in picture, a title, ducked music.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from benchmarks.export_sources import FPS
from mediajobs_dagster.models import JsonObject

SIZE = (1920, 1080)


@dataclass(frozen=True)
class Part:
    """A part of a recording, in frames of the edit."""

    source: str
    first: int
    frames: int
    dissolve: int = 0
    """How many of its first frames are shared with the part before."""


@dataclass(frozen=True)
class Inset:
    """A recording as picture in picture: 30 % of the width, at the bottom right."""

    source: str
    first: int
    start: int
    frames: int


@dataclass(frozen=True)
class Lettering:
    """A title."""

    text: str
    start: int
    frames: int


@dataclass(frozen=True)
class Edit:
    """The whole edit."""

    parts: tuple[Part, ...]
    inset: Inset | None = None
    title: Lettering | None = None
    music: str | None = None

    @property
    def frames(self) -> int:
        """Its length."""
        return sum(part.frames - part.dissolve for part in self.parts)

    @property
    def starts(self) -> list[int]:
        """The frame at which each part begins."""
        found: list[int] = []
        at = 0
        for part in self.parts:
            found.append(at - part.dissolve)
            at += part.frames - part.dissolve
        return found

    def cuts_and_dissolves(self) -> Edit:
        """The base track alone."""
        return replace(self, inset=None, title=None, music=None)

    def without_music(self) -> Edit:
        """The edit without music."""
        return replace(self, music=None)

    def document(self, uploads: Mapping[str, str], *, loudness: bool = True) -> JsonObject:
        """The timeline; `uploads` are upload ids by name. Without `loudness` the mix keeps its loudness."""
        layers = [layer for layer in (self._inset(uploads), self._title()) if layer]
        music = [{"source": uploads[self.music], "mode": "duck"}] if self.music else []
        return {
            "version": "create_video_v1",
            "canvas": {"width": SIZE[0], "height": SIZE[1], "fps": FPS},
            "track": [_clip(part, uploads) for part in self.parts],
            "layers": layers,
            "music": music,
            **({} if loudness else {"loudness": None}),
        }

    def _inset(self, uploads: Mapping[str, str]) -> JsonObject | None:
        inset = self.inset
        if inset is None:
            return None
        begin, end = inset.first / FPS, (inset.first + inset.frames) / FPS
        source = {"kind": "video", "source": uploads[inset.source], "in": begin, "out": end}
        return {**source, "start": inset.start / FPS, "mute": True}

    def _title(self) -> JsonObject | None:
        title = self.title
        if title is None:
            return None
        return {"kind": "title", "text": title.text, "start": title.start / FPS, "duration": title.frames / FPS}


def _clip(part: Part, uploads: Mapping[str, str]) -> JsonObject:
    begin, end = part.first / FPS, (part.first + part.frames) / FPS
    clip = {"kind": "clip", "source": uploads[part.source], "in": begin, "out": end}
    return {**clip, "transition": {"kind": "dissolve", "duration": part.dissolve / FPS}} if part.dissolve else clip


def the_edit(unit: float) -> Edit:
    """The edit, with all times scaled by `unit`, so that a quick run has the same cuts and dissolves."""

    def frames(seconds: float) -> int:
        return round(seconds * unit * FPS)

    return Edit(
        parts=(
            Part("street", frames(2), frames(6)),
            Part("talk", frames(1), frames(6.5), frames(1)),
            Part("street", frames(11), frames(4)),
            Part("screen", frames(3), frames(5), frames(0.5)),
            Part("talk", frames(9), frames(5)),
            Part("short", 0, frames(4), frames(1)),
        ),
        inset=Inset("screen", frames(10), frames(9), frames(8)),
        title=Lettering("A week in the city", frames(0.5), frames(4)),
        music="music",
    )


def of_many(sources: list[str], frames: int) -> Edit:
    """One clip for each source, joined by cuts, and by a dissolve at every fifth."""
    return Edit(
        tuple(
            Part(source, 15, frames, frames // 3 if number and number % 5 == 0 else 0)
            for number, source in enumerate(sources)
        )
    )
