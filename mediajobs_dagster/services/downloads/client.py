"""The client of video sites: what an address holds, and the media itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any, Self

from typing_extensions import override

from mediajobs_dagster.cancellation import pause
from mediajobs_dagster.errors import (
    AddressIsListError,
    InputTooLargeError,
    InputTooLongError,
    InternalError,
    MediaJobsError,
    SiteAnswerError,
    SiteUnavailableError,
    VideoLiveError,
    VideoProtectedError,
    VideoRefusedError,
)
from mediajobs_dagster.models import ServiceCall, utc_now
from mediajobs_dagster.services.base import ServiceClient, ServiceContext
from mediajobs_dagster.services.downloads.bounds import MEMORY_BYTES, Stopped, bound_reading, memory_bounded
from mediajobs_dagster.services.downloads.faults import fault_of
from mediajobs_dagster.services.downloads.library import NATIVE, opened, protocol_of
from mediajobs_dagster.services.downloads.proxy import FilterProxy
from mediajobs_dagster.services.downloads.told import ToldVideo, TrackOfText, text_tracks
from mediajobs_dagster.storage.redaction import redact_address

SERVICE = "video_site"
DOWNLOAD = "download"
LOOK = "look"
_LOOK_BYTES = 256 << 20
_MIB = 1 << 20
_NESTED = 3
"""Lists within lists, such as the tabs of a channel, are followed so deep."""
_LIVE = ("is_live", "is_upcoming", "post_live")

OnShare = Callable[[float | None], None]
"""Called with the share that is done, 0 to 1; None: unknown. What it raises ends the work."""


@dataclass(frozen=True)
class ListedVideo:
    """One video of a list."""

    address: str
    title: str | None
    duration_s: float | None = None
    channel: str | None = None
    is_of_site: bool = False
    """Whether a site that yt-dlp knows has told of it. If not, it may be anywhere."""


@dataclass(frozen=True)
class FetchedText:
    """Subtitles that were fetched."""

    language: str
    is_automatic: bool
    path: Path
    format: str


@dataclass(frozen=True)
class FetchedVideo:
    """A video that was fetched."""

    told: ToldVideo
    files: tuple[Path, ...]
    """One with all of it, or two: the picture and the sound."""
    is_segmented: bool
    """Whether a file was put together of the segments of a stream, so that its container has to be made anew."""
    texts: tuple[FetchedText, ...] = ()
    faults: tuple[str, ...] = ()
    """Why subtitles are missing."""


class VideoClient(ServiceClient):
    """Looks at and fetches videos, by yt-dlp behind a `FilterProxy`. Methods raise ExtraMissingError without yt-dlp."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context

    @override
    @classmethod
    def open(cls, context: ServiceContext) -> Self:
        return cls(context)

    @override
    def close(self) -> None:
        """Nothing is kept open between calls."""

    def look(self, address: str, *, limit: int) -> list[ListedVideo]:
        """The videos at an address: of a list, the first `limit`; of a video, itself.

        Raises what `fetch` does.
        """
        flat = {"extract_flat": "in_playlist", "playlistend": limit, "ignore_no_formats_error": True}
        with self._session(LOOK, address, **flat) as session:
            return session.listed(address, limit)[:limit]

    def fetch(self, address: str, folder: Path, *, on_share: OnShare) -> FetchedVideo:
        """Fetch the video at `address` into `folder`, where an earlier try may have left a part of it.

        Raises the errors of videos at their sites, InputNotMediaError, InputTooLargeError, InputTooLongError,
        AddressRefusedError, DiskFullError, DeadlineError, and the error of the cancellation.
        """
        tries = self._context.settings.service_tries
        for number in range(1, tries + 1):
            try:
                with self._session(DOWNLOAD, address, extract_flat="in_playlist") as session:
                    return session.fetched(address, folder, on_share)
            except (SiteUnavailableError, SiteAnswerError):
                if number == tries or self._context.deadline.left_s < 1.0:
                    raise
                self._pause(number)
        raise AssertionError("there is a last try")

    def _pause(self, number: int) -> None:
        seconds = min(10.0, self._context.settings.service_retry_base_s * 2.0 ** (number - 1))
        pause(seconds, self._context.cancellation, self._context.deadline)

    @contextmanager
    def _session(self, op: str, address: str, **more: object) -> Generator[_Session]:
        context, shown = self._context, redact_address(address)
        started_at, started, status = utc_now(), time.monotonic(), InternalError.code
        context.begin(SERVICE, op, shown)
        allowed, connect_s = context.settings.private_addresses, context.settings.service_connect_timeout_s
        with FilterProxy.opened(allowed, max_bytes=_LOOK_BYTES, connect_s=connect_s) as proxy:
            ender = Timer(context.deadline.left_s, proxy.close)
            ender.daemon = True
            ender.start()
            try:
                with (
                    context.cancellation.waking(proxy.close),
                    opened(context.settings, proxy.address, **more) as downloader,
                ):
                    session = _Session(context, proxy, downloader, shown)
                    with session.tidied_up(), session.translated(), memory_bounded(MEMORY_BYTES):
                        yield session
                status = "ok"
            except MediaJobsError as error:
                status = error.code
                raise
            finally:
                ender.cancel()
                context.record(
                    ServiceCall(
                        service=SERVICE,
                        op=op,
                        target=shown,
                        started_at=started_at,
                        duration_ms=round((time.monotonic() - started) * 1000),
                        status=status,
                        bytes=proxy.received,
                    )
                )


@dataclass
class _Session:
    """One use of yt-dlp."""

    context: ServiceContext
    proxy: FilterProxy
    downloader: Any
    shown: str
    """The address, without secrets."""
    is_looking: bool = True
    """Whether pages are read, and no media."""

    @contextmanager
    def tidied_up(self) -> Generator[None]:
        """Bound every answer, and close answers and files at the end.

        yt-dlp leaves those of failed tries to the garbage collector.
        """
        ask, answers = self.downloader.urlopen, list[Any]()

        def urlopen(request: Any) -> Any:
            answers[:] = [each for each in answers if not each.closed]
            try:
                answer = ask(request)
                bound_reading(answer)
                answers.append(answer)
            except Exception as error:  # of whatever kind: it is raised again
                answers.extend(each for each in (getattr(error, "response", None),) if each is not None)
                raise
            return answer

        self.downloader.urlopen = urlopen
        try:
            yield
        finally:
            for each in (*answers, *self.downloader.open_files):
                with suppress(OSError):  # a full disk was reported already
                    each.close()

    @contextmanager
    def translated(self) -> Generator[None]:
        """Raise what went wrong inside of the block as an error of the error tree."""
        try:
            yield
        except MediaJobsError:
            raise
        except Stopped:
            self.check()
            raise InputTooLargeError(
                f"{self.shown} has a page or list that takes more than {MEMORY_BYTES // _MIB} MiB of memory. Give the "
                "address of the video itself."
            ) from None
        except Exception as error:  # whatever an extractor of a thousand sites raises
            self.check()
            raise fault_of(error, self.shown) from error

    def check(self) -> None:
        """Raise why the proxy was closed, or refused something."""
        self.context.cancellation.check()
        self.context.deadline.check()
        if self.proxy.is_full:
            most = self.proxy.max_bytes // _MIB
            if self.is_looking:
                raise InputTooLargeError(
                    f"The pages of {self.shown} have more than {most:,} MiB. Give the address of the video itself."
                )
            raise InputTooLargeError(
                f"{self.shown} has more than {most:,} MiB. Raise MEDIAJOBS_INGEST_MAX_MB, or fetch a smaller one."
            )
        if self.proxy.refused:
            raise self.proxy.refused

    # --- looking -----------------------------------------------------------------------------------------------------

    def listed(self, address: str, limit: int, depth: int = 0) -> list[ListedVideo]:
        """The videos at an address, lists within lists flattened."""
        info = self.downloader.extract_info(address, download=False)
        self.check()
        if info.get("_type", "video") not in ("playlist", "multi_video"):
            return [_listed(info, address)]
        found: list[ListedVideo] = []
        for entry in info.get("entries") or ():
            if len(found) >= limit:
                break
            if not entry or not (entry.get("url") or entry.get("webpage_url")):
                continue
            each = _listed(entry, address)
            if self._is_list(entry, each.address) and depth < _NESTED:
                found += self.listed(each.address, limit - len(found), depth + 1)
            else:
                found.append(each)
        return found

    def _is_list(self, entry: Any, address: str) -> bool:
        if entry.get("_type") == "playlist":
            return True
        key = entry.get("ie_key")
        if not key or key == "Generic":
            return False
        extractor = self.downloader.get_info_extractor(key)
        is_list = "playlist" in extractor.IE_NAME or ":tab" in extractor.IE_NAME
        return is_list or extractor.is_single_video(address) is False

    # --- fetching ----------------------------------------------------------------------------------------------------

    def fetched(self, address: str, folder: Path, on_share: OnShare) -> FetchedVideo:
        """Fetch the video into the folder."""
        info = self.downloader.extract_info(address, download=False)
        self.check()
        self.is_looking, self.proxy.max_bytes = False, self.context.settings.ingest_max_mb * _MIB
        self._refuse_unwanted(info)
        formats: list[Any] = info.get("requested_formats") or [info]
        for each in formats:
            if each.get("has_drm"):
                raise VideoProtectedError(f"{VideoProtectedError.__doc__} ({self.shown})")
            if each.get("protocol") not in NATIVE:
                raise VideoRefusedError(f"{self.shown} is streamed as {each.get('protocol')}, which is not fetched.")
        meter = _Meter(formats, self.check, on_share)
        self.downloader.add_progress_hook(meter.moved)
        files: list[Path] = []
        for number, each in enumerate(formats):
            meter.number = number
            files.append(self._download(folder / f"part{number}", {**info, **each, "requested_formats": None}))
        self.downloader._progress_hooks.clear()
        texts, faults = self._texts(info, folder)
        is_segmented = any(each.get("protocol") not in ("http", "https") for each in formats)
        return FetchedVideo(ToldVideo.of(info, address), tuple(files), is_segmented, texts, faults)

    def _refuse_unwanted(self, info: Any) -> None:
        if info.get("_type", "video") != "video":
            raise AddressIsListError(f"{self.shown}: {AddressIsListError.__doc__}")
        if info.get("is_live") or info.get("live_status") in _LIVE:
            raise VideoLiveError(f"{self.shown}: {VideoLiveError.__doc__}")
        duration, most = info.get("duration"), self.context.settings.max_media_s
        if isinstance(duration, int | float) and duration > most:
            raise InputTooLongError(
                f"{self.shown} lasts {duration:.0f} s; the limit is {most:.0f} s. Raise MEDIAJOBS_MAX_MEDIA_S."
            )

    def _download(self, path: Path, info: Any) -> Path:
        is_done, _ = self.downloader.dl(str(path), info)
        self.check()
        if not is_done or not path.is_file():
            raise SiteAnswerError(f"{self.shown}: nothing was received. Try again later.")
        return path

    def _texts(self, info: Any, folder: Path) -> tuple[tuple[FetchedText, ...], tuple[str, ...]]:
        """The subtitles; one that cannot be had is no reason to do without the video."""
        texts: list[FetchedText] = []
        faults: list[str] = []
        for number, track in enumerate(text_tracks(info, self.context.settings.ingest_languages)):
            try:
                with self.translated():
                    texts.append(self._text(track, info, folder / f"text{number}"))
            except MediaJobsError as error:
                self.context.cancellation.check()
                self.context.deadline.check()
                faults.append(f"Subtitles in {track.language} are missing: {error.message}")
        return tuple(texts), tuple(faults)

    def _text(self, track: TrackOfText, info: Any, path: Path) -> FetchedText:
        if isinstance(content := track.info.get("data"), str):
            path.write_text(content)
        else:
            if (protocol := protocol_of(track.info)) not in NATIVE:
                raise VideoRefusedError(f"They are streamed as {protocol}, which is not fetched.")
            headers: dict[str, Any] = {"http_headers": info.get("http_headers") or {}}
            self._download(path, {"id": info.get("id"), "title": "", **headers, **track.info})
        return FetchedText(track.language, track.is_automatic, path, track.format)


@dataclass
class _Meter:
    """Adds up the progress of several downloads."""

    formats: list[Any]
    check: Callable[[], None]
    on_share: OnShare
    number: int = 0

    def moved(self, told: Any) -> None:
        """A hook of yt-dlp's."""
        self.check()
        sizes = [each.get("filesize") or each.get("filesize_approx") or 0 for each in self.formats]
        total = told.get("total_bytes") or told.get("total_bytes_estimate") or 0
        if told.get("fragment_count"):
            share = (told.get("fragment_index") or 0) / told["fragment_count"]
        elif total:
            share = (told.get("downloaded_bytes") or 0) / total
        else:
            self.on_share(None)
            return
        if not all(sizes):
            sizes = [1] * len(sizes)
        done = sum(sizes[: self.number]) + min(1.0, share) * sizes[self.number]
        self.on_share(done / sum(sizes))


def _listed(info: Any, address: str) -> ListedVideo:
    told = ToldVideo.of(info, info.get("url") or address)
    is_of_site = (info.get("ie_key") or info.get("extractor_key") or "Generic") != "Generic"
    return ListedVideo(told.address, told.title, told.duration_s, told.channel, is_of_site)
