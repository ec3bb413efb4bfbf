"""Compares what became of a file with its truth. Each difference is a fault of one aspect."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mediajobs_dagster.media.tools import Tools
from tests.exports.barcodes import Samples
from tests.zoo import footage
from tests.zoo.footage import MAIN, Pixels
from tests.zoo.truth import BEEP_S, Picture, Sound, Truth

Aspect = Literal[
    "error", "length", "frames", "track", "upright", "shape", "colours", "tags", "combs", "beeps", "noise", "rate"
]
SYNC_S = 0.02
_ROUNDING_S = 0.0015
"""How far containers that count milliseconds may be off."""
_NOISE = 0.02
"""Of full scale; a codec's echo of a beep is softer."""
_COMBED = 4.0
"""Combed pictures have 7 to 11, whole ones 0."""
_LOOKED_AT = 5
"""Frames of an output whose colours are compared."""


@dataclass(frozen=True)
class Fault:
    """What is wrong."""

    aspect: Aspect
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.aspect}: expected {self.expected}, found {self.found}"


class Video:
    """A video as a player shows it: held frames, silence where there is no sound, colours by its tags."""

    def __init__(self, path: Path, tools: Tools, *, fps: float | None = None, maps: Sequence[str] = ()) -> None:
        """`fps` is how often it is looked at, else its own rate; `maps` are the tracks, else the first ones."""
        self._path, self._tools, self._maps = path, tools, maps
        self.fps = fps or self.rate

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What ffprobe says."""
        command = [self._tools.ffprobe, "-v", "error", "-show_streams", "-show_format", "-of", "json", self._path]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    @property
    def picture(self) -> Mapping[str, Any] | None:
        """The picture track."""
        return next((each for each in self.facts["streams"] if each["codec_type"] == "video"), None)

    @property
    def has_sound(self) -> bool:
        """Whether there is a track of sound."""
        return any(each["codec_type"] == "audio" for each in self.facts["streams"])

    @property
    def rate(self) -> float:
        """Frames a second."""
        if self.picture is None:
            return 25.0
        over, under = self.picture["avg_frame_rate"].split("/")
        return int(over) / int(under) if int(under) else 0.0

    @cached_property
    def _decoded(self) -> tuple[Pixels, Samples]:
        sound_file = self._path.with_name(f"{self._path.name}.f32")
        to_rgb = "scale=out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int"
        shown = f"fps={self.fps:.6f}:start_time=0,{to_rgb},format=rgb24"
        video = self._maps[0] if self._maps else "0:v:0"
        audio = self._maps[1] if self._maps else "0:a:0"
        arguments: list[str | Path] = []
        if self.picture and video:
            arguments += ["-map", video, "-vf", shown, "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]
        if self.has_sound and audio:
            placed = "aresample=48000:async=1:first_pts=0:min_hard_comp=0.005"
            arguments += ["-map", audio, "-af", placed, "-ac", "2", "-f", "f32le", sound_file]
        command = [self._tools.ffmpeg, "-nostdin", "-hide_banner", "-nostats", "-y", "-i", self._path, *arguments]
        done = subprocess.run(command, check=True, capture_output=True)
        data, said = done.stdout, done.stderr.decode(errors="replace")
        samples = np.zeros((0, 2), np.float32)
        if sound_file.exists():
            samples = np.fromfile(sound_file, np.float32).reshape(-1, 2)
            sound_file.unlink()
        if not data:
            return np.zeros((0, 1, 1, 3), np.uint8), samples
        # Turned upright, by what container or stream say.
        width, height = map(int, re.findall(r"rgb24\(.*?(\d+)x(\d+)", said)[-1])
        return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3), samples

    @property
    def pixel_shape(self) -> float:
        """Width to height of a pixel."""
        across, _, down = (self.picture or {}).get("sample_aspect_ratio", "1:1").partition(":")
        return int(across) / int(down) if int(across) and int(down) else 1.0

    @property
    def frames(self) -> Pixels:
        """What is on show at each moment, RGB."""
        return self._decoded[0]

    @property
    def samples(self) -> Samples:
        """The sound, both sides added up."""
        return self._decoded[1].sum(axis=1) / 2 if len(self._decoded[1]) else np.zeros(0, np.float32)

    @property
    def sides(self) -> Samples:
        """The sound, one column a side."""
        return self._decoded[1]


# --- pictures --------------------------------------------------------------------------------------------------------


def picture_faults(frames: Pixels, picture: Picture, pixel_shape: float = 1.0) -> Iterator[Fault]:
    """Of some frames: which way they lie, their shape and colours."""
    if not len(frames):
        return
    chosen = frames[np.linspace(0, len(frames) - 1, min(_LOOKED_AT, len(frames))).astype(int)]
    height, width, _ = chosen[0].shape
    shape, wanted = width / height * pixel_shape, picture.size[0] / picture.size[1]
    if abs(shape / wanted - 1) > 0.02 + 1 / min(width, height):
        yield Fault("shape", f"{picture.size[0]}:{picture.size[1]}", f"{width}x{height}, pixels {pixel_shape:.2f}:1")
    if picture.colours_within is None:
        return
    if not all(map(footage.is_upright, chosen)):
        yield Fault("upright", "upright", str(footage.patches(chosen[0])))
        return
    off = max(map(footage.colours_off, chosen))
    if off > picture.colours_within:
        worst = max(chosen, key=footage.colours_off)
        yield Fault(
            "colours", f"within {picture.colours_within} of {footage.PATCHES}", f"{off}: {footage.patches(worst)}"
        )


def track_faults(shown: Sequence[tuple[int, int] | None]) -> Iterator[Fault]:
    """Whether it is the right picture at all."""
    others = [each for each in shown if each and each[0] != MAIN]
    if others:
        yield Fault("track", "the picture of a viewer", f"{len(others)} frames of another one")


def frame_faults(
    shown: Sequence[tuple[int, int] | None], fps: float, truth: Picture, slack: float, *, start: float = 0.0
) -> Iterator[Fault]:
    """Whether each frame is one on show in the middle of its time, `slack` seconds early or late.

    Before the first frame, black and that frame are right. `start` is where in the source the first one lies.
    """
    wrong: list[str] = []
    for index, each in enumerate(shown):
        middle = start + (index + 0.5) / fps
        right = truth.shown_between(middle - slack, middle + slack)
        number = each[1] if each else None
        if number not in right and not (None in right and number in (None, truth.frames[0].number)):
            wrong.append(f"{index}: {number} for {'/'.join(map(str, sorted(right, key=str)))}")
    if wrong:
        told = ", ".join(wrong[:4])
        yield Fault("frames", f"those on show (at {fps:g} a second)", f"{len(wrong)} of {len(shown)} wrong ({told})")


def tag_faults(picture: Mapping[str, Any]) -> Iterator[Fault]:
    """Outputs say how their colours are meant: matrix and levels."""
    said = (picture.get("color_space"), picture.get("color_range"))
    if said[0] in (None, "unknown") or said[1] in (None, "unknown"):
        yield Fault("tags", "matrix and range", f"{said[0]}, {said[1]}")
    elif picture.get("color_transfer") in ("smpte2084", "arib-std-b67"):
        yield Fault("tags", "an SDR transfer", picture["color_transfer"])


def comb_faults(frames: Pixels, picture: Picture) -> Iterator[Fault]:
    """Interlaced pictures come out without combs."""
    if picture.is_interlaced and len(frames):
        chosen = frames[len(frames) // 3 :: max(1, len(frames) // 10)]
        combs = max(footage.combing(frame, picture.size[1]) for frame in chosen)
        if combs > _COMBED:
            yield Fault("combs", f"no combs (up to {_COMBED:g})", f"{combs:.0f}")


# --- sound -----------------------------------------------------------------------------------------------------------


def sound_faults(samples: Samples, expected: Sequence[float], cuts: Sequence[float] = ()) -> Iterator[Fault]:
    """Whether beeps, and nothing but beeps, are heard, each within 20 ms. At a cut there may be half a beep."""
    every = footage.beeps_in(samples)
    heard = [beep for beep in every if not _at_a_cut(beep, cuts)]
    expected = [beep for beep in expected if not _at_a_cut(beep, cuts)]
    late = [found - wanted for found, wanted in zip(heard, expected, strict=False)]
    if len(heard) != len(expected) or any(abs(each) > SYNC_S for each in late):
        yield Fault("beeps", _moments(expected), _moments(heard))
    noise = footage.noise_in(samples, [*every, *(cut - BEEP_S for cut in cuts)])
    if noise > _NOISE:
        yield Fault("noise", "silence between beeps", f"a level of {noise:.2f}")


def _at_a_cut(beep: float, cuts: Sequence[float]) -> bool:
    return any(cut - BEEP_S - SYNC_S < beep < cut + SYNC_S for cut in cuts)


def _moments(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values) or "none"


# --- the file itself --------------------------------------------------------------------------------------------------


def plain_faults(path: Path, truth: Truth, tools: Tools) -> list[Fault]:
    """What a file itself has that its truth does not say, as ffmpeg alone shows it."""
    picture, sound = truth.picture, truth.sound
    fps = float(picture.rate) if picture and picture.rate else 25.0
    maps = (truth.tracks[0] if picture else "", truth.tracks[1] if sound else "")
    video = Video(path, tools, fps=fps, maps=maps)

    def judged(begun: Truth) -> Iterator[Fault]:
        if begun.picture:
            shown = footage.read(video.frames)
            yield from track_faults(shown)
            yield from frame_faults(shown, fps, begun.picture, _ROUNDING_S)
            lies = begun.picture.size[0] > begun.picture.size[1]
            yield from picture_faults(video.frames, begun.picture, video.pixel_shape if lies else 1 / video.pixel_shape)
        if begun.sound:
            yield from sound_faults(video.samples, begun.sound.beeps)

    return best(truth, judged)


# --- whole outputs ---------------------------------------------------------------------------------------------------


def best(truth: Truth, judged: Callable[[Truth], Iterable[Fault]]) -> list[Fault]:
    """The faults by the beginning that fits best."""
    found = [list(judged(truth.begun_at(beginning))) for beginning in truth.beginnings]
    return min(found, key=len)


def judge_thumbnail(path: Path, truth: Truth) -> Iterator[Fault]:
    """A picture of the moment 0.2 s."""
    assert truth.picture is not None
    with Image.open(path) as image:
        frame = np.asarray(image.convert("RGB"))
    yield from picture_faults(frame[None], truth.picture)
    (shown,) = footage.read(frame[None])
    yield from track_faults([shown])
    # The one on show then, or the first one after it.
    following = [each.number for each in truth.picture.frames if each.at >= 0.2]
    right = {truth.picture.shown(0.2), *following[:1]} - {None}
    number = shown[1] if shown else None
    if number not in right:
        yield Fault("frames", " or ".join(map(str, right)), str(number))
    yield from comb_faults(frame[None], truth.picture)


def judge_proxy(path: Path, truth: Truth, tools: Tools) -> Iterator[Fault]:
    """The whole of it, 30 frames a second."""
    assert truth.picture is not None
    video = Video(path, tools, fps=30)
    yield from _video_faults(video, truth, len(video.frames) / 30, truth.length, 1 / 30)
    shown = footage.read(video.frames)
    yield from track_faults(shown)
    # A frame may be rounded to a neighbour's time, as any constant rate does.
    yield from frame_faults(shown, 30, truth.picture, 0.5 / 30 + 0.002)
    if truth.sound:
        yield from sound_faults(video.samples, truth.sound.beeps)


def judge_export(path: Path, truth: Truth, tools: Tools, middle: tuple[float, float] | None) -> Iterator[Fault]:
    """A part from the middle, if there is one, then the whole; each frame exactly."""
    video = Video(path, tools)
    parts = _parts(video.fps, ([middle] if middle else []) + [(0.0, truth.length)])
    if truth.picture:
        seconds = parts[-1].end / video.fps
        yield from _video_faults(video, truth, len(video.frames) / video.fps, seconds, 1 / video.fps)
        yield from _export_frames(video, truth.picture, parts)
    if truth.sound:
        beeps = [beep for part in parts for beep in _heard(part, truth.sound, video.fps)]
        yield from sound_faults(video.samples, beeps, [0.0, *(part.end / video.fps for part in parts)])


@dataclass(frozen=True)
class _Part:
    first: int
    end: int
    """Its frames in the export."""
    start: float
    """Where it begins in the source, seconds."""


def _parts(fps: float, parts: Sequence[tuple[float, float]]) -> list[_Part]:
    """Where parts that follow each other lie: their edges are rounded to frames, not their lengths."""
    edges = [0.0, *accumulate(end - start for start, end in parts)]
    frames = [int(edge * fps + 0.5) for edge in edges]
    return [_Part(*within, start) for within, (start, _) in zip(pairwise(frames), parts, strict=True)]


def _heard(part: _Part, sound: Sound, fps: float) -> Iterator[float]:
    """When the beeps within a part are heard in the export."""
    seconds = (part.end - part.first) / fps
    for beep in sound.beeps:
        if part.start <= beep and beep + BEEP_S <= part.start + seconds:
            yield part.first / fps + beep - part.start


def _export_frames(video: Video, picture: Picture, parts: Sequence[_Part]) -> Iterator[Fault]:
    shown = footage.read(video.frames)
    yield from track_faults(shown)
    wrong = [
        fault
        for part in parts
        for fault in frame_faults(shown[part.first : part.end], video.fps, picture, _ROUNDING_S, start=part.start)
    ]
    yield from wrong[:1]
    if picture.rate and 23.97 < picture.rate <= 60 and abs(video.fps - picture.rate) > 0.01:
        yield Fault("rate", f"{float(picture.rate):.3f}", f"{video.fps:.3f}")


def _video_faults(video: Video, truth: Truth, found: float, wanted: float, slack: float) -> Iterator[Fault]:
    """What holds of proxy and export alike."""
    assert truth.picture is not None
    assert video.picture is not None
    lasts = float(video.facts["format"]["duration"])
    if abs(found - wanted) > slack + 0.001 or abs(lasts - wanted) > slack + 0.06:
        yield Fault("length", f"{wanted:.3f} s", f"{found:.3f} s of picture, {lasts:.3f} s in all")
    yield from tag_faults(video.picture)
    began = video.frames[sum(frame.mean() < 30 for frame in video.frames[:1]) :]
    yield from picture_faults(began, truth.picture, video.pixel_shape)
    yield from comb_faults(video.frames, truth.picture)


def judge_envelope(path: Path, truth: Truth) -> Iterator[Fault]:
    """Points a tenth of a second apart; high where a beep is, low elsewhere."""
    envelope = json.loads(path.read_bytes())
    values = [point["v"] for point in envelope["points"]]
    if not truth.sound:
        if any(value > 0.04 for value in values):
            yield Fault("beeps", "silence", f"{max(values):.2f}")
        return
    high = {index for index, value in enumerate(values) if value > 0.25}
    must = [{int((beep + part) * 10) for part in (0.005, BEEP_S - 0.005)} for beep in truth.sound.beeps]
    may = [_windows(beep - SYNC_S, beep + BEEP_S + SYNC_S) for beep in truth.sound.beeps]
    if not all(high & each for each in must) or high - set[int]().union(*may):
        yield Fault(
            "beeps", _moments([min(each) / 10 for each in must]), _moments([each / 10 for each in sorted(high)])
        )
    loud = {index for index, value in enumerate(values) if value > 0.15} - set[int]().union(
        *(_windows(beep - 0.05, beep + 0.1) for beep in truth.sound.beeps)
    )
    if loud - high:
        yield Fault("noise", "silence between beeps", f"sound at {_moments([each / 10 for each in sorted(loud)[:5]])}")
    lasts = envelope["durationSeconds"]
    if not truth.sound.end - 0.06 <= lasts <= max(truth.sound.end, truth.length) + 0.06:
        yield Fault("length", f"{truth.sound.end:.3f} s", f"{lasts:.3f} s")


def _windows(start: float, end: float) -> set[int]:
    return set(range(int(start * 10), int(end * 10) + 1))
