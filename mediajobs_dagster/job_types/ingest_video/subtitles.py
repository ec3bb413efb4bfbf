"""Subtitles of a site as WebVTT (https://www.w3.org/TR/webvtt1/)."""

from __future__ import annotations

import re

MOST_BYTES = 16 << 20
"""A talk of a day has 3 MB of subtitles."""
_TIMES = re.compile(r"(\d{1,3}:\d\d:\d\d),(\d{3})")
_HEAD = "WEBVTT"


def as_webvtt(content: bytes, format: str) -> str | None:
    """Subtitles in `format` (`vtt` or `srt`) as WebVTT; None: they are neither."""
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    if text.startswith(_HEAD):
        return text
    if format == "vtt" or "-->" not in text:
        return None
    # SubRip writes the fraction of a second after a comma; all else that it has is WebVTT too.
    return f"{_HEAD}\n\n" + _TIMES.sub(r"\1.\2", text)
