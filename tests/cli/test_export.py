"""`mediajobs export`: asking, looking beforehand, and hearing all that is wrong."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.video_export.job_type import VideoExport
from mediajobs_dagster.models import JobStatus
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform


@pytest.fixture
def timeline(mediajobs: Call, clips: Clips, tmp_path: Path) -> Path:
    """A timeline file over a video and an image that were added by their names."""
    (tmp_path / "talk.mp4").write_bytes(clips.landscape().read_bytes())
    Image.new("RGB", (64, 64), "red").save(tmp_path / "logo.png")
    (tmp_path / "talk.srt").write_text("1\n00:00:00,500 --> 00:00:01,000\nHello\n", encoding="utf-8")
    assert mediajobs("add", tmp_path / "talk.mp4", tmp_path / "logo.png", "--type", "upload_thumb_v1").code == 0
    return write(tmp_path / "edit.json", a_document())


def a_document(**changes: Any) -> dict[str, Any]:
    """An edit with a clip, a logo and captions."""
    return {
        "version": "create_video_v1",
        "canvas": {"width": 320, "height": 180},
        "track": [{"kind": "clip", "source": "talk.mp4", "in": 0.5, "out": 2}],
        "layers": [{"kind": "logo", "source": "logo.png"}, {"kind": "captions", "file": "talk.srt"}],
    } | changes


def write(path: Path, document: object) -> Path:
    """The file with that JSON."""
    path.write_text(json.dumps(document))
    return path


def jobs_of(platform: Platform) -> list[JobStatus]:
    """The states of all export jobs."""
    return [job.status for job in platform.history.jobs.list(JobFilter(job_type=VideoExport.name))]


def test_a_rate_is_for_edit_decision_lists(mediajobs: Call, timeline: Path) -> None:
    """Other timelines say theirs; one that is given beside it would be dropped without a word."""
    answer = mediajobs("export", timeline, "--rate", "25")
    assert answer.code == 2
    assert "--rate is only for edit decision lists" in answer.err


def test_an_image_is_added_without_jobs(mediajobs: Call, tmp_path: Path) -> None:
    """It is there for timelines; a bomb and a truncated one are refused, and a folder's images stay where they are."""
    Image.new("RGB", (64, 64), "red").save(tmp_path / "logo.png")
    added = mediajobs("add", tmp_path / "logo.png", "--json").json
    assert added["jobs"] == []
    said = mediajobs("add", tmp_path / "logo.png").out
    assert said.endswith("was registered before. It has no jobs: it is an image, for timelines.\n")
    assert added["uploads"][0]["mediaInfo"]["container"] == "image"
    Image.new("1", (100_000, 1_000)).save(tmp_path / "bomb.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "logo.png").read_bytes()[:90])
    head = struct.pack(">4sIIBBBBB", b"IHDR", 100_000, 100_000, 8, 6, 0, 0, 0)
    declared = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    (tmp_path / "declared.png").write_bytes(declared + struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT")))
    for name, code in (
        ("bomb.png", "INPUT_TOO_LARGE"),
        ("declared.png", "INPUT_TOO_LARGE"),
        ("cut.png", "INPUT_CORRUPT"),
    ):
        answer = mediajobs("add", tmp_path / name, tmp_path / "logo.png", "--json", max_pixels=10_000_000).json
        assert [each["code"] for each in answer["skipped"]] == [code]


def test_a_plan_shows_commands_and_inputs(mediajobs: Call, timeline: Path, platform: Platform) -> None:
    """For people and for scripts; nothing is enqueued."""
    shown = mediajobs("export", timeline, "--plan")
    assert shown.code == 0, shown.err
    for words in ("320x180, 1.500 s, 45 frames at 30 a second", "talk.mp4", "logo.png", "No forecast yet", "GRAPH is"):
        assert words in shown.out
    told = mediajobs("export", timeline, "--plan", "--json").json
    assert (told["frames"], told["durationSeconds"], told["forecast"]) == (45, 1.5, None)
    assert [each["name"] for each in told["inputs"]] == ["source_0", "source_1"]
    assert all(command[0] == "ffmpeg" for command in told["commands"])
    assert jobs_of(platform) == []


def test_asking_twice_is_one_job(mediajobs: Call, timeline: Path, platform: Platform) -> None:
    """The second time the first job is shown; once it is rendered, the export is."""
    first = mediajobs("export", timeline, "--profile", "draft", "--json").json
    second = mediajobs("export", timeline, "--profile", "draft")
    assert "was requested before" in second.out
    assert jobs_of(platform) == [JobStatus.QUEUED]
    platform.work()
    third = mediajobs("export", timeline, "--profile", "draft", "--json").json
    assert (third["created"], third["job"]["id"]) == (False, first["job"]["id"])
    assert third["upToDate"]["role"] == "export"
    people = mediajobs("export", timeline, "--profile", "draft")
    assert "up_to_date" in people.out
    assert "--force" in people.out
    assert mediajobs("export", timeline, "--profile", "draft", "--force", "--json").json["created"]


def test_all_faults_at_once(mediajobs: Call, timeline: Path, platform: Platform) -> None:
    """Exit code 2; each fault with its place; as data with --json."""
    bad = a_document(
        track=[
            {"kind": "clip", "source": "talk.mp4", "in": 2, "out": 1},
            {"kind": "clip", "source": "nowhere.mp4"},
            {"kind": "clip", "source": "logo.png", "speed": 9},
        ],
        music=[{"source": "logo.png"}],
    )
    write(timeline, bad)
    answer = mediajobs("export", timeline)
    assert answer.code == 2
    assert "TIMELINE_INVALID" in answer.err
    told = mediajobs("export", timeline, "--json")
    assert told.code == 2
    paths = {fault["path"] for fault in told.json["error"]["faults"]}
    assert {"$.track[0].out", "$.track[1].source", "$.track[2].speed", "$.music[0].source"} <= paths
    assert all(path in answer.err for path in paths)
    assert jobs_of(platform) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is not JSON"),
        (b"[]", "is a JSON object"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"track": [], "track": []}', "'track' is twice"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_timeline(mediajobs: Call, tmp_path: Path, content: bytes | None, words: str) -> None:
    """Said in a sentence, with exit code 2."""
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    answer = mediajobs("export", path)
    assert (answer.code, words in answer.err) == (2, True), answer.err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.srt", "\u00e4\u00f6".encode("latin-1") * 50, "UTF-8"),
        ("a.txt", b"x", "neither .srt nor .vtt"),
        ("gone.srt", None, "cannot be read"),
        ("half\ud800.srt", None, "not a possible file name"),
        ("zero\0.srt", None, "not a possible file name"),
    ],
)
def test_captions_that_cannot_be_read(
    mediajobs: Call, timeline: Path, name: str, content: bytes | None, words: str
) -> None:
    """Their place in the timeline, and what to do."""
    if content is not None:
        (timeline.parent / name).write_bytes(content)
    write(timeline, a_document(layers=[{"kind": "captions", "file": name}]))
    answer = mediajobs("export", timeline)
    assert answer.code == 2
    assert "$.layers[0].file" in answer.err
    assert words in answer.err


def test_a_trace_id_that_is_none(mediajobs: Call, timeline: Path, platform: Platform) -> None:
    """Refused as `mediajobs add` refuses it; nothing is enqueued."""
    answer = mediajobs("export", timeline, "--trace", "xyz")
    assert (answer.code, "is not a trace id" in answer.err) == (2, True)
    assert jobs_of(platform) == []


def test_to_otio_and_back(mediajobs: Call, timeline: Path, tmp_path: Path) -> None:
    """Written for other programs, and read again it is the same edit: the same job."""
    first = mediajobs("export", timeline, "--json").json
    written = mediajobs("export", timeline, "--to-otio", tmp_path / "edit.otio")
    assert written.code == 0, written.err
    assert "Note:" in written.out
    again = mediajobs("export", tmp_path / "edit.otio", "--json").json
    assert again["job"]["id"] == first["job"]["id"]


def test_jobs_of_exports_are_not_added_to_videos(mediajobs: Call, timeline: Path) -> None:
    """`mediajobs add` says where to ask."""
    answer = mediajobs("add", timeline.parent / "talk.mp4", "--type", VideoExport.name)
    assert answer.code == 2
    assert "mediajobs export" in answer.err


# --- lists of other programs -----------------------------------------------------------------------------------------

EVENT = "001  {reel}  V  C  {start} {end} 01:00:00:00 01:00:01:00\n{said}"


def a_list(path: Path, start: str, end: str, *, reel: str = "AX", said: str = "") -> Path:
    """A list of one event."""
    path.write_text(EVENT.format(reel=reel, start=start, end=end, said=said))
    return path


def test_a_list_counts_by_the_time_code_of_its_media(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """From the file's first frame, whose label its probe knows; its rate is the list's."""
    (tmp_path / "A012.mov").write_bytes(clips.timecode().read_bytes())
    mediajobs("add", tmp_path / "A012.mov")
    mediajobs("work")
    edit = a_list(tmp_path / "edit.edl", "01:00:01:00", "01:00:02:00", said="* FROM CLIP NAME: A012.mov\n")
    plan = mediajobs("export", edit, "--plan")
    assert plan.code == 0, plan.err
    assert "25 frames at 25 a second" in plan.out
    assert " -ss 1 -i file:source_0" in plan.out
    late = a_list(tmp_path / "late.edl", "01:00:20:00", "01:00:21:00", said="* FROM CLIP NAME: A012.mov\n")
    assert mediajobs("export", late, "--json").json["error"]["faults"] == [
        {
            "path": "$.track[0]",
            "message": "event 001 (“A012.mov”): begins at 01:00:20:00, "
            "but A012.mov lasts from 01:00:00:00 to 01:00:03:00",
        }
    ]


def test_a_reel_is_an_upload_by_its_name_or_by_an_option(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    (tmp_path / "A012.mp4").write_bytes(clips.landscape().read_bytes())
    mediajobs("add", tmp_path / "A012.mp4")
    mediajobs("work")
    assert (
        mediajobs("export", a_list(tmp_path / "a.edl", "00:00:01:00", "00:00:02:00", reel="a012"), "--plan").code == 0
    )
    other = a_list(tmp_path / "b.edl", "00:00:01:00", "00:00:02:00", reel="C25")
    answer = mediajobs("export", other, "--plan")
    assert answer.code == 2
    assert "event 001 (“C25”): No upload has the id or the file name 'C25'" in answer.err
    assert "--media C25=UPLOAD" in answer.err
    assert mediajobs("export", other, "--plan", "--media", "C25=A012.mp4").code == 0
    assert "'C26'" in mediajobs("export", other, "--media", "C26=A012.mp4").err
    assert "A012=talk.mp4" in mediajobs("export", other, "--media", "C25").err
    assert "--media is only for" in mediajobs("export", write(tmp_path / "c.json", {}), "--media", "C25=A012.mp4").err
