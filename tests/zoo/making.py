"""Makes the files of the zoo with ffmpeg, from pictures and sounds that are piped into it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from mediajobs_dagster.media.tools import Tools
from tests.exports.barcodes import RATE, Samples, write_wav
from tests.zoo import footage
from tests.zoo.footage import MAIN, Pixels
from tests.zoo.truth import Case, Picture, Sound, Truth, beeps_of, steady

FPS = Fraction(25)
SECONDS = 4
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-g", "12", "-bf", "2", "-sc_threshold", "0")
AAC = ("-c:a", "aac", "-b:a", "96k")
COPY = ("-c", "copy")
NO_RUN_IN = ("-bsf:a", r"noise=drop=lt(pts\,0)")
"""Drops what the encoder put before the sound, so that a container that cannot say so begins where its sound does."""
PROMPT = ("-muxdelay", "0", "-muxpreload", "0")
"""Lets a transport or program stream begin at 0, not at 1.4 s."""

PICTURE = Picture(steady(int(SECONDS * FPS)), SECONDS)
SOUND = Sound(beeps_of(SECONDS), SECONDS)
PLAIN = Truth(PICTURE, SOUND)
"""What most files show: 4 s at 25 frames a second, and as much sound."""


@dataclass(frozen=True)
class Form:
    """How frames become the pixels of a file."""

    matrix: str = "bt601"
    """As ffmpeg's scaler calls it."""
    is_full: bool = False
    pixels: str = "yuv420p"
    tags: tuple[str, ...] = ()
    """What `setparams` says of the colours; nothing, if empty."""

    @property
    def filters(self) -> str:
        """From RGB to those pixels, and what is said of them."""
        told = ":".join(self.tags or ("colorspace=unknown", "range=unknown"))
        if self.pixels.startswith(("gbr", "rgb", "bgr", "pal8", "gray")):
            return f"format={self.pixels}"
        exactly = "flags=accurate_rnd+full_chroma_int+bicubic"
        levels = "pc" if self.is_full else "tv"
        return (
            f"scale=out_color_matrix={self.matrix}:out_range={levels}:{exactly},format={self.pixels},setparams={told}"
        )


UNTAGGED_SD = Form()


class Maker:
    """Makes files in a folder."""

    def __init__(self, folder: Path, tools: Tools) -> None:
        self.folder, self._tools = folder, tools
        self._made: set[Path] = set()
        self._truths: dict[str, Truth] = {}

    def file(self, case: Case) -> tuple[Path, Truth]:
        """A file of the zoo, made at its first use, and its truth."""
        path = self.folder / case.name
        if case.name not in self._truths:
            self._truths[case.name] = case.make(self, path)
        return path, self._truths[case.name]

    def run(self, *arguments: str | Path, data: bytes | None = None) -> None:
        """Run ffmpeg."""
        command = [str(self._tools.ffmpeg), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode()}")

    def once(self, name: str, write: Callable[[Path], object]) -> Path:
        """A file that other files are made of, written at its first use."""
        path = self.folder / "parts" / name
        if path not in self._made:
            path.parent.mkdir(exist_ok=True)
            write(path)
            self._made.add(path)
        return path

    # --- parts -------------------------------------------------------------------------------------------------------

    def film(self) -> Path:
        """The picture of most files: H.264, 320x180, untagged BT.601, a key frame every 12 frames, B-frames."""
        return self.once("film.mp4", lambda path: self.encode(path, frames(100), *H264))

    def wav(self, seconds: float = SECONDS) -> Path:
        """A sound as it was drawn."""
        return self.once(f"beeps_{seconds:g}.wav", lambda path: write_wav(path, footage.sound(seconds)))

    def other_wav(self, seconds: float = SECONDS) -> Path:
        """A sound that nobody should get."""
        return self.once(f"decoy_{seconds:g}.wav", lambda path: write_wav(path, footage.decoy(seconds)))

    def aac(self, seconds: float = SECONDS) -> Path:
        """The sound of most files; its M4A says what the encoder put before it."""
        return self.once(f"beeps_{seconds:g}.m4a", lambda path: self.run("-i", self.wav(seconds), *AAC, path))

    def both(self, *, seconds: float = SECONDS) -> tuple[str | Path, ...]:
        """Arguments that open the picture and the sound of most files."""
        return ("-i", self.film(), "-i", self.aac(seconds), "-map", "0:v", "-map", "1:a")

    def stream(self) -> Path:
        """The plain case as a transport stream that begins at 0."""
        return self.once("plain.ts", lambda path: self.run(*self.both(), *COPY, *NO_RUN_IN, *PROMPT, path))

    def encode(
        self,
        path: Path,
        pictures: Iterable[Pixels],
        *options: str | Path,
        rate: Fraction | str = FPS,
        form: Form = UNTAGGED_SD,
        inputs: Sequence[str | Path] = (),
        filters: str = "",
        before: Sequence[str] = (),
    ) -> None:
        """Encode frames. `inputs` are opened beside them, `filters` follow the conversion of colours."""
        drawn = list(pictures)
        height, width, _ = drawn[0].shape
        raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-")
        chain = ",".join(filter(None, (form.filters, filters)))
        self.run(*before, *raw, *inputs, "-vf", chain, *options, path, data=b"".join(map(np.ndarray.tobytes, drawn)))


def frames(count: int, size: tuple[int, int] = (320, 180), *, first: int = 0, clip: int = MAIN) -> list[Pixels]:
    """Frames with numbers from `first` on."""
    return [footage.draw(first + each, size, clip=clip) for each in range(count)]


def silent(truth: Truth = PLAIN) -> Truth:
    """The same without sound."""
    return replace(truth, sound=None)


def heard(truth: Truth = PLAIN) -> Truth:
    """The same without a picture."""
    return replace(truth, picture=None)


def wav_of(path: Path, samples: Samples, rate: int = RATE) -> Path:
    """A sound file that a case has for itself."""
    return write_wav(path, samples, rate)
