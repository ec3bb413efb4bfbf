"""Footage that says of itself what it is: every frame carries its clip's number and its own, every clip has its tone.

The picture has a grid of 8 x 3 black and white cells: one row the clip's number, two rows the frame's. It is read back
after scaling, encoding and cropping. The sound is a tone of a frequency of the clip's own, with a mark at each full
second: 10 ms at 7 kHz.
"""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mediajobs_dagster.media.tools import Tools, find_tools

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]

RATE = 48_000
COLUMNS, ROWS = 8, 3
GRID = (0.1, 0.32, 0.8, 0.36)
"""Left, top, width and height of the grid, as shares of the picture."""
DARK, LIGHT = 40, 215
GREY = 128
MARK_HZ = 7_000
_UNSURE = 35


@dataclass(frozen=True)
class Footage:
    """A clip that was made, and what stands in it."""

    path: Path
    clip: int
    rate: Fraction
    frames: int
    kept: tuple[int, ...] | None = None
    """Of a variable frame rate: the frames that are left, by their numbers at `rate`."""

    @property
    def name(self) -> str:
        """How timelines refer to it."""
        return self.path.name

    @property
    def seconds(self) -> Fraction:
        """Its length."""
        return self.frames / self.rate

    @property
    def hz(self) -> int:
        """The frequency of its tone."""
        return hz_of(self.clip)

    def shown_before(self, moment: Fraction) -> int:
        """The frame on show just before `moment`, seconds; the first and the last one beyond the ends."""
        numbers = self.kept or range(self.frames)
        begun = [number for number in numbers if number / self.rate < moment]
        return begun[-1] if begun else numbers[0]

    def part(
        self, frames: int, fps: Fraction, *, in_: Fraction = Fraction(0), speed: Fraction = Fraction(1), first: int = 0
    ) -> list[tuple[int, int]]:
        """What an export shows of it: each frame what the clip shows in the middle of that frame's time."""
        middles = ((first + k + Fraction(1, 2)) / fps for k in range(frames))
        return [(self.clip, self.shown_before(in_ + middle * speed)) for middle in middles]


def hz_of(clip: int) -> int:
    """The frequency of a clip's tone."""
    return 300 + 110 * clip


# --- making ----------------------------------------------------------------------------------------------------------


def pattern(clip: int, frame: int) -> npt.NDArray[np.bool_]:
    """The grid's cells, row by row: true is white."""
    bits = clip << 16 | frame
    return np.array([bits >> (23 - cell) & 1 for cell in range(24)], bool)


def draw(clip: int, frame: int, size: tuple[int, int]) -> Pixels:
    """One frame, grey, height x width."""
    width, height = size
    picture = np.full((height, width), GREY, np.uint8)
    for white, (left, top, right, bottom) in zip(pattern(clip, frame), _cells((0, 0, width, height)), strict=True):
        box = slice(round(top), round(bottom)), slice(round(left), round(right))
        picture[box] = LIGHT if white else DARK
    return picture


def tone(clip: int, seconds: float, *, rate: int = RATE, level: float = 0.2, marks: bool = True) -> Samples:
    """A clip's sound, mono."""
    times = np.arange(round(seconds * rate)) / rate
    sound = level * np.sin(2 * np.pi * hz_of(clip) * times)
    if marks:
        within = np.mod(times, 1) < 0.01
        sound[within] = 0.5 * np.sin(2 * np.pi * MARK_HZ * times[within])
    return sound.astype(np.float32)


def write_wav(path: Path, sound: Samples, rate: int = RATE) -> Path:
    """Mono, or one column a channel."""
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    with wave.open(str(path), "wb") as sink:
        sink.setparams((channels, 2, rate, 0, "NONE", ""))
        sink.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@dataclass(frozen=True)
class Studio:
    """Makes footage in a folder."""

    folder: Path
    tools: Tools

    def clip(
        self,
        name: str,
        number: int,
        *,
        seconds: float = 4,
        rate: str = "30",
        size: tuple[int, int] = (320, 180),
        options: Sequence[str] = ("-g", "250", "-bf", "3"),
        sound: Samples | None = None,
        sound_rate: int = RATE,
        sound_codec: str = "aac",
        silent: bool = False,
        before: Sequence[str] = (),
        drop: Sequence[int] = (),
    ) -> Footage:
        """A clip in H.264 and AAC; `drop` are frames that are left out, so that its rate varies."""
        path, fps = self.folder / name, Fraction(rate)
        frames = round(seconds * fps)
        kept = tuple(frame for frame in range(frames) if frame not in drop) if drop else None
        made = Footage(path, number, fps, frames, kept)
        if path.exists():
            return made
        audio: tuple[str, ...] = ()
        if not silent:
            heard = tone(number, seconds, rate=sound_rate) if sound is None else sound
            audio = ("-i", str(write_wav(path.with_suffix(".wav"), heard, sound_rate)))
        raw = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{size[0]}x{size[1]}", "-r", rate, "-i", "-")
        pictures = b"".join(draw(number, frame, size).tobytes() for frame in kept or range(frames))
        # The numbers of the frames that are left, as runs that begin at one number and lie at another.
        moves = [(at, frame - at) for at, frame in enumerate(kept or ()) if not at or frame != (kept or ())[at - 1] + 1]
        shifts = "+".join(f"gte(N,{at})*{shift - before}" for (_, before), (at, shift) in pairwise([(0, 0), *moves]))
        timing = ("-vf", f"setpts='N+{shifts}'", "-fps_mode", "passthrough") if drop else ()
        # What stands below decides which matrix a picture has that says nothing; grey is grey in all of them.
        video = (*timing, *before, "-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p")
        self.run(*raw, *audio, *video, *options, "-c:a", sound_codec, "-b:a", "192k", str(path), data=pictures)
        return made

    def plain(
        self, name: str, color: tuple[int, int, int], matrix: str, told: str, *, form: str = "yuv420p"
    ) -> Footage:
        """Half a second of one colour in a matrix, and what its file says of that; no sound."""
        path = self.folder / name
        raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x36", "-r", "30", "-i", "-")
        levels = "pc" if form.startswith("yuvj") else "tv"
        to_yuv = ("-vf", f"scale=320:180:out_color_matrix={matrix}:out_range={levels},format={form}")
        coded = ("-c:v", "libx264", "-crf", "10", "-colorspace", told)
        if not path.exists():
            self.run(*raw, *to_yuv, *coded, str(path), data=bytes(color) * 64 * 36 * 15)
        return Footage(path, 0, Fraction(30), 15)

    def half_dark(self, name: str) -> Footage:
        """A second whose left half is white and whose right half is black; no sound."""
        path = self.folder / name
        half = np.repeat(np.array([[255, 0]], np.uint8), 160, axis=1)
        raw = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", "320x180", "-r", "30", "-i", "-")
        if not path.exists():
            self.run(*raw, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path), data=half.repeat(180, 0).tobytes() * 30)
        return Footage(path, 0, Fraction(30), 30)

    def lettered(self, name: str, seconds: int = 3) -> Footage:
        """Black, with a white box of 140 x 80 in the middle; silent."""
        path = self.folder / name
        frame = np.zeros((180, 320), np.uint8)
        frame[50:130, 90:230] = 255
        raw = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", "320x180", "-r", "30", "-i", "-")
        if not path.exists():
            self.run(*raw, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path), data=frame.tobytes() * 30 * seconds)
        return Footage(path, 0, Fraction(30), 30 * seconds)

    def turned(self, footage: Footage, name: str, degrees: int) -> Footage:
        """The same clip with a display matrix."""
        path = self.folder / name
        if not path.exists():
            self.run("-display_rotation", str(degrees), "-i", str(footage.path), "-c", "copy", str(path))
        return Footage(path, footage.clip, footage.rate, footage.frames)

    def delayed(self, footage: Footage, name: str, seconds: float) -> Footage:
        """The same clip, whose sound begins so much later."""
        path = self.folder / name
        late = ("-itsoffset", str(seconds), "-i", str(footage.path))
        if not path.exists():
            self.run("-i", str(footage.path), *late, "-map", "0:v", "-map", "1:a", "-c", "copy", str(path))
        return Footage(path, footage.clip, footage.rate, footage.frames)

    def run(self, *arguments: str, data: bytes | None = None) -> None:
        command = [str(self.tools.ffmpeg), "-nostdin", "-v", "error", "-y", *arguments]
        subprocess.run(command, input=data, check=True)


# --- reading ---------------------------------------------------------------------------------------------------------

Area = tuple[float, float, float, float]
"""Left, top, width and height, pixels, of where a whole clip's picture lies in an export."""


def read_frames(path: Path, area: Area | None = None) -> list[tuple[int, int] | None]:
    """Clip and number of each frame; None where none can be read."""
    return numbers_in(decode(path), area)


def numbers_in(frames: Pixels, area: Area | None = None) -> list[tuple[int, int] | None]:
    """The same, of decoded frames."""
    return [number_of(luma_of_cells(frame, area)) for frame in frames]


def number_of(cells: Numbers) -> tuple[int, int] | None:
    """Clip and number that cells tell."""
    middle = (DARK + LIGHT) / 2
    if np.any(np.abs(cells - middle) < _UNSURE):
        return None
    bits = sum(1 << (23 - cell) for cell, luma in enumerate(cells) if luma > middle)
    return (bits >> 16, bits & 0xFFFF) if bits >> 16 else None


def luma_of_cells(frame: Pixels, area: Area | None = None) -> Numbers:
    """How light each cell is, 0 to 255; of its inner half, for its edges mix with its neighbours."""
    grey = frame.mean(axis=2)
    lumas: list[float] = []
    for left, top, right, bottom in _cells(area or (0, 0, frame.shape[1], frame.shape[0])):
        inset_x, inset_y = (right - left) / 4, (bottom - top) / 4
        box = grey[round(top + inset_y) : round(bottom - inset_y), round(left + inset_x) : round(right - inset_x)]
        lumas.append(float(box.mean()))
    return np.array(lumas)


def share_of_second(cells: Numbers, first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """How much of the second frame is mixed over the first, and how far the cells are off from such a mix, steps."""
    before, after = (np.where(pattern(*each), LIGHT, DARK).astype(float) for each in (first, second))
    change = after - before
    share = float(change @ (cells - before) / (change @ change))
    return share, float(np.abs(before + share * change - cells).max())


def decode(path: Path) -> Pixels:
    """All frames, RGB by the matrix of BT.709."""
    width, height = _size(path)
    to_rgb = "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int"
    arguments = ("-map", "0:v", "-vf", f"{to_rgb},format=rgb24", "-fps_mode", "passthrough", "-f", "rawvideo")
    data = _output("-i", str(path), *arguments, "-")
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)


def decode_sound(path: Path) -> Samples:
    """All samples, one column a channel, at 48 kHz."""
    data = _output("-i", str(path), "-map", "0:a", "-ar", str(RATE), "-ac", "2", "-f", "f32le", "-")
    return np.frombuffer(data, np.float32).reshape(-1, 2)


def tones(pcm: Samples, window: float = 0.1) -> list[tuple[float, float]]:
    """The strongest frequency (Hz) and its amplitude in each window of so many seconds; silence is (0, 0)."""
    mono, length = pcm.mean(axis=1), round(window * RATE)
    return [loudest(mono[start : start + length]) for start in range(0, len(mono) - length + 1, length)]


def loudest(mono: Samples) -> tuple[float, float]:
    """The strongest frequency in a stretch, and its amplitude."""
    weights = np.hanning(len(mono))
    size = 1 << (4 * len(mono)).bit_length()
    spectrum = np.abs(np.fft.rfft(mono * weights, size))
    peak = int(spectrum.argmax())
    amplitude = float(spectrum[peak] * 2 / weights.sum())
    return (peak * RATE / size, amplitude) if amplitude > 1e-3 else (0.0, 0.0)


def level(pcm: Samples, hz: float, start: float, end: float) -> float:
    """The amplitude of one frequency between two times, dB of full scale."""
    mono = pcm.mean(axis=1)[round(start * RATE) : round(end * RATE)]
    weights = np.hanning(len(mono))
    wave_form = np.exp(-2j * np.pi * hz * np.arange(len(mono)) / RATE)
    return float(20 * np.log10(max(abs((mono * weights) @ wave_form) * 2 / weights.sum(), 1e-6)))


def marks(pcm: Samples) -> list[float]:
    """When marks begin, seconds."""
    mono = pcm.mean(axis=1).astype(np.float64)
    turned = mono * np.exp(-2j * np.pi * MARK_HZ * np.arange(len(mono)) / RATE)
    length = RATE // 100
    strength = np.abs(np.convolve(turned, np.ones(length) / length, "valid")) * 2
    found: list[float] = []
    above = np.flatnonzero(strength > 0.35 * max(strength.max(), 0.02))
    for run in np.split(above, np.flatnonzero(np.diff(above) > RATE // 10) + 1):
        if len(run):
            found.append(float(run[strength[run].argmax()]) / RATE)
    return found


def _cells(area: Area) -> list[Area]:
    """Left, top, right and bottom of each cell."""
    left, top, width, height = area
    x, y = left + GRID[0] * width, top + GRID[1] * height
    across, down = GRID[2] * width / COLUMNS, GRID[3] * height / ROWS
    return [
        (x + column * across, y + row * down, x + (column + 1) * across, y + (row + 1) * down)
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]


def _size(path: Path) -> tuple[int, int]:
    command = [find_tools().ffprobe, "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height"]
    answer = subprocess.run([*command, "-of", "csv=p=0", path], check=True, capture_output=True, text=True).stdout
    width, height = answer.strip().split(",")[:2]
    return int(width), int(height)


def _output(*arguments: str) -> bytes:
    command = [find_tools().ffmpeg, "-nostdin", "-v", "error", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout
