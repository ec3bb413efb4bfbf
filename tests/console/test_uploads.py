"""Media added by the HTTP API: as a file, by key, by address; and what is refused."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote, urlsplit

import pytest

from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.console.received import room
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.orchestration.outside import FromDagster
from tests.clips import Clips
from tests.console.client import Client
from tests.console.conftest import dagster_ui
from tests.platform import Platform
from tests.servers.asgi import Answer, serving

THUMB = Thumbnail.name
RAW = ("Content-Type", "application/octet-stream")


def send_file(client: Client, content: bytes, query: str = "name=clip.mp4") -> Answer:
    """Send a file as the body."""
    return client.ask("POST", f"/api/uploads?{query}", [RAW], content)


def received(platform: Platform) -> list[str]:
    """The files and folders that lie in the folder for files that arrive; they may go meanwhile."""
    return [name for _, folders, files in os.walk(platform.settings.scratch / "received") for name in folders + files]


def test_a_file_is_added_and_worked_on(client: Client, platform: Platform, clips: Clips) -> None:
    """Its content is stored as it was sent, and nothing is left on the way; sent again, it is the same upload."""
    content = clips.short().read_bytes()
    first, again = (send_file(client, content, f"name=Ferien%20am%20See.mp4&types={THUMB}") for _ in range(2))
    assert (first.status, first.json["uploads"][0]["filename"]) == (201, "Ferien am See.mp4")
    assert [upload["created"] for each in (first, again) for upload in each.json["uploads"]] == [True, False]
    (upload,) = platform.media.uploads()
    stored = client.get(f"/api/uploads/{upload.id}/content")
    assert int(stored.headers["content-length"]) == len(content)
    assert hashlib.sha256(platform.storage.read(upload.storage_key)).digest() == hashlib.sha256(content).digest()
    platform.work()
    shown = client.get(f"/api/uploads/{upload.id}").json
    assert ([job["status"] for job in shown["jobs"]], len(shown["outputs"])) == (["completed"], 1)
    assert received(platform) == []


def test_an_unknown_type_is_refused_before_the_file_has_arrived(client: Client) -> None:
    """Although most of it is still on its way."""
    parts = urlsplit(client.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        target = "/api/uploads?name=a.mp4&types=nosuch"
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        connection.sendall(head.encode() + b"some")
        assert connection.recv(12) == b"HTTP/1.1 422"


def test_a_file_may_come_in_pieces_and_named_by_a_header(client: Client, platform: Platform) -> None:
    """Without a length, larger than what is kept in memory at once."""
    parts = urlsplit(client.url)
    piece = b"x" * 300_000
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        head = (
            "POST /api/uploads?onlyRegister=true HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"X-Filename: {quote('ö.bin')}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(head.encode())
        for _ in range(10):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 201"
    (upload,) = platform.media.uploads()
    assert (upload.filename, upload.bytes) == ("ö.bin", 3_000_000)
    assert platform.media.jobs() == []


def test_a_sender_that_breaks_off_leaves_nothing(client: Client, platform: Platform) -> None:
    """Neither an upload nor a file."""
    parts = urlsplit(client.url)
    head = b"POST /api/uploads?name=a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(head + b"x" * 100_000)
        while not received(platform):
            assert client.get("/healthz").status == 200
    while received(platform):
        assert client.get("/healthz").status == 200
    assert platform.media.uploads() == []


@pytest.mark.parametrize(
    ("query", "content", "status", "code"),
    [
        ("", b"x", 422, "REQUEST_INVALID"),
        ("name=..", b"x", 422, "REQUEST_INVALID"),
        ("name=a%00b", b"x", 422, "REQUEST_INVALID"),
        (f"name={'x' * 300}", b"x", 422, "REQUEST_INVALID"),
        ("name=a.mp4", b"", 422, "REQUEST_INVALID"),
        ("name=a.mp4&types=unknown", b"x", 422, "REQUEST_INVALID"),
        ("name=a.mp4&nonsense=1", b"x", 422, "REQUEST_INVALID"),
    ],
)
def test_a_file_that_cannot_be_named_or_used_is_refused(
    client: Client, platform: Platform, query: str, content: bytes, status: int, code: str
) -> None:
    """And nothing is stored."""
    answer = send_file(client, content, query)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert (platform.media.uploads(), received(platform)) == ([], [])


def test_a_path_in_a_name_is_left_out(client: Client, platform: Platform) -> None:
    """Of either kind."""
    for name in ("../../etc/passwd", "C:\\films\\a.mp4"):
        assert send_file(client, b"x", f"name={quote(name)}&onlyRegister=true").status == 201
    assert {each.filename for each in platform.media.uploads()} == {"passwd", "a.mp4"}


def test_a_form_is_refused(client: Client) -> None:
    """It would have to be read to its end to find the file in it."""
    answer = client.ask("POST", "/api/uploads?name=a", [("Content-Type", "multipart/form-data; boundary=x")], "--x--")
    assert (answer.status, answer.json["code"]) == (415, "MEDIA_TYPE_UNSUPPORTED")


def test_a_file_beyond_the_limit_is_refused(open_platform: Callable[..., Platform], outside: FromDagster) -> None:
    """Before it is read, where its size is told; and while it is, where not."""
    platform = open_platform(max_upload_mb=1)
    with serving(console_app(platform.media, outside, dagster_ui)) as url:
        client = Client(url)
        answer = send_file(client, b"x" * (1 << 20 | 1))
        assert (answer.status, answer.json["code"]) == (413, "REQUEST_TOO_LARGE")
        chunks = b"".join(b"%x\r\n%s\r\n" % (1 << 19, b"x" * (1 << 19)) for _ in range(3)) + b"0\r\n\r\n"
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(
                b"POST /api/uploads?name=a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            connection.sendall(chunks)
            assert connection.recv(12) == b"HTTP/1.1 413"
    assert received(platform) == []


def test_a_full_disk_is_told_before_the_file_is_read(
    open_platform: Callable[..., Platform], outside: FromDagster
) -> None:
    """What has to stay free counts as taken."""
    platform = open_platform(scratch_reserve_mb=10**9)
    platform.settings.scratch.mkdir(parents=True)
    assert room(platform.settings) == 0
    with serving(console_app(platform.media, outside, dagster_ui)) as url:
        answer = send_file(Client(url), b"x")
    assert (answer.status, answer.json["code"]) == (507, "DISK_FULL")


def test_an_object_of_the_storage_is_added(client: Client, platform: Platform, clips: Clips) -> None:
    """By its key, and where it lies; a second time it is the same upload."""
    platform.storage.put(clips.short(), "incoming/one.mp4", content_type="video/mp4")
    body = {"key": "incoming/one.mp4", "types": []}
    first, again = (client.post("/api/uploads", body) for _ in range(2))
    assert [each.json["uploads"][0]["created"] for each in (first, again)] == [True, False]
    (upload,) = platform.media.uploads()
    assert (upload.storage_key, upload.filename) == ("incoming/one.mp4", "one.mp4")
    assert upload.media_info


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"key": "nothing/here"}, 404, "STORAGE_MISSING"),
        ({"key": "../../../etc/passwd"}, 422, "KEY_REFUSED"),
        ({"key": "uploads/01a21e93-82f2-75f5-952e-fdf8d34055a4/source"}, 422, "REQUEST_INVALID"),
        ({"key": "/etc/passwd"}, 422, "KEY_REFUSED"),
        ({"key": "a", "address": "https://example.com/a"}, 422, "REQUEST_INVALID"),
        ({}, 422, "REQUEST_INVALID"),
        ({"address": "file:///etc/passwd"}, 422, "REQUEST_INVALID"),
        ({"address": "http://169.254.169.254/latest/meta-data"}, 422, "ADDRESS_REFUSED"),
        ({"address": "http://[::1]/"}, 422, "ADDRESS_REFUSED"),
        ({"address": "http://10.0.0.1/a.mp4"}, 422, "ADDRESS_REFUSED"),
    ],
)
def test_what_lies_nowhere_or_where_it_must_not_is_refused(
    client: Client, platform: Platform, body: dict[str, object], status: int, code: str
) -> None:
    """And nothing is registered."""
    answer = client.post("/api/uploads", body)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert platform.media.uploads() == []


def test_an_address_is_downloaded(client: Client, platform: Platform, clips: Clips) -> None:
    """Its name is the end of its path; what it redirects to is checked too."""

    class Site(SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(clips.short().parent))  # pyright: ignore[reportArgumentType]

        def do_GET(self) -> None:
            if self.path != "/inward":
                super().do_GET()
                return
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{site.server_port}"
        added = client.post("/api/uploads", {"address": f"{address}/short.mp4", "types": []})
        assert (added.status, added.json["uploads"][0]["filename"]) == (201, "short.mp4")
        assert client.post("/api/uploads", {"address": f"{address}/inward"}).json["code"] == "ADDRESS_REFUSED"
        assert client.post("/api/uploads", {"address": f"{address}/nothing"}).status == 502
        site.shutdown()
    assert received(platform) == []


def test_an_upload_is_deleted(client: Client, platform: Platform, clips: Clips) -> None:
    """After it was said what would go."""
    upload = platform.register(clips.short())
    path = f"/api/uploads/{upload.id}"
    assert client.ask("DELETE", f"{path}?dryRun=true").json["objects"] == [upload.storage_key]
    assert client.get(path).status == 200
    assert client.ask("DELETE", path).status == 200
    assert client.get(path).status == 404
