"""Requests of a program that has a trace already: the header `traceparent`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from mediajobs_dagster.history.schema import jobs
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.console.client import Client
from tests.platform import Platform

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = ("traceparent", f"00-{TRACE}-{SPAN}-01")
THUMB = Thumbnail.name


def causes(media: MediaJobs) -> set[tuple[str, str | None]]:
    """Trace and cause of all jobs."""
    with media.history._database.read() as connection:
        return {(row.trace_id, row.caused_by_span) for row in connection.execute(sa.select(jobs))}


def test_jobs_belong_to_the_trace_of_the_request(client: Client, platform: Platform, clips: Clips) -> None:
    """However they are asked for."""
    upload = platform.register(clips.short())
    asked = client.post("/api/jobs", {"upload": upload.id, "types": [THUMB]}, [PARENT])
    assert (asked.status, asked.json["traceId"]) == (202, TRACE)
    sent = client.ask("POST", "/api/uploads?name=a.mp4", [PARENT], clips.no_audio().read_bytes())
    assert (sent.status, sent.json["traceId"]) == (201, TRACE)
    assert causes(platform.media) == {(TRACE, SPAN)}


def test_exports_belong_to_it_too(client: Client, platform: Platform, clips: Clips) -> None:
    """The job, and the timeline that is stored for it."""
    upload = platform.add(clips.landscape(), THUMB)
    platform.work()
    timeline = {
        "version": "create_video_v1",
        "canvas": {"width": 320, "height": 180},
        "track": [{"kind": "clip", "source": upload.id, "in": 0, "out": 1}],
    }
    answer = client.post("/api/exports", {"timeline": timeline}, [PARENT])
    assert answer.status == 202
    assert causes(platform.media) == {(upload.trace_id, None), (TRACE, SPAN)}


def test_scheduled_jobs_belong_to_it_too(client: Client, media: MediaJobs) -> None:
    """Those that are started by hand; the document says which requests take the header."""
    assert client.post("/api/schedules/history_cleanup/run", None, [PARENT]).status == 202
    assert causes(media) == {(TRACE, SPAN)}
    paths = client.get("/openapi.json").json["paths"]
    told = {
        path
        for path, methods in paths.items()
        for operation in methods.values()
        if "traceparent" in {each["name"] for each in operation.get("parameters", ())}
    }
    assert {"/api/jobs", "/api/uploads", "/api/exports", "/api/schedules/{name}/run"} <= told
    assert not any(path.endswith(("/retry", "/cancel", "/close")) for path in told)


def test_a_request_can_name_another_trace(client: Client, platform: Platform, clips: Clips) -> None:
    """That goes first; the span of the header is none of its."""
    upload, other = platform.register(clips.short()), "0af7651916cd43dd8448eb211c80319c"
    asked = client.post("/api/jobs", {"upload": upload.id, "types": [THUMB], "trace": other}, [PARENT])
    assert asked.json["traceId"] == other
    assert causes(platform.media) == {(other, None)}


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", "nonsense")],
        [("traceparent", f"00-{'0' * 32}-{SPAN}-01")],
        [("traceparent", "x" * 10_000)],
        [PARENT, PARENT],
    ],
)
def test_a_header_that_is_not_valid_counts_as_none(
    client: Client, platform: Platform, clips: Clips, headers: list[tuple[str, str]]
) -> None:
    """The request is carried out, in a new trace."""
    upload = platform.register(clips.short())
    asked = client.post("/api/jobs", {"upload": upload.id, "types": [THUMB]}, headers)
    assert asked.status == 202
    assert re.fullmatch("[0-9a-f]{32}", asked.json["traceId"])
    assert causes(platform.media) == {(asked.json["traceId"], None)}


def test_python_takes_the_header_for_a_trace_id(platform: Platform, clips: Clips) -> None:
    """Wherever one is given."""
    added = platform.media.add(clips.short(), types=[THUMB], trace_id=PARENT[1])
    platform.media.submit(added.uploads[0].upload.id, ["upload_edit_proxy_v1"], trace_id=PARENT[1])
    assert added.trace_id == TRACE
    assert causes(platform.media) == {(TRACE, SPAN)}


def test_many_files_at_once_belong_to_it(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """Those of a folder are looked at by several threads."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, clip in enumerate((clips.short(), clips.no_audio(), clips.landscape())):
        (folder / f"{number}.mp4").write_bytes(clip.read_bytes())
    platform.media.add(folder, types=[THUMB], trace_id=PARENT[1])
    assert causes(platform.media) == {(TRACE, SPAN)}


def test_pages_lead_to_the_viewer(client: Client, platform: Platform, clips: Clips) -> None:
    """Only where one is set."""
    upload = platform.add(clips.short(), THUMB)
    platform.work()
    [attempt] = platform.attempts(upload, THUMB)
    html = [("Accept", "text/html")]
    for path in (f"/attempts/{attempt.id}", f"/traces/{upload.trace_id}"):
        assert "In the trace viewer" not in client.get(path, html).text
    platform.media.__dict__["settings"] = platform.settings.model_copy(
        update={"traces_page": "https://tempo.example/trace/{traceId}"}
    )
    for path in (f"/attempts/{attempt.id}", f"/traces/{upload.trace_id}"):
        assert f'href="https://tempo.example/trace/{upload.trace_id}"' in client.get(path, html).text
