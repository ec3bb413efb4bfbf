"""What the download left in the scratch folder, what has to be done to it, and the outputs that it becomes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediajobs_dagster.job_types.ingest_video.containers import content_type_of
from mediajobs_dagster.job_types.plan import Expected, Output, Run, Step
from mediajobs_dagster.media.command import Command, Input
from mediajobs_dagster.media.command import Output as Made
from mediajobs_dagster.models import JsonObject, UploadRole, Video

_RECORD = "download.json"
_LONGEST_NAME = 150
_UNFIT = re.compile(r"[\x00-\x1f\x7f/\\\s]+")
_MP4, _WEBM, _ANY = "mp4", "webm", "mkv"


@dataclass(frozen=True)
class LeftText:
    """Subtitles in the folder."""

    language: str
    is_automatic: bool
    filename: str


@dataclass(frozen=True)
class LeftVideo:
    """A video in the folder, as one file or as a picture and its sound."""

    filenames: tuple[str, ...]
    suffixes: tuple[str, ...]
    """Of what they are, by how they begin."""
    is_segmented: bool
    told: JsonObject
    texts: tuple[LeftText, ...] = ()

    def write(self, folder: Path) -> None:
        """Leave word of it for the steps that follow."""
        kept = {
            "filenames": self.filenames,
            "suffixes": self.suffixes,
            "isSegmented": self.is_segmented,
            "told": self.told,
            "texts": [[each.language, each.is_automatic, each.filename] for each in self.texts],
        }
        (folder / _RECORD).write_text(json.dumps(kept))

    @classmethod
    def read(cls, folder: Path) -> LeftVideo:
        """What `write` has left."""
        kept: Any = json.loads((folder / _RECORD).read_text())
        texts = tuple(LeftText(*each) for each in kept["texts"])
        return cls(tuple(kept["filenames"]), tuple(kept["suffixes"]), kept["isSegmented"], kept["told"], texts)

    @property
    def is_whole(self) -> bool:
        """Whether the one file is as it should be."""
        return len(self.filenames) == 1 and not self.is_segmented

    @property
    def suffix(self) -> str:
        """Of the file that becomes an upload."""
        if self.is_whole:
            return self.suffixes[0]
        if all(each in ("mp4", "m4a", "ts", "mov") for each in self.suffixes):
            return _MP4
        return _WEBM if all(each == _WEBM for each in self.suffixes) else _ANY

    @property
    def filename(self) -> str:
        """Of that file in the folder."""
        return f"source.{self.suffix}"


def further_steps(folder: Path) -> Sequence[Step]:
    """Put picture and sound, or the segments of a stream, into one container; nothing is encoded."""
    left = LeftVideo.read(folder)
    if left.is_whole:
        return ()
    inputs = tuple(Input(name) for name in left.filenames)
    # A file of segments has all of its tracks; else the first has the picture, the second the sound.
    tracks = ("0:v:0", "1:a:0") if len(inputs) == 2 else ("0:v:0?", "0:a:0?")
    maps = tuple(part for track in tracks for part in ("-map", track))
    # The index at the front, as those who read by range want it.
    front = ("-movflags", "+faststart") if left.suffix == _MP4 else ()
    lasts = left.told.get("durationSeconds")
    made = Made(left.filename, (*maps, "-c", "copy", *front))
    return (Run(Command(inputs=inputs, outputs=(made,), media_seconds=lasts)),)


def outputs_of(video: Video, key_folder: str, folder: Path) -> tuple[Output, ...]:
    """The file and its subtitles; the file becomes an upload, which keeps what its site told of it."""
    left = LeftVideo.read(folder)
    texts = [(each, f"subtitles.{each.language}.vtt") for each in left.texts]
    details: JsonObject = {
        "videoId": video.id,
        "site": video.site,
        "externalId": video.external_id,
        **left.told,
        "subtitles": [
            {"language": each.language, "isAutomatic": each.is_automatic, "key": f"{key_folder}/{name}"}
            for each, name in texts
        ],
    }
    source = Output(
        left.filename,
        f"{key_folder}/{left.filename}",
        content_type_of(left.suffix),
        Expected(),
        becomes=UploadRole.SOURCE,
        title=name_of(str(left.told.get("title") or video.title)),
        details=details,
    )
    return (source, *(Output(each.filename, f"{key_folder}/{name}", "text/vtt") for each, name in texts))


def name_of(title: str) -> str:
    """A title as the name of a file: without what separates folders, and not too long."""
    return _UNFIT.sub(" ", title).strip(" .")[:_LONGEST_NAME].strip() or "video"
