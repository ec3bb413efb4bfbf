"""yt-dlp as a library, held to what we want of it: no plug-ins, no programs, no files and no cookies of its own."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from mediajobs_dagster.errors import ExtraMissingError, RequestError, SettingsError
from mediajobs_dagster.services.downloads.bounds import bound_unpacking
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.small_files import read_small

_MAX_COOKIES = 1 << 20
_SILENCE_S = 60.0
NATIVE = frozenset({"http", "https", "m3u8", "m3u8_native", "http_dash_segments", "http_dash_segments_generator"})
"""The protocols that yt-dlp downloads by itself, by requests that go through the proxy. Others would start programs."""


def is_installed() -> bool:
    """Whether yt-dlp can be imported; does not import it."""
    return find_spec("yt_dlp") is not None


def load() -> Any:
    """The library. Raises ExtraMissingError."""
    # One of its ways to send requests changes urllib3 for the whole process: what it logs, and how it reads addresses.
    # None stands for a module that cannot be imported; yt-dlp does without it.
    sys.modules.setdefault("yt_dlp.networking._requests", cast("Any", None))
    try:
        import yt_dlp
        from yt_dlp import globals as of_all
    except ImportError as error:
        raise ExtraMissingError.of("Fetching from video sites needs", "ingest") from error
    of_all.plugin_dirs.value = []
    bound_unpacking(import_module("yt_dlp.networking._urllib"))
    _remember_files(import_module("yt_dlp.downloader.common").FileDownloader)
    return yt_dlp


def _remember_files(kind: Any) -> None:
    """Have yt-dlp's downloaders tell their YoutubeDL which files they have open.

    Those of a stream that breaks off they leave to the garbage collector, and locked until it comes.
    """
    opens = kind.sanitize_open
    if getattr(opens, "remembers", False):
        return

    def sanitize_open(self: Any, filename: str, mode: str) -> tuple[Any, str]:
        file, name = opens(self, filename, mode)
        files: list[Any] = self.ydl.open_files
        files[:] = [*(each for each in files if not each.closed), file]
        return file, name

    vars(sanitize_open)["remembers"] = True
    kind.sanitize_open = sanitize_open


def protocol_of(info: Mapping[str, Any]) -> str:
    """How yt-dlp would download what it told of, by its word or by the address."""
    load()
    from yt_dlp import utils

    told_by: Any = utils
    return str(told_by.determine_protocol(info))


@dataclass(frozen=True)
class Recognised:
    """A video, by its address alone."""

    site: str
    """yt-dlp's name of the site, in small letters."""
    external_id: str
    """Its id there."""
    is_single: bool
    """Whether it is certain that the address is of one video, not of a list."""


def recognised(address: str) -> Recognised | None:
    """Which site an address is of, found out without asking it; None: of none that yt-dlp knows.

    Raises ExtraMissingError.
    """
    load()
    from yt_dlp.extractor import gen_extractor_classes

    for each in gen_extractor_classes():
        extractor: Any = each
        if not extractor.suitable(address):
            continue
        found = None if extractor.ie_key() == "Generic" else extractor.get_temp_id(address)
        if not found:
            return None
        return Recognised(extractor.ie_key().lower(), str(found), extractor.is_single_video(address) is True)
    return None


def opened(settings: Settings, proxy: str, **more: object) -> Any:
    """A YoutubeDL that makes every request through `proxy`, and has a list `open_files` of what it writes and reads.

    Raises ExtraMissingError and SettingsError.
    """
    height = settings.ingest_max_height
    fits = f"[height<=?{height}]"
    options: dict[str, object] = {
        "proxy": proxy,
        "logger": _Silent(),
        "quiet": True,
        "noprogress": True,
        "cachedir": False,
        "remote_components": [],
        "noplaylist": True,
        "ignoreerrors": False,
        "color": "never",
        # Trying again is our business: see `VideoClient`.
        "retries": 0,
        "extractor_retries": 0,
        "fragment_retries": 0,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        "socket_timeout": _SILENCE_S,
        # A folder that does not exist: yt-dlp starts no ffmpeg, which would go past the proxy.
        "ffmpeg_location": "/nonexistent/mediajobs",
        "external_downloader": {"default": "native"},
        "hls_prefer_native": True,
        "enable_file_urls": False,
        "allow_unplayable_formats": False,
        "usenetrc": False,
        "updatetime": False,
        # The best picture that fits and the best sound; where every picture is too high, the lowest one.
        "format": f"bv*{fits}+ba/b{fits}/wv*+ba/w/ba",
        # Of the same size, what every player and every editor can decode.
        "format_sort": ["res", "fps", "vcodec:h264", "acodec:aac"],
        **_cookies(settings.ingest_cookies),
        **more,
    }
    downloader = load().YoutubeDL(options)
    downloader.open_files = []
    return downloader


def _cookies(path: Path | None) -> dict[str, object]:
    if path is None:
        return {}
    try:
        text = read_small(path, _MAX_COOKIES).decode()
    except (RequestError, UnicodeDecodeError) as error:
        raise SettingsError(f"MEDIAJOBS_INGEST_COOKIES names a file that cannot be used: {error}") from error
    return {"cookiefile": io.StringIO(text)}  # not the file itself: yt-dlp writes into it what sites send


class _Silent:
    """Takes what yt-dlp would print. What went wrong is raised."""

    def debug(self, message: str) -> None:
        """Nothing."""

    def info(self, message: str) -> None:
        """Nothing."""

    def warning(self, message: str) -> None:
        """Nothing."""

    def error(self, message: str) -> None:
        """Nothing."""
