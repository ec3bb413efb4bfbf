"""Which container a file has, by how it begins; the name that a site gives it says little."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from mediajobs_dagster.errors import InputEmptyError, InputNotMediaError

HEAD_BYTES = 4096
SUFFIXES = ("mp4", "webm", "mkv", "mov", "ts", "avi", "flv", "ogg", "mp3", "m4a", "flac", "wav", "mpg", "media")
"""The suffixes that a fetched file gets."""
MEDIA_SUFFIXES = frozenset(
    {
        *SUFFIXES[:-1],
        *("m4v", "3gp", "mpeg", "m2ts", "mts", "wmv", "asf", "ogv", "oga", "opus", "aac", "aif", "aiff", "mxf", "wma"),
    }
)
"""An address that ends with one of them is taken for that of a file."""
_TYPES = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "ts": "video/mp2t",
    "avi": "video/x-msvideo",
    "flv": "video/x-flv",
    "ogg": "video/ogg",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "mpg": "video/mpeg",
    "media": "video/octet-stream",
}
_TS_PACKET = 188


def is_file_address(address: str) -> bool:
    """Whether an address is that of a media file, by the end of its path."""
    return PurePosixPath(urlsplit(address).path).suffix.lower().removeprefix(".") in MEDIA_SUFFIXES


def content_type_of(suffix: str) -> str:
    """The content type of a file with one of SUFFIXES."""
    return _TYPES[suffix]


def suffix_of(head: bytes, what: str) -> str:
    """The suffix for a file that begins with `head`. Raises InputEmptyError, and InputNotMediaError for a page or text.

    What is not recognised gets the suffix `media`: ffprobe decides on it.
    """
    if not head:
        raise InputEmptyError(f"{what} is empty.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<mpd", b"<head", b"<body", b"#extm3u", b"{", b"[")):
        raise InputNotMediaError(f"{what} is a page or a text, not media. Give the address of the file itself.")
    if head[4:8] == b"ftyp":
        return {b"qt  ": "mov", b"M4A ": "m4a"}.get(head[8:12], "mp4")
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "webm" if b"webm" in head[:64] else "mkv"
    if head.startswith(b"RIFF"):
        return "wav" if head[8:12] == b"WAVE" else "avi"
    if head[:1] == b"G" and head[_TS_PACKET : _TS_PACKET + 1] in (b"G", b""):
        return "ts"
    for begin, suffix in (
        *((b"OggS", "ogg"), (b"fLaC", "flac"), (b"FLV", "flv"), (b"ID3", "mp3"), (b"\xff\xfb", "mp3")),
        *((b"\x00\x00\x01\xba", "mpg"), (b"\x00\x00\x01\xb3", "mpg")),
    ):
        if head.startswith(begin):
            return suffix
    return "media"
