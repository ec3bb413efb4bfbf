"""Reads what ffmpeg and ffprobe say on standard error while they run: the tail, the faults, the bytes read."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from mediajobs_dagster.printable import counted
from mediajobs_dagster.storage.redaction import redact

TAIL_BYTES = 4096
"""How much of standard error is kept on record."""

_KEPT_CHARS = 4 * TAIL_BYTES
_LINE_BYTES = 8192

_ENCODED = re.compile(r"Output stream #\d+:\d+ \(audio\): \d+ frames encoded \((\d{1,18}) samples\)")
_BYTES_READ = re.compile(r"Statistics: (\d{1,18}) bytes read")
_REPEATED = re.compile(r"Last message repeated (\d{1,9}) times")
_CUT_OFF = re.compile(r"partial file|File ended prematurely|Truncating packet|Error during demuxing", re.IGNORECASE)
# ffmpeg 7 and later begin these lines with the track's name, [vist#0:0/h264 …] or [aist#0:1/aac …]; earlier ones name
# the track's number only, and count as picture.
_UNDECODED = r"corrupt decoded frame|Decoding error:|Error while decoding stream|Error submitting packet to decoder"
_BAD_PICTURE = re.compile(rf"^(?!\[aist).*(?:{_UNDECODED})")
_BAD_SOUND = re.compile(rf"^\[aist.*(?:{_UNDECODED})")
_NOTABLE = re.compile(rf"{_REPEATED.pattern}|{_CUT_OFF.pattern}|{_UNDECODED}", re.IGNORECASE)
"""Any of the above: most lines match none, and one search finds that out."""


@dataclass(frozen=True)
class Faults:
    """Complaints about the input that did not stop ffmpeg."""

    cut_off: int = 0
    """How often the demuxer missed bytes that the file had declared."""
    bad_pictures: int = 0
    """Frames that could not be decoded, or only with errors concealed."""
    bad_sounds: int = 0
    """Packets of sound that could not be decoded."""

    def __str__(self) -> str:
        """Those that there are, for people."""
        told = (
            (self.bad_pictures, counted(self.bad_pictures, "damaged picture")),
            (self.bad_sounds, counted(self.bad_sounds, "damaged packet", "damaged packets") + " of sound"),
            (self.cut_off, counted(self.cut_off, "place") + " where bytes are missing"),
        )
        return ", ".join(words for number, words in told if number) or "none"


class StderrReader:
    """Takes standard error as it comes. Memory is bounded, however much there is."""

    def __init__(self) -> None:
        self.bytes_read = 0
        """Bytes read from remote inputs so far."""
        self.samples: int | None = None
        """Samples a channel that were encoded of the last output with sound, once ffmpeg has ended."""
        self._pending = b""
        self._kept: deque[str] = deque()
        self._kept_chars = 0
        self._counts = {_CUT_OFF: 0, _BAD_PICTURE: 0, _BAD_SOUND: 0}
        self._counted: list[re.Pattern[str]] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > _LINE_BYTES:
            lines.append(self._pending)
            self._pending = b""
        for line in lines:
            self._take(line.decode(errors="replace").rstrip())

    def close(self) -> None:
        """Take what came after the last line break."""
        self.feed(b"\n")

    @property
    def text(self) -> str:
        """The last lines, redacted."""
        # Whole lines are redacted, then cut: half a signed address would not be recognised.
        return redact("\n".join(self._kept))

    @property
    def tail(self) -> str:
        """The last `TAIL_BYTES` bytes, redacted."""
        return self.text.encode()[-TAIL_BYTES:].decode(errors="ignore")

    @property
    def faults(self) -> Faults:
        """Complaints about the input so far."""
        return Faults(*self._counts.values())

    def _take(self, line: str) -> None:
        if not line:
            return
        if "Statistics:" in line and (statistics := _BYTES_READ.search(line)):
            self.bytes_read += int(statistics[1])
        if "[verbose]" in line:  # switched on for the statistics alone
            if "frames encoded" in line and (encoded := _ENCODED.search(line)):
                self.samples = int(encoded[1])
            return
        self._count(line)
        self._kept.append(line)
        self._kept_chars += len(line)
        while self._kept_chars > _KEPT_CHARS and len(self._kept) > 1:
            self._kept_chars -= len(self._kept.popleft())

    def _count(self, line: str) -> None:
        if not _NOTABLE.search(line):
            self._counted = []
            return
        # ffmpeg folds equal lines into one that says how often the line before came again.
        repeated = _REPEATED.search(line)
        if not repeated:
            self._counted = [pattern for pattern in self._counts if pattern.search(line)]
        for pattern in self._counted:
            self._counts[pattern] += int(repeated[1]) if repeated else 1
