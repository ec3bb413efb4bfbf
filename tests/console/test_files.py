"""Objects as files: by range, and never as a page that runs scripts."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from tests.clips import Clips
from tests.console.client import Client
from tests.history.factories import an_upload
from tests.platform import Platform

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def path(platform: Platform, tmp_path: Path) -> str:
    """Where the content of an upload is, 1,024 bytes."""
    return stored(platform, tmp_path, "clip.mp4")


def stored(platform: Platform, tmp_path: Path, filename: str) -> str:
    """Store an upload of that name, and return the path of its content."""
    file = tmp_path / "content"
    file.write_bytes(CONTENT)
    upload = platform.history.uploads.add(an_upload(filename=filename))
    platform.storage.put(file, upload.storage_key, content_type="x/y")
    return f"/api/uploads/{upload.id}/content"


@pytest.mark.parametrize(
    ("asked", "status", "length", "told"),
    [
        (None, 200, 1024, None),
        ("bytes=0-0", 206, 1, "bytes 0-0/1024"),
        ("bytes=1000-", 206, 24, "bytes 1000-1023/1024"),
        ("bytes=1000-9999999", 206, 24, "bytes 1000-1023/1024"),
        ("bytes=-24", 206, 24, "bytes 1000-1023/1024"),
        ("bytes=-9999", 206, 1024, "bytes 0-1023/1024"),
        ("bytes=1024-", 416, None, "bytes */1024"),
        ("bytes=-0", 416, None, "bytes */1024"),
        ("bytes=5-2", 200, 1024, None),
        ("bytes=0-1,3-4", 200, 1024, None),
        (f"bytes={','.join('0-1' for _ in range(1000))}", 200, 1024, None),
        (f"bytes=0-{'9' * 100}", 200, 1024, None),
        ("lines=0-1", 200, 1024, None),
    ],
)
def test_ranges(
    client: Client, path: str, asked: str | None, status: int, length: int | None, told: str | None
) -> None:
    """One range is a part, beyond the end there is none, and anything else is the whole."""
    answer = client.get(path, [("Range", asked)] if asked else [])
    assert (answer.status, answer.headers.get("content-range")) == (status, told)
    if length is not None:
        assert int(answer.headers["content-length"]) == length
    head = client.ask("HEAD", path, [("Range", asked)] if asked else [])
    assert (head.status, head.text) == (status, "")


def test_what_is_known_is_not_sent_again(client: Client, path: str) -> None:
    """And a part of another version is never taken for one of this."""
    etag = client.get(path).headers["etag"]
    assert client.get(path, [("If-None-Match", etag)]).status == 304
    assert client.get(path, [("Range", "bytes=0-1"), ("If-Range", etag)]).status == 206
    assert client.get(path, [("Range", "bytes=0-1"), ("If-Range", '"other"')]).status == 200


@pytest.mark.parametrize(
    ("filename", "kind", "disposition"),
    [
        ("clip.mp4", "video/mp4", "inline"),
        ("page.html", "application/octet-stream", "attachment"),
        (
            "drawing.svg",
            "application/octet-stream",
            "attachment",
        ),
        ('"; x=<script>\r\nSet-Cookie: a.mp4', "video/mp4", "inline"),
    ],
)
def test_no_file_runs_a_script(
    client: Client, platform: Platform, tmp_path: Path, filename: str, kind: str, disposition: str
) -> None:
    """Whatever it is called: only pictures, sound, video and data are shown, in a sandbox."""
    headers = client.get(stored(platform, tmp_path, filename)).headers
    assert headers["content-type"] == kind
    plain = f'; filename="{filename}"' if '"' not in filename else ""
    assert headers["content-disposition"] == f"{disposition}{plain}; filename*=UTF-8''{quote(filename, safe='')}"
    assert "set-cookie" not in headers
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_outputs_of_an_attempt_are_files(client: Client, platform: Platform, clips: Clips) -> None:
    """By their place in the manifest; there is no other."""
    upload = platform.add(clips.short(), Thumbnail.name)
    platform.work()
    (attempt,) = platform.attempts(upload, Thumbnail.name)
    path = f"/api/attempts/{attempt.id}/outputs"
    assert client.get(f"{path}/0").headers["content-type"] == "image/jpeg"
    assert client.get(f"{path}/1").json["code"] == "NOT_FOUND"
    for wrong in ("-1", "x", "99999999999999999999", "%2e%2e%2f0", "0%00"):
        assert client.get(f"{path}/{wrong}").status in (404, 422)
    platform.storage.delete(platform.current_keys(upload, Thumbnail.name)[0])
    assert client.get(f"{path}/0").json["code"] == "STORAGE_MISSING"
