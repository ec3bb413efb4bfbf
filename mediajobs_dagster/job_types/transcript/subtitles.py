"""Subtitles inside of a media file, and subtitles that came with it, as transcripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

from mediajobs_dagster.errors import InputUnsupportedError, StorageMissingError
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.transcript.documents import write_documents
from mediajobs_dagster.models import MediaInfo, SubtitleStream, Upload
from mediajobs_dagster.transcripts.model import Method
from mediajobs_dagster.transcripts.reading import transcript_of
from mediajobs_dagster.transcripts.subtitles import CaptionsError, Cue, Format, decode_captions, read_captions

EMBEDDED = "embedded.vtt"
"""What ffmpeg makes of the subtitles inside of the file, in the scratch folder."""
_MOST_BYTES = 16 << 20
"""A talk of a day has 3 MB of subtitles."""
_FORMATS: dict[str, Literal["srt", "vtt"]] = {".srt": "srt", ".vtt": "vtt"}
_TWO_LETTERS = {
    # Containers name languages by ISO 639-2, everybody else by the two letters of ISO 639-1.
    "eng": "en",
    "deu": "de",
    "ger": "de",
    "fra": "fr",
    "fre": "fr",
    "spa": "es",
    "ita": "it",
    "por": "pt",
    "nld": "nl",
    "dut": "nl",
    "rus": "ru",
    "ukr": "uk",
    "pol": "pl",
    "ces": "cs",
    "cze": "cs",
    "tur": "tr",
    "ara": "ar",
    "heb": "he",
    "hin": "hi",
    "zho": "zh",
    "chi": "zh",
    "jpn": "ja",
    "kor": "ko",
    "swe": "sv",
    "dan": "da",
    "nor": "no",
    "fin": "fi",
    "ell": "el",
    "gre": "el",
    "hun": "hu",
    "ron": "ro",
    "rum": "ro",
    "vie": "vi",
    "tha": "th",
    "ind": "id",
    "fas": "fa",
    "per": "fa",
    "bul": "bg",
    "hrv": "hr",
    "slk": "sk",
}
_UNKNOWN = ("", "und", "mul", "zxx", "mis")


@dataclass(frozen=True)
class StoredSubtitles:
    """Subtitles in the storage that came with an upload."""

    key: str
    language: str | None
    format: Format


def tag_of(language: str | None) -> str | None:
    """A tag of BCP 47 for what a container says of a track's language; None where it says nothing."""
    # Sites call captions that they made of the sound itself en-orig.
    named = (language or "").strip().removesuffix("-orig")
    return None if named.lower() in _UNKNOWN else _TWO_LETTERS.get(named.lower(), named)


def is_in(language: str | None, wanted: str | None) -> bool:
    """Whether subtitles in `language` will do where `wanted` is asked for; en-GB will for en."""
    if wanted is None:
        return True
    have = tag_of(language)
    return have is not None and have.lower().split("-")[0] == (tag_of(wanted) or "").lower().split("-")[0]


def chosen_stream(info: MediaInfo, language: str | None) -> SubtitleStream | None:
    """The subtitles inside of a file to take, in that language if one is given; None where there are none as text.

    Those that the file marks as the ones to show come first. Forced ones only tell of signs and foreign speech.
    """
    spoken = tag_of(info.main_audio.language) if info.main_audio else None
    fit = [each for each in info.subtitles if each.is_text and not each.is_forced and is_in(each.language, language)]
    return min(
        fit,
        key=lambda each: (not is_in(each.language, language or spoken), not each.is_default, each.index),
        default=None,
    )


def stored_subtitles(upload: Upload, language: str | None) -> Sequence[StoredSubtitles]:
    """The subtitles that came with an upload, in that language if one is given, the best first.

    Those in the language that is spoken go before translations, those that people wrote before a site's own.
    """
    details = upload.details or {}
    spoken = language or details.get("language")
    listed = cast("list[dict[str, Any]]", details.get("subtitles") or [])
    fit = [each for each in listed if is_in(each.get("language"), language)]
    fit.sort(key=lambda each: (not is_in(each.get("language"), spoken), bool(each.get("isAutomatic"))))
    return tuple(_stored(fit))


def _stored(listed: Iterable[dict[str, Any]]) -> Iterator[StoredSubtitles]:
    for each in listed:
        key = str(each["key"])
        if kind := _FORMATS.get(PurePosixPath(key).suffix.lower()):
            yield StoredSubtitles(key, each.get("language"), kind)


def has_cues(path: Path) -> bool:
    """Whether a WebVTT file that ffmpeg made says anything."""
    try:
        return bool(_cues(_content(path), "vtt"))
    except (CaptionsError, FileNotFoundError):
        return False


def write_embedded(stream: SubtitleStream, duration_seconds: float, bench: Bench) -> None:
    """Make the transcript of the subtitles inside of the file. Raises InputUnsupportedError."""
    try:
        _write(
            bench, _content(bench.folder / EMBEDDED), "vtt", Method.EMBEDDED, tag_of(stream.language), duration_seconds
        )
    except (CaptionsError, FileNotFoundError) as error:
        raise InputUnsupportedError(
            f"Track {stream.index} of the input, subtitles in {stream.codec}, cannot be read: {error}"
        ) from error


def write_stored(stored: StoredSubtitles, duration_seconds: float, bench: Bench, *, is_last: bool) -> None:
    """Make the transcript of subtitles in the storage.

    Unless they are the last that words can come from, subtitles that are gone or cannot be read leave a note and no
    transcript. Raises InputUnsupportedError, and StorageError and its kinds.
    """
    try:
        content = bench.installation.open_storage().read(stored.key)
        _write(bench, content, stored.format, Method.SUBTITLES, tag_of(stored.language), duration_seconds)
    except StorageMissingError as error:
        if is_last:
            raise
        bench.note(f"The subtitles that came with the input are gone: {error.message} So its sound was listened to.")
    except CaptionsError as error:
        told = f"The subtitles that came with the input cannot be read: {error}"
        if is_last:
            raise InputUnsupportedError(f"{told} Without a method its sound is listened to, if any.") from error
        bench.note(f"{told} So its sound was listened to.")


def _write(
    bench: Bench, content: bytes, kind: Format, method: Method, language: str | None, duration_seconds: float
) -> None:
    cues = _cues(content, kind)
    transcript = transcript_of(cues, method=method, language=language, duration_seconds=duration_seconds)
    write_documents(bench, transcript)


def _content(path: Path) -> bytes:
    if path.stat().st_size > _MOST_BYTES:
        raise CaptionsError(f"There are more than {_MOST_BYTES >> 20} MiB of them; no talk has so many.")
    return path.read_bytes()


def _cues(content: bytes, kind: Format) -> tuple[Cue, ...]:
    return read_captions(decode_captions(content), kind)
