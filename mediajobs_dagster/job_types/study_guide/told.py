"""What is known of a talk beside its words: title, address and chapters, as its site told them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from mediajobs_dagster.models import JsonObject, Subject, Upload
from mediajobs_dagster.study.document import plain
from mediajobs_dagster.study.model import Chapter

_MEDIA_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")
_MOST_CHAPTERS = 100


@dataclass(frozen=True)
class ToldTalk:
    """A talk as its site tells of it, or as its file is called."""

    title: str
    source: str | None
    """The address that the talk came from."""
    chapters: tuple[Chapter, ...] = ()

    @classmethod
    def of(cls, subject: Subject) -> ToldTalk:
        """What is told of an upload. What a site tells is checked: nobody vouches for it."""
        details: JsonObject = (subject.details or {}) if isinstance(subject, Upload) else {}
        title, address = details.get("title"), details.get("address")
        named = title if isinstance(title, str) and title.strip() else _MEDIA_SUFFIX.sub("", subject.title)
        origin = subject.origin if isinstance(subject, Upload) else None
        source = address if isinstance(address, str) else origin
        return cls(plain(named) or "Untitled", source, tuple(_chapters(details.get("chapters"))))


def _chapters(given: Any) -> Iterator[Chapter]:
    entries = cast("list[Any]", given)[:_MOST_CHAPTERS] if isinstance(given, list) else []
    for entry in entries:
        chapter = cast("JsonObject", entry) if isinstance(entry, dict) else {}
        start, title = chapter.get("startSeconds"), chapter.get("title")
        is_moment = isinstance(start, int | float) and math.isfinite(start) and start >= 0
        if is_moment and isinstance(title, str) and title.strip():
            yield Chapter(title=plain(title), start=float(cast("float", start)))
