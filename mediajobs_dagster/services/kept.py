"""Answers that are kept until the next time, so that a service need not send again what has not changed.

Each answer lies in a file of its own, together with what the service calls it (ETag, Last-Modified; RFC 9110, section
8.8). Without the file everything is fetched anew: nothing but time is lost with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mediajobs_dagster.services.answers import HttpAnswer

_MOST = 200
"""Answers that are kept; the one that was used least lately goes first."""
_HEADERS = ("ETag", "Last-Modified", "Content-Type")
_HEAD_BYTES = 65536


@dataclass(frozen=True)
class KeptAnswer:
    """An answer of an earlier time, and where it lies."""

    path: Path
    headers: Mapping[str, str]
    """Those of `_HEADERS` that it had; none if nothing is kept."""
    body: bytes = b""

    @classmethod
    def read(cls, folder: Path, url: str, headers: Mapping[str, str], max_bytes: int) -> KeptAnswer:
        """What is kept in `folder` of a GET of `url` with those headers; empty if nothing is, or it was damaged."""
        asked = json.dumps([url, sorted(headers.items())])
        path = folder / hashlib.sha256(asked.encode()).hexdigest()
        try:
            with path.open("rb") as file:
                head: dict[str, str] = json.loads(file.readline(_HEAD_BYTES))
                body = file.read(max_bytes + 1)
            if len(body) > max_bytes or head.pop("sha256") != hashlib.sha256(body).hexdigest():
                return cls(path, {})
            path.touch()
        except (OSError, ValueError, KeyError, AttributeError, TypeError):  # none, or a file that is not ours
            return cls(path, {})
        return cls(path, head, body)

    @property
    def conditions(self) -> dict[str, str]:
        """The headers that ask for another answer than this one."""
        names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
        return {condition: self.headers[name] for name, condition in names.items() if name in self.headers}

    def replace_by(self, answer: HttpAnswer) -> None:
        """Keep `answer` from now on, if the service gave it a name by which to ask."""
        head = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
        with contextlib.suppress(OSError):  # a full disk: it is fetched whole again the next time
            if not head.keys() - {"Content-Type"}:
                self.path.unlink(missing_ok=True)
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256(answer.body).hexdigest()
            _write(self.path, json.dumps({**head, "sha256": digest}).encode() + b"\n" + answer.body)
            _remove_oldest(self.path.parent)


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)  # readable by its owner only: a feed may be private
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove_oldest(folder: Path) -> None:
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_MOST:]:
        path.unlink(missing_ok=True)
