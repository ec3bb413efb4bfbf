"""Makes the references for the media of clips, so that the uploads are found."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any
from urllib.parse import unquote, urlsplit

from mediajobs_dagster.timelines.otio.library import our_metadata
from mediajobs_dagster.timelines.otio.notes import Notes, named, quoted


class MediaNames:
    """The references of the clips in one file."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        """Relative paths are relative to `folder`."""
        self._folder, self._notes = folder, notes

    def source(self, clip: Any) -> str | None:
        """The reference to the clip's media; None, with a note, if it has none."""
        media = clip.media_reference
        kind = media.schema_name() if media else "MissingReference"
        url = media.target_url if kind == "ExternalReference" else None
        ours = our_metadata(media) if media else {}
        if ours.get("upload") and ours.get("target_url") == url:
            return str(ours["upload"])  # if it was not linked to something else since
        if url:
            return self.located(url)
        if kind not in ("MissingReference", "ExternalReference"):
            what = getattr(media, "generator_kind", None) or kind
            self._notes.add(f"{named(clip)} shows {quoted(what)} instead of a file: it is left empty.")
            return None
        upload = our_metadata(clip).get("upload")
        name = str(upload) if upload else (media and media.name) or clip.name
        if not name:
            self._notes.add(f"{named(clip)} refers to no media and is left empty.")
            return None
        if not upload:
            self._notes.add(f"{named(clip)} refers to no media: it is looked up by the name {quoted(name)}.")
        return name

    def located(self, url: str) -> str:
        """A reference to the media at `url`: its path or address if it is reachable, else its name."""
        try:
            address = urlsplit(url) if "://" in url else None
        except ValueError:  # a broken one
            return url
        if address and address.scheme != "file":
            return url
        path = Path(unquote(address.path) if address else url)
        for place in (path, Path(unquote(str(path)))):
            place = self._folder / place  # an absolute path stays what it is
            if _exists(place):
                return str(place.resolve())
        name = PureWindowsPath(path).name or path.name or url  # accepts both kinds of slashes
        self._notes.add(f"{quoted(str(path))} is not on this machine: it is looked up by its name, {quoted(name)}.")
        return name


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # not a usable path: too long, or with a NUL in it
        return False
