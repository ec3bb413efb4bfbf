"""What is true of a file of the zoo: which frame is on show when, when its sound beeps, and how it lies and looks.

Times are seconds from the file's beginning: the first moment of the tracks that a viewer gets, whichever comes first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.zoo.making import Maker

BEEP_S = 0.04
"""How long a beep is."""
Job = Literal["thumbnail", "proxy", "envelope", "export"]
NOT_ASKED = "NOT_ASKED"
JOBS: tuple[Job, ...] = ("thumbnail", "proxy", "envelope", "export")


@dataclass(frozen=True)
class Frame:
    """A frame and when it comes on show."""

    at: float
    number: int


@dataclass(frozen=True)
class Picture:
    """What is seen."""

    frames: tuple[Frame, ...]
    """By their times. Each stays on show until the next one, the last one as long as there is sound."""
    end: float
    """When the last frame has been on show, if no sound goes on."""
    size: tuple[int, int] = (320, 180)
    """As it is displayed: upright, in square pixels."""
    rate: Fraction | None = Fraction(25)
    """Frames a second; None: it varies."""
    colours_within: int | None = 4
    """How far colours may be off, steps of 255; None: they are not held to anything."""
    is_interlaced: bool = False
    """Whether its two fields differ, and it says so."""

    def shown(self, moment: float) -> int | None:
        """The frame on show at a moment; None before the first one."""
        index = bisect_right(self.frames, moment, key=lambda frame: frame.at)
        return self.frames[index - 1].number if index else None

    def shown_between(self, start: float, end: float) -> set[int | None]:
        """The frames on show at any time from `start` to `end`, which counts too."""
        return {self.shown(start), *(frame.number for frame in self.frames if start < frame.at <= end)}


@dataclass(frozen=True)
class Sound:
    """What is heard: silence but for the beeps."""

    beeps: tuple[float, ...]
    """When each begins."""
    end: float


@dataclass(frozen=True)
class Truth:
    """The truth of a file."""

    picture: Picture | None
    sound: Sound | None
    beginnings: tuple[float, ...] = (0.0,)
    """Seconds to be added to all times. There are several where the file may be said to begin at either moment:
    at what an encoder put before the sound, or at the sound itself."""
    refused: Mapping[Job, str] = field(default_factory=dict[Job, str])
    """The jobs that cannot be done, and the codes of their errors; NOT_ASKED where there is no such job."""
    tracks: tuple[str, str] = ("0:v:0", "0:a:0")
    """Picture and sound of a viewer, as ffmpeg calls them."""
    is_plain: bool = True
    """Whether ffmpeg shows the truth of it without being told anything."""

    @property
    def length(self) -> float:
        """Of the longer track."""
        return max(track.end for track in (self.picture, self.sound) if track)

    def begun_at(self, beginning: float) -> Truth:
        """The same, with all times counted from another beginning."""
        picture, sound = self.picture, self.sound
        if picture:
            frames = tuple(Frame(frame.at + beginning, frame.number) for frame in picture.frames)
            picture = replace(picture, frames=frames, end=picture.end + beginning)
        if sound:
            beeps = tuple(beep + beginning for beep in sound.beeps)
            sound = replace(sound, beeps=beeps, end=sound.end + beginning)
        return replace(self, picture=picture, sound=sound, beginnings=(0.0,))


Make = Callable[["Maker", Path], Truth]
"""Writes a file, and tells the truth of it."""


@dataclass(frozen=True)
class Case:
    """A file of the zoo."""

    name: str
    """Its file name."""
    group: str
    """The heading it stands under in docs/media.md."""
    kind: str
    """What is odd about it, in a user's words. Files of one kind make one line there."""
    promise: str
    """What a user may expect of the kind."""
    make: Make


def steady(count: int, rate: Fraction = Fraction(25), *, first: int = 0, begin: float = 0.0) -> tuple[Frame, ...]:
    """Frames at a constant rate: `count` of them, the first one with the number `first`."""
    return tuple(Frame(begin + float(each / rate), first + each) for each in range(count))


def beeps_of(seconds: float, begin: float = 0.0) -> tuple[float, ...]:
    """When a sound of that length beeps: 0.53 s after each of its seconds."""
    return tuple(begin + second + 0.53 for second in range(10_000) if second + 0.53 + BEEP_S <= seconds + 1e-9)


def without(beeps: Sequence[float], start: float, end: float) -> tuple[float, ...]:
    """Beeps that lie outside a hole."""
    return tuple(beep for beep in beeps if not start < beep + BEEP_S / 2 < end)
