"""Which videos an address means, each with a site and an id there that are the same whenever it is asked for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from mediajobs_dagster.errors import AddressRefusedError, RequestError
from mediajobs_dagster.job_types.ingest_video.containers import is_file_address
from mediajobs_dagster.models import FoundVideo
from mediajobs_dagster.services.addresses import Networks, check_number
from mediajobs_dagster.services.downloads.client import ListedVideo, VideoClient
from mediajobs_dagster.services.downloads.library import recognised
from mediajobs_dagster.storage.redaction import redact_address

S3 = "s3"
FOUND_BY = "ingest"
_LONGEST = 4000
_STRANGE = 5
"""After so many addresses that yt-dlp knows nothing of, no more of their host are tried."""
_PORTS = {"http": 80, "https": 443}


def videos_at(address: str, client: VideoClient, *, allowed: Networks, limit: int) -> Iterator[FoundVideo]:
    """The videos that an address means: one, or the first `limit` of a list. A site is asked only where it has to be.

    Raises RequestError for what is no address, AddressRefusedError, ExtraMissingError, and what `VideoClient.look`
    raises.
    """
    parts = checked(address, allowed)
    if parts.scheme == S3 or is_file_address(address):
        yield _video(ListedVideo(address, None), address)
        return
    known = recognised(address)
    if known and known.is_single:
        yield _video(ListedVideo(address, None), address, known.site, known.external_id)
        return
    strange: Counter[str] = Counter()
    for each in client.look(address, limit=limit):
        parts = checked(each.address, allowed)
        if parts.scheme == S3:  # our credentials read it, and whoever wrote the list is nobody that we know
            raise AddressRefusedError(f"{redact_address(address)} lists an object of S3. Name that one yourself.")
        host = parts.hostname or ""
        # To find out whether yt-dlp knows an address takes milliseconds, and a feed has ten thousand of one host.
        may_be_known = each.is_of_site or (strange[host] < _STRANGE and not is_file_address(each.address))
        known = recognised(each.address) if may_be_known else None
        strange[host] += known is None
        yield _video(each, address, known.site, known.external_id) if known else _video(each, address)


def video_of(address: str) -> FoundVideo:
    """The video at an address of which nothing is known, and which may turn out to be a list."""
    return _video(ListedVideo(address.strip(), None), address)


def checked(address: str, allowed: Networks) -> SplitResult:
    """The parts of an address that may be fetched from. Raises RequestError and AddressRefusedError."""
    try:
        parts = urlsplit(address.strip())
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise RequestError(f"{address[:200]!r} is not a valid address: {error}.") from error
    shown = redact_address(address[:200])
    if len(address) > _LONGEST or any(each.isspace() or not each.isprintable() for each in address):
        raise RequestError(f"{shown} is not a valid address. Give it without spaces, at most {_LONGEST} characters.")
    if parts.scheme == S3:
        if not host or not parts.path.strip("/") or parts.path.endswith("/"):
            raise RequestError(f"{shown} names no object. Give s3://bucket/key; `mediajobs add` takes whole folders.")
        return parts
    if parts.scheme not in _PORTS or not host:
        raise RequestError(
            f"{shown} is no http://, https:// or s3:// address. `mediajobs add` takes files and folders."
        )
    if parts.username or parts.password:
        raise RequestError(f"{shown} has a name or a password in it, which would be kept. Leave them out.")
    check_number(host, allowed)
    return parts


def _video(listed: ListedVideo, asked: str, site: str | None = None, external_id: str | None = None) -> FoundVideo:
    """A video; of a plain address the site is the host, and the id there a digest of the address."""
    parts = urlsplit(listed.address)
    port = "" if parts.port in (None, _PORTS.get(parts.scheme)) else f":{parts.port}"
    host = S3 if parts.scheme == S3 else f"{parts.hostname}{port}"
    return FoundVideo(
        site=site or host,
        external_id=external_id or hashlib.sha256(_normal(parts, port).encode()).hexdigest()[:32],
        address=listed.address,
        title=listed.title or PurePosixPath(unquote(parts.path)).name or redact_address(listed.address),
        channel=listed.channel,
        duration_seconds=listed.duration_s,
        found_by=FOUND_BY,
        found_in=redact_address(asked),
    )


def _normal(parts: SplitResult, port: str) -> str:
    """An address in the one form that all ways to write it have; the part after # never reaches a server."""
    return urlunsplit((parts.scheme.lower(), f"{parts.hostname}{port}", parts.path or "/", parts.query, ""))


def distinct(videos: Iterable[FoundVideo]) -> list[FoundVideo]:
    """Each video once, in their order."""
    return list({(each.site, each.external_id): each for each in reversed(list(videos))}.values())[::-1]
