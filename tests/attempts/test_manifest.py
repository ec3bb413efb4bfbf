"""The manifest: one published schema for every way an attempt can end, kept small, and enough to run it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from mediajobs_dagster.attempts.heartbeat import Heartbeat
from mediajobs_dagster.attempts.manifest import (
    MAX_COMMANDS,
    MAX_ERRORS,
    MAX_STORAGE_OPS,
    InputMetrics,
    Manifest,
    OutputRecord,
    manifest_schema,
)
from mediajobs_dagster.attempts.recorder import Recorder, Stage
from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.attempts.verify import sha256_of
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import DiskFullError, MediaJobsError
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.stderr import TAIL_BYTES
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import (
    AttemptStatus,
    AudioStream,
    FfmpegCommand,
    HostFacts,
    JsonObject,
    MediaInfo,
    RtfBasis,
    StorageOp,
    Upload,
    VideoStream,
    utc_now,
)
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.history.factories import claimed
from tests.listeners import Watcher
from tests.platform import AllGone, Platform

ROOT = Path(__file__).parent.parent.parent
PUBLISHED = ROOT / "docs" / "manifest.schema.json"
WRITE = ["-m", "mediajobs_dagster.attempts.manifest"]
THUMB, PROXY, ENVELOPE = Thumbnail.name, EditProxy.name, AudioEnvelope.name

# --- the schema ------------------------------------------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_code() -> None:
    """Byte by byte what the command prints."""
    written = subprocess.run([sys.executable, *WRITE], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert PUBLISHED.read_text() == written, f"run: python {' '.join(WRITE)} > docs/{PUBLISHED.name}"


def test_the_schema_is_a_valid_one() -> None:
    """By the rules of the draft that it names, and strict: nothing that it does not know is let through."""
    jsonschema.Draft202012Validator.check_schema(manifest_schema())
    assert manifest_schema()["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    assert manifest_schema()["additionalProperties"] is False


class AtStage(Watcher):
    """Does something when a stage begins, once."""

    def __init__(self, stage: str, do: Callable[[AttemptKey], object]) -> None:
        self._stage, self._do, self._done = stage, do, False

    def stage(self, key: AttemptKey, name: str) -> None:
        if name == self._stage and not self._done:
            self._done = True
            self._do(key)


def succeed(platform: Platform, clips: Clips) -> Upload:
    """A thumbnail that is made."""
    upload = platform.add(clips.landscape(), THUMB)
    platform.work()
    return upload


def fail(platform: Platform, clips: Clips) -> Upload:
    """A file that is no media."""
    upload = platform.add(clips.text_named_mp4(), THUMB)
    platform.work()
    return upload


def skip(platform: Platform, clips: Clips) -> Upload:
    """A thumbnail that was made before."""
    upload = succeed(platform, clips)
    platform.history.jobs.retry(platform.job(upload, THUMB).id)
    platform.work()
    return upload


def interrupt(platform: Platform, clips: Clips) -> Upload:
    """Ctrl-C while the source is probed. The attempt goes on when it has been told to end: it is quick, and could be
    over before the thread that waits for it wakes up."""
    upload = platform.add(clips.landscape(), THUMB)
    told = threading.Event()
    end_all = Heartbeat.end_all

    def tell(heartbeat: Heartbeat, error: MediaJobsError) -> None:
        end_all(heartbeat, error)
        told.set()

    def press_ctrl_c(_: AttemptKey) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert told.wait(60)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Heartbeat, "end_all", tell)
        with pytest.raises(KeyboardInterrupt):
            platform.work(AtStage(Stage.PROBE, press_ctrl_c))
    return upload


def lose(platform: Platform, clips: Clips) -> Upload:
    """A worker that claims a job and is never heard of again."""
    upload = platform.add(clips.landscape(), THUMB)
    dispatch = platform.history.leases.assign(THUMB, limit=1, lease_s=1e-3)
    assert dispatch
    assert platform.history.leases.claim(dispatch.id, run_id="run", host="gone", lease_s=0.0)
    assert len(recover(platform.history, platform.settings, AllGone(), settling_s=0).lost) == 1
    return upload


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (succeed, AttemptStatus.SUCCESS),
        (fail, AttemptStatus.FAILURE),
        (skip, AttemptStatus.SKIPPED),
        (interrupt, AttemptStatus.CANCELLED),
        (lose, AttemptStatus.LOST),
    ],
)
def test_every_ending_keeps_to_the_published_schema(
    platform: Platform, clips: Clips, make: Callable[[Platform, Clips], Upload], status: AttemptStatus
) -> None:
    """Real attempts: the stored JSON fits the schema, and says how it ended and where the time went."""
    upload = make(platform, clips)
    stored = platform.attempts(upload, THUMB)[-1].manifest
    assert stored is not None
    jsonschema.validate(stored, json.loads(PUBLISHED.read_text()), format_checker=jsonschema.FormatChecker())
    assert stored["status"] == status
    manifest = platform.manifest(upload, THUMB)  # checks that the ledger adds up
    assert bool(manifest.errors) == (status in (AttemptStatus.FAILURE, AttemptStatus.CANCELLED, AttemptStatus.LOST))
    assert bool(manifest.outputs) == (status is AttemptStatus.SUCCESS)


def test_the_schema_can_fail(platform: Platform, clips: Clips) -> None:
    """A field too many, one too few or of another kind is found."""
    stored = platform.attempts(succeed(platform, clips), THUMB)[-1].manifest
    assert stored is not None
    schema = json.loads(PUBLISHED.read_text())
    without = {name: value for name, value in stored.items() if name != "traceId"}
    for spoilt in (stored | {"extra": 1}, without, stored | {"durationMs": "long"}, stored | {"status": "fine"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(spoilt, schema)


def test_the_figures_of_a_source_are_those_of_its_first_tracks() -> None:
    """Each is what the cost of later jobs is told from; of a track that is not there, there are none."""
    video = VideoStream(index=0, codec="h264", width=640, height=360, fps=25.0)
    audio = AudioStream(index=1, codec="aac", channels=2, sample_rate=48000)
    info = MediaInfo(
        container="mp4", duration_seconds=3.0, bytes=10, bitrate_kbps=800.0, video=(video,), audio=(audio,)
    )
    assert InputMetrics.of(info) == InputMetrics(
        duration_seconds=3.0,
        video_codec="h264",
        audio_codec="aac",
        width=640,
        height=360,
        fps=25.0,
        bitrate_kbps=800.0,
    )
    empty = MediaInfo(container="mp4", duration_seconds=3.0, bytes=10)
    assert InputMetrics.of(empty) == InputMetrics(duration_seconds=3.0)


def test_the_media_of_an_attempt_are_its_source_or_what_it_made() -> None:
    """By what its real-time factor counts; what is no media is passed over."""
    made = MediaInfo(container="mp4", duration_seconds=2.0, bytes=10)
    recorder = Recorder(AttemptKey("attempt", THUMB, "upload"), HostFacts(hostname="here"))
    recorder.info = made.model_copy(update={"duration_seconds": 3.0})
    assert recorder.manifest(AttemptStatus.SUCCESS).media == InputMetrics(duration_seconds=3.0)
    recorder.rtf_basis = RtfBasis.OUTPUT
    assert recorder.manifest(AttemptStatus.SUCCESS).media is None
    recorder.outputs += [
        OutputRecord(key=key, bytes=1, sha256="f" * 64, media_info=info) for key, info in (("a", None), ("b", made))
    ]
    assert recorder.manifest(AttemptStatus.SUCCESS).media == InputMetrics(duration_seconds=2.0)


@pytest.mark.parametrize(("queue_ms", "told"), [(None, 0), (0, 0), (1500, 1500)])
def test_the_wait_of_an_attempt_is_that_of_its_row(platform: Platform, queue_ms: int | None, told: int) -> None:
    """None is noted where it did not wait."""
    claim = claimed(platform.history)
    claim = replace(claim, attempt=claim.attempt.model_copy(update={"queue_ms": queue_ms}))
    manifest = Recorder.of(claim, HostFacts(hostname="here"), lambda _: None).manifest(AttemptStatus.SUCCESS)
    assert (manifest.queue_ms, manifest.time_ledger.queue_ms) == (told, told)


def test_a_stage_that_failed_says_so(platform: Platform, clips: Clips) -> None:
    """With the code of its error, after the stages that went well."""
    manifest = platform.manifest(fail(platform, clips), THUMB)
    assert [(stage.name, stage.status) for stage in manifest.stages] == [
        ("check", "ok"),
        ("fetch", "ok"),
        ("probe", "INPUT_NOT_MEDIA"),
    ]
    assert [(error.code, error.stage) for error in manifest.errors] == [("INPUT_NOT_MEDIA", "probe")]
    assert manifest.ffmpeg_commands[-1].status == "INPUT_NOT_MEDIA"


# --- kept small ------------------------------------------------------------------------------------------------------


def a_recorder(platform: Platform, clips: Clips) -> Recorder:
    """The recorder of an attempt that has just been claimed."""
    upload = platform.add(clips.landscape(), THUMB)
    dispatch = platform.history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch
    claim = platform.history.leases.claim(dispatch.id, run_id="run", host="here", lease_s=60)
    assert isinstance(claim, Claim)
    assert claim.job.subject_id == upload.id
    return Recorder.of(claim, HostFacts(hostname="here"), lambda _: None)


def a_command(number: int) -> FfmpegCommand:
    """A command that took a second of CPU."""
    now = utc_now()
    argv = ("ffmpeg", "-i", f"part_{number}")
    return FfmpegCommand(argv=argv, started_at=now, duration_ms=1, exit_code=0, status="ok", cpu_seconds=1.0)


def test_a_long_record_is_cut_in_the_middle(platform: Platform, clips: Clips) -> None:
    """How it began and how it ended is kept, what lay between is counted, and the totals are those of all of it."""
    recorder = a_recorder(platform, clips)
    for number in range(MAX_COMMANDS + 5):
        recorder.add_command(a_command(number))
    for number in range(MAX_STORAGE_OPS + 7):
        op = StorageOp(op="get", bucket="bucket", key=f"key_{number}", bytes=10, duration_ms=1, status="ok")
        recorder.add_storage_op(op)
    for number in range(MAX_ERRORS + 9):
        recorder.add_error(DiskFullError(f"fault {number}"))
    manifest = recorder.manifest(AttemptStatus.FAILURE)

    assert (MAX_COMMANDS, MAX_STORAGE_OPS, MAX_ERRORS) == (20, 200, 20)
    assert [len(manifest.ffmpeg_commands), len(manifest.s3_ops), len(manifest.errors)] == [20, 200, 20]
    cut = manifest.truncated
    assert (cut.ffmpeg_commands, cut.s3_ops, cut.errors) == (5, 7, 9)
    assert [command.argv[-1] for command in manifest.ffmpeg_commands[8:12]] == [
        "part_8",
        "part_9",
        "part_15",
        "part_16",
    ]
    assert (manifest.s3_ops[0].key, manifest.s3_ops[-1].key) == ("key_0", "key_206")
    assert (manifest.errors[0].message, manifest.errors[-1].message) == ("fault 0", "fault 28")
    assert manifest.metrics.s3_bytes_in == 10 * (MAX_STORAGE_OPS + 7)
    assert recorder.cpu_seconds == MAX_COMMANDS + 5
    jsonschema.validate(manifest.to_json(), manifest_schema())


def test_a_record_at_the_cap_is_whole(platform: Platform, clips: Clips) -> None:
    """Exactly as many as fit: nothing is cut, nothing is said to be."""
    recorder = a_recorder(platform, clips)
    for number in range(MAX_COMMANDS):
        recorder.add_command(a_command(number))
    manifest = recorder.manifest(AttemptStatus.SUCCESS)
    assert [command.argv[-1] for command in manifest.ffmpeg_commands] == [f"part_{number}" for number in range(20)]
    assert manifest.truncated.ffmpeg_commands == 0


def test_what_ffmpeg_said_is_cut_to_its_end(platform: Platform, clips: Clips) -> None:
    """A file so broken that ffmpeg fills pages about it: the last 4 KB are kept."""
    upload = platform.add(clips.shredded(), PROXY)
    platform.work()
    tails = [command.stderr_tail for command in platform.manifest(upload, PROXY).ffmpeg_commands]
    longest = max(tails, key=len)
    assert TAIL_BYTES == 4096
    assert TAIL_BYTES * 0.9 < len(longest.encode()) <= TAIL_BYTES


def test_errors_hold_no_secret(platform: Platform, clips: Clips) -> None:
    """What a service put into its message does not get into ours."""
    recorder = a_recorder(platform, clips)
    recorder.add_error(DiskFullError("GET https://host/bucket/key?X-Amz-Signature=0123abcd&X-Amz-Date=1 failed"))
    said = recorder.manifest(AttemptStatus.FAILURE).errors[0].message
    assert "0123abcd" not in said
    assert "https://host/bucket/key" in said


# --- enough to run it again ------------------------------------------------------------------------------------------


def making(manifest: Manifest, output: str) -> FfmpegCommand:
    """The command that wrote that file."""
    making = [command for command in manifest.ffmpeg_commands if command.argv[0] == "ffmpeg"]
    (found,) = [command for command in making if command.argv[-1] == f"file:{output}"]
    return found


@pytest.mark.parametrize(("job_type", "output"), [(THUMB, "thumb.jpg"), (PROXY, "edit_proxy.mp4")])
def test_a_recorded_command_makes_the_same_again(
    open_platform: Callable[..., Platform], clips: Clips, tools: Tools, tmp_path: Path, job_type: str, output: str
) -> None:
    """An empty folder, the objects under the names that `files` gives them, and argv as it was recorded.

    Every packet of every track is the same. How they lie next to each other in an MP4 depends on which of ffmpeg's
    threads was first; and with two threads of its own, x264 itself comes to other bytes in a few runs of a hundred.
    """
    platform = open_platform(ffmpeg_threads=1)
    upload = platform.add(clips.rotated_portrait(), job_type)
    platform.work()
    manifest = platform.manifest(upload, job_type)
    (made,) = manifest.outputs
    assert manifest.files == {"source": upload.storage_key, output: made.key}

    again = tmp_path / "again"
    again.mkdir()
    (again / "source").symlink_to(platform.output(manifest.files["source"]))
    command = making(manifest, output)
    assert str(tmp_path) not in " ".join(command.argv)
    subprocess.run([tools.ffmpeg, *command.argv[1:]], cwd=again, check=True, capture_output=True)
    assert sha256_of(platform.output(made.key), Cancellation().check) == made.sha256
    assert packets(tools, again / output) == packets(tools, platform.output(made.key))


def packets(tools: Tools, path: Path) -> bytes:
    """A hash of the packets of each track."""
    command = [tools.ffmpeg, "-v", "error", "-i", path, "-map", "0", "-c", "copy", "-f", "streamhash", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_an_envelope_is_made_from_the_recorded_command(
    platform: Platform, clips: Clips, tools: Tools, tmp_path: Path
) -> None:
    """Its samples go to standard output: the recorded command gives as many as the document tells."""
    upload = platform.add(clips.landscape(), ENVELOPE)
    platform.work()
    manifest = platform.manifest(upload, ENVELOPE)
    (tmp_path / "source").symlink_to(platform.output(manifest.files["source"]))
    (command,) = [command for command in manifest.ffmpeg_commands if command.argv[-1] == "pipe:1"]
    samples = subprocess.run([tools.ffmpeg, *command.argv[1:]], cwd=tmp_path, check=True, capture_output=True).stdout
    envelope: JsonObject = json.loads(platform.output(manifest.outputs[0].key).read_text())
    assert len(samples) / 2 / 48_000 == pytest.approx(envelope["durationSeconds"], abs=0.001)


def test_an_address_leads_to_its_object(
    open_platform: Callable[..., Platform], s3_settings: Settings, clips: Clips, tools: Tools, tmp_path: Path
) -> None:
    """On S3 the source is read by range: argv holds an address on that machine, and `files` the key for it."""
    settings = s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings)
    upload = platform.add(clips.landscape(), THUMB)
    platform.work()
    manifest = platform.manifest(upload, THUMB)
    command = making(manifest, "thumb.jpg")
    argument = command.argv[command.argv.index("-i") + 1]
    assert argument.startswith("http://127.0.0.1:")
    assert "X-Amz-" not in " ".join(command.argv)
    assert manifest.files[argument] == upload.storage_key
    reads = [op for op in manifest.s3_ops if op.op == "range_read"]
    assert reads
    assert {op.key for op in reads} == {upload.storage_key}

    url = platform.storage.reader_url(manifest.files[argument])
    assert url
    elsewhere = [url if part == argument else part for part in command.argv[1:]]
    subprocess.run([tools.ffmpeg, *elsewhere], cwd=tmp_path, check=True, capture_output=True)
    assert sha256_of(tmp_path / "thumb.jpg", Cancellation().check) == manifest.outputs[0].sha256
