"""What is asked for by its address becomes an upload, once, with what its site tells of it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import psutil

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.inventory.claims import left_over
from mediajobs_dagster.job_types.ingest_video.job_type import IngestVideo
from mediajobs_dagster.media.command import Command, Input, Output
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import AttemptStatus, FollowUp, JobStatus, UploadRole
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.ingest.asking import attempted, fetched, jobs_of, only_upload, tried
from tests.ingest.site import Site
from tests.platform import Platform
from tests.servers.s3 import S3Server

OpenPlatform = Callable[..., Platform]
FOLLOWING = {"upload_audio_envelope_v1", "upload_edit_proxy_v1", "upload_thumb_v1"}
HLS = {"Content-Type": "application/vnd.apple.mpegurl"}
VTT = "WEBVTT\n\n00:00.000 --> 00:01.000\nHello.\n"


def test_the_address_of_a_file_becomes_an_upload(fetching: Platform, site: Site, clip: bytes) -> None:
    """Of role source, with its origin on record, and with the jobs that an added file gets."""
    address = site.has("/talks/My%20talk.mp4", clip)
    (ended,) = fetched(fetching, address)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    upload = only_upload(fetching)
    assert (upload.role, upload.filename, upload.bytes) == (UploadRole.SOURCE, "My talk.mp4", len(clip))
    assert upload.details is not None
    assert upload.details["address"] == address
    assert upload.media_info is not None
    assert upload.storage_key == f"ingests/{ended.job.created_at:%Y-%m/%d}/{ended.attempt_id}/source.mp4"
    assert fetching.output(upload.storage_key).read_bytes() == clip
    assert {child.job_type for child in ended.children} == FOLLOWING
    assert {child.subject_id for child in ended.children} == {upload.id}
    (call,) = ended.manifest.calls
    assert (call.service, call.op, call.status, call.bytes) == ("video_site", "download", "ok", len(clip))
    assert fetching.leftovers() == []


def test_asked_for_twice_it_is_fetched_once(fetching: Platform, site: Site, clip: bytes) -> None:
    """However the address is written; `force` fetches it again."""
    address = site.has("/talk.mp4", clip)
    first = fetching.media.ingest(address, f"{address}#t=3", address.replace("http://", "HTTP://"))
    assert len(first.videos) == 1
    attempted(fetching)
    again = fetching.media.ingest(address)
    assert [each.created for each in again.videos] == [False]
    assert attempted(fetching) == []
    assert len(site.asked("/talk.mp4")) == 1
    assert fetching.media.ingest(address, dry_run=True).created == 0
    assert fetching.media.ingest(address, dry_run=True, force=True).created == 1
    assert fetching.media.ingest(address, force=True).created == 1
    (ended,) = attempted(fetching)
    assert ended.status is AttemptStatus.SUCCESS


def test_what_was_deleted_is_fetched_again(fetching: Platform, site: Site, clip: bytes) -> None:
    """Its object goes with the upload; who asks for it again gets it again."""
    address = site.has("/talk.mp4", clip)
    fetched(fetching, address)
    upload = only_upload(fetching)
    for job in fetching.history.jobs.list(JobFilter(subject_id=upload.id)):
        if not job.status.is_final:
            fetching.media.cancel(job.id)
    fetching.media.delete_upload(upload.id)
    assert fetching.storage.find(upload.storage_key) is None
    assert fetching.media.ingest(address).created == 1
    (ended,) = attempted(fetching)
    assert ended.status is AttemptStatus.SUCCESS
    assert fetching.storage.find(only_upload(fetching).storage_key)


def test_a_page_with_a_video(fetching: Platform, site: Site, clip: bytes) -> None:
    """The title is the page's; the video's row has what was told."""
    site.has("/media/1.mp4", clip)
    address = site.page("/talk", '<head><title>On paths</title></head><body><video src="/media/1.mp4"></video></body>')
    (ended,) = fetched(fetching, address)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    upload = only_upload(fetching)
    assert upload.details is not None
    assert upload.details["title"].startswith("On paths")
    video = fetching.history.videos.get(upload.details["videoId"])
    assert (video.address, video.title, video.found_by) == (address, upload.details["title"], "ingest")
    assert fetching.media.names_of([ended.job])[video.id] == video.title


def test_subtitles_come_with_it(fetching: Platform, site: Site, clip: bytes) -> None:
    """As WebVTT beside the file; the upload says where they are. One that cannot be had is a note."""
    site.has("/media/1.mp4", clip)
    site.has("/media/en.vtt", VTT.encode(), {"Content-Type": "text/vtt"})
    tracks = '<track kind="subtitles" srclang="en" src="/media/en.vtt"><track kind="captions" srclang="de" src="/no">'
    address = site.page("/talk", f'<body><video src="/media/1.mp4">{tracks}</video></body>')
    (ended,) = fetched(fetching, address)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    (text,) = (only_upload(fetching).details or {})["subtitles"]
    assert (text["language"], text["isAutomatic"]) == ("en", False)
    assert fetching.output(text["key"]).read_text() == VTT


def test_subtitles_that_nobody_can_have_said_are_left_out(fetching: Platform, site: Site, clip: bytes) -> None:
    """They are not read into memory, and half of them is not taken for the whole."""
    site.has("/media/1.mp4", clip)
    site.has("/media/en.vtt", VTT.encode() + b"x" * (16 << 20), {"Content-Type": "text/vtt"})
    track = '<track kind="subtitles" srclang="en" src="/media/en.vtt">'
    (ended,) = fetched(fetching, site.page("/talk", f'<body><video src="/media/1.mp4">{track}</video></body>'))
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert (only_upload(fetching).details or {})["subtitles"] == []
    assert "Subtitles in en have more than 16 MiB, and were left out." in ended.manifest.notes


def test_subtitles_stay_with_their_upload(fetching: Platform, site: Site, clip: bytes) -> None:
    """When the video is fetched again, the upload of before keeps what came with it; both go with their uploads."""
    site.has("/media/1.mp4", clip)
    site.has("/media/en.vtt", VTT.encode(), {"Content-Type": "text/vtt"})
    track = '<track kind="subtitles" srclang="en" src="/media/en.vtt">'
    address = site.page("/talk", f'<body><video src="/media/1.mp4">{track}</video></body>')
    fetched(fetching, address)
    first = only_upload(fetching)
    fetching.media.ingest(address, force=True)
    attempted(fetching)
    kept = [text["key"] for upload in fetching.media.uploads() for text in (upload.details or {})["subtitles"]]
    assert len(set(kept)) == 2
    keys = [*kept, *(upload.storage_key for upload in fetching.media.uploads())]
    found = [fetching.storage.stat(key) for key in keys]
    assert left_over(found, fetching.history, now=fetching.history.now()) == []
    for job in fetching.history.jobs.list(JobFilter(subject_id=first.id)):
        fetching.media.cancel(job.id)
    assert set(fetching.media.delete_upload(first.id).keys) >= {first.storage_key, *kept[1:]}
    assert len(list(fetching.storage.list("ingests/"))) == 2


def test_cookies_are_read_and_never_written(
    open_fetching: OpenPlatform, site: Site, clip: bytes, tmp_path: Path
) -> None:
    """They are sent to their site; what that sends goes nowhere. A file that cannot be used is a wrong setting."""
    file = tmp_path / "cookies.txt"
    file.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tabc\n")
    before = file.read_text()
    platform = open_fetching(ingest_cookies=file)
    site.has("/media/1.mp4", clip)
    page = b'<html><body><video src="/media/1.mp4"></video></body></html>'
    address = site.has("/talk", page, {"Content-Type": "text/html", "Set-Cookie": "other=1; Path=/"})
    (ended,) = fetched(platform, address)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert "session=abc" in site.asked("/talk")[-1].headers["Cookie"]
    assert file.read_text() == before
    file.unlink()
    assert tried(platform, f"{address}?again").error


def test_a_stream_becomes_one_file(fetching: Platform, site: Site, clips: Clips) -> None:
    """Its segments are put into an MP4; nothing is encoded."""
    whole = clips.transport_stream().read_bytes()
    half = len(whole) // 188 // 2 * 188
    site.has("/s/0.ts", whole[:half], {"Content-Type": "video/mp2t"})
    site.has("/s/1.ts", whole[half:], {"Content-Type": "video/mp2t"})
    playlist = (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n#EXT-X-ENDLIST\n"
    )
    address = site.has("/s/all.m3u8", playlist.encode(), {"Content-Type": "application/vnd.apple.mpegurl"})
    (ended,) = fetched(fetching, address)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    upload = only_upload(fetching)
    assert upload.media_info is not None
    assert upload.media_info.container.startswith("mov")
    assert [stage.name for stage in ended.manifest.stages if stage.name in ("download", "ffmpeg")] == [
        "download",
        "ffmpeg",
    ]
    assert "copy" in ended.manifest.ffmpeg_commands[0].argv


def test_a_stream_that_breaks_off_leaves_no_file_open(open_fetching: OpenPlatform, site: Site, clips: Clips) -> None:
    """Open files are locked, and a worker has only so many."""
    site.has("/s/0.ts", clips.transport_stream().read_bytes(), {"Content-Type": "video/mp2t"})
    key = '#EXT-X-KEY:METHOD=AES-128,URI="key"\n'
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n{key}#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n"
    address = site.has("/s/all.m3u8", playlist.encode(), HLS)
    platform = open_fetching(service_tries=1)
    gc.disable()  # it would close them, some time
    try:
        ended = tried(platform, address)
        still_open = [each.path for each in psutil.Process().open_files() if "/part" in each.path]
    finally:
        gc.enable()
    assert ended.status is AttemptStatus.FAILURE
    assert site.asked("/s/0.ts")
    assert still_open == []


def test_picture_and_sound_are_put_together(fetching: Platform, site: Site, clips: Clips, tmp_path: Path) -> None:
    """A site that has them apart: the best picture and the best sound become one file, copied."""
    (tmp_path / "source").write_bytes(clips.transport_stream().read_bytes())
    apart = tuple(Output(f"{kind}.ts", ("-map", f"0:{kind}", "-c", "copy")) for kind in "va")
    Runner.from_settings(fetching.settings).run(
        Command((Input("source"),), apart, media_seconds=1.0), cwd=tmp_path, report=print
    )
    for kind in "va":
        site.has(f"/s/{kind}.ts", (tmp_path / f"{kind}.ts").read_bytes(), {"Content-Type": "video/mp2t"})
        playlist = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{kind}.ts\n#EXT-X-ENDLIST\n"
        site.has(f"/s/{kind}.m3u8", playlist.encode(), HLS)
    master = (
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",LANGUAGE="en",URI="a.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1000000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a"\nv.m3u8\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=3840x2160,CODECS="avc1.640033,mp4a.40.2",AUDIO="a"\nhigh.m3u8\n'
    )
    (ended,) = fetched(fetching, site.has("/s/master.m3u8", master.encode(), HLS))
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    info = only_upload(fetching).media_info
    assert info is not None
    assert (len(info.video), len(info.audio)) == (1, 1)
    assert info.container.startswith("mov")
    assert site.asked("/s/high.m3u8") == []  # higher than the setting allows


def test_an_object_of_s3(open_fetching: OpenPlatform, s3_server: S3Server, s3_settings: Settings, clips: Clips) -> None:
    """It is read with the credentials of the storage; a plain storage cannot reach it, and says so."""
    other = s3_server.make_bucket()
    access = {name: value for name, value in s3_settings.model_dump().items() if name.startswith(("s3_", "storage_u"))}
    platform = open_fetching(**access)
    platform.storage.at(f"s3://{other}/").put(clips.landscape(), "talks/one.mp4", content_type="video/mp4")
    (ended,) = fetched(platform, f"s3://{other}/talks/one.mp4")
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    assert only_upload(platform).filename == "one.mp4"


def test_what_follows_is_done_with_the_upload(fetching: Platform, site: Site, clip: bytes) -> None:
    """Also where it was fetched before."""
    address = site.has("/talk.mp4", clip)
    fetched(fetching, address)
    fetching.media.ingest(address, follow_up=[FollowUp(job_type="upload_thumb_v1", force=True)])
    (ended,) = attempted(fetching)
    assert ended.status is AttemptStatus.SKIPPED
    assert [child.subject_id for child in ended.children] == [only_upload(fetching).id]
    assert len(site.asked("/talk.mp4")) == 1


def test_a_list_is_a_job_a_video(fetching: Platform, site: Site) -> None:
    """In its order, up to the limit; with a dry run nothing is changed."""
    items = "".join(f"<item><title>Talk {n}</title><link>{site.url}/t/{n}.mp4</link></item>" for n in range(30))
    feed = f'<?xml version="1.0"?><rss version="2.0"><channel><title>All</title>{items}</channel></rss>'
    address = site.has("/feed.xml", feed.encode(), {"Content-Type": "application/rss+xml"})
    planned = fetching.media.ingest(address, limit=3, dry_run=True)
    assert [each.video.title for each in planned.videos] == ["Talk 0", "Talk 1", "Talk 2"]
    assert (planned.created, jobs_of(fetching, IngestVideo.name)) == (3, [])
    assert fetching.media.ingest(address, limit=3).created == 3
    assert fetching.media.ingest(address).created == 27
    assert {job.status for job in jobs_of(fetching, IngestVideo.name)} == {JobStatus.QUEUED}


def test_a_long_title_is_cut(fetching: Platform, site: Site, clip: bytes) -> None:
    """5,000 characters with slashes: no key and no path has anything of it."""
    title = "a/b\\c " * 900
    site.has("/media/1.mp4", clip)
    address = site.page("/talk", f'<head><title>{title}</title></head><body><video src="/media/1.mp4"></video></body>')
    (ended,) = fetched(fetching, address)
    assert ended.status is AttemptStatus.SUCCESS, ended.error
    upload = only_upload(fetching)
    assert len(upload.filename) <= 160
    assert not set("/\\") & set(upload.filename)
    assert len((upload.details or {})["title"]) <= 1000


def test_a_worker_without_it_leaves_the_job(open_fetching: OpenPlatform, site: Site, clip: bytes) -> None:
    """It waits in the queue, untried, and it is told why."""
    platform = open_fetching(offers=("ffmpeg",))
    platform.media.ingest(site.has("/talk.mp4", clip))
    assert attempted(platform) == []
    (job,) = jobs_of(platform, IngestVideo.name)
    assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)
