"""What an attempt made, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mediajobs_dagster.attempts.manifest import OutputRecord
from mediajobs_dagster.console.pages.drawings.curves import wave_path
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.answers import AttemptDetails

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_FILMS = (".mp4", ".m4v", ".mov", ".webm")
_SOUNDS = (".mp3", ".m4a", ".wav", ".ogg", ".flac")
_TEXTS = (".srt", ".txt", ".md")
_SHOWN_BYTES = 4096
"""How much of a text is shown, bytes; the rest is behind its link."""


@dataclass(frozen=True)
class Shown:
    """One output."""

    output: OutputRecord
    address: str
    kind: str
    """picture, film, sound, text or file."""
    name: str
    text: str = ""
    """The beginning of a text."""


@dataclass(frozen=True)
class Wave:
    """A waveform."""

    path: str
    seconds: float


@dataclass(frozen=True)
class Result:
    """All of them, with the waveform of the sound."""

    shown: tuple[Shown, ...]
    wave: Wave | None
    is_replaced: bool


def result_of(media: MediaJobs, found: AttemptDetails) -> Result:
    """What to look at of an attempt. A storage that does not answer takes only waveform and texts away."""
    outputs = found.manifest.outputs if found.manifest else ()
    shown = tuple(_shown(found.attempt.id, number, each) for number, each in enumerate(outputs))
    if not found.is_replaced:
        shown = tuple(_with_text(media, each) if each.kind == "text" else each for each in shown)
    return Result(shown, None if found.is_replaced else _wave(media, found, shown), found.is_replaced)


def _shown(attempt_id: str, number: int, output: OutputRecord) -> Shown:
    name = PurePosixPath(output.key).name
    ending = PurePosixPath(name).suffix.lower()
    kinds = {"picture": _PICTURES, "film": _FILMS, "sound": _SOUNDS, "text": _TEXTS}
    kind = next((each for each, endings in kinds.items() if ending in endings), "file")
    return Shown(output, f"/api/attempts/{attempt_id}/outputs/{number}", kind, name)


def _with_text(media: MediaJobs, shown: Shown) -> Shown:
    try:
        stat = media.storage.stat(shown.output.key)
        begin = media.storage.read_part(stat, 0, min(stat.bytes, _SHOWN_BYTES)) if stat.bytes else b""
    except MediaJobsError:
        return shown
    # A letter that is cut in two at the end is left out.
    more = "\n…" if stat.bytes > len(begin) else ""
    return replace(shown, text=begin.decode(errors="ignore").strip() + more)


def _wave(media: MediaJobs, found: AttemptDetails, shown: tuple[Shown, ...]) -> Wave | None:
    if not shown or all(each.kind == "picture" for each in shown):
        return None
    try:
        envelope = media.envelope(found.attempt)
    except MediaJobsError:
        return None
    return Wave(wave_path(envelope.points), envelope.seconds) if envelope else None
