"""Taking in many files at once: quick, whole, and the same however often it is begun."""

from __future__ import annotations

import os
import shutil
import struct
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from PIL import Image
from typing_extensions import override

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import OutOfMemoryError, StorageUnavailableError
from mediajobs_dagster.history import JobFilter, Registered
from mediajobs_dagster.intake.batch import BatchIntake, Listener, Prober
from mediajobs_dagster.intake.candidates import Candidate, Skipped
from mediajobs_dagster.intake.intake import Intake, Order
from mediajobs_dagster.intake.journal import journals_of
from mediajobs_dagster.intake.search import Search
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, Job, MediaInfo, Upload
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage, upload_source_key
from mediajobs_dagster.storage.by_range import RangeServer
from tests.clips import Clips
from tests.heif_pictures import of_unknown_coding, written
from tests.intake.folders import distinct, fill
from tests.platform import Platform, usual
from tests.servers.faulty_s3 import FaultyS3
from tests.servers.s3 import S3Server

MiB = 1 << 20
THUMB: tuple[JobType, ...] = (Thumbnail(),)


@dataclass
class Record(Listener):
    """Everything that the listener was told."""

    added: list[Upload] = field(default_factory=list)
    known: list[Upload] = field(default_factory=list)
    enqueued: list[Job] = field(default_factory=list)
    skips: list[Skipped] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    bytes: int = 0
    on_done: Callable[[], object] = lambda: None

    @override
    def moved(self, size: int) -> None:
        self.bytes += size

    @override
    def done_with(self, candidate: Candidate, moved: int, *, stored: bool) -> None:
        self.done.append(candidate.filename)
        self.on_done()

    @override
    def registered(self, found: Sequence[Registered], *, known: bool) -> None:
        (self.known if known else self.added).extend(each.upload for each in found)
        self.enqueued += [entry.job for each in found for entry in each.jobs if entry.created]

    @override
    def skipped(self, skipped: Skipped) -> None:
        self.skips.append(skipped)

    @property
    def codes(self) -> dict[str, str]:
        """Why what was skipped, by file name."""
        return {Path(skipped.location).name: skipped.code for skipped in self.skips}


def candidates(platform: Platform, *locations: Path | str) -> list[Candidate]:
    """What is at those places."""
    found = Search(platform.storage, tuple(platform.registry)).find([str(location) for location in locations])
    return [find for find in found if isinstance(find, Candidate)]


def batch(
    platform: Platform, record: Record, order: Order | None = None, *, probing: bool = True, **options: bool
) -> BatchIntake:
    """An intake into the platform; without an order, one thumbnail each."""
    prober = Prober.from_settings(platform.settings) if probing else None
    intake = Intake(platform.history, platform.storage)
    return BatchIntake(intake, order or Order(THUMB), prober, journals(platform), listener=record, **options)


def take(platform: Platform, *locations: Path | str, order: Order | None = None, probing: bool = True) -> Record:
    """Take in what is at those places."""
    record = Record()
    batch(platform, record, order, probing=probing).take(candidates(platform, *locations))
    return record


def journals(platform: Platform) -> Path:
    """Where it is noted what is being stored."""
    return journals_of(platform.settings)


def is_whole(platform: Platform) -> bool:
    """Whether each source belongs to an upload that has jobs, each upload has its source, and nothing else is left."""
    jobs = platform.history.jobs.list(JobFilter(), limit=1000)
    uploads = {platform.history.uploads.get(job.subject_id).storage_key for job in jobs}
    return {stat.key for stat in platform.storage.list("uploads/")} == uploads and not list(
        journals(platform).iterdir()
    )


def test_a_folder_is_one_trace(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """Each file is an upload with what a probe found, and a job of each type, all of one trace; the jobs succeed."""
    folder = fill(tmp_path / "footage", clips.landscape(), 3)
    order = Order(usual(platform.registry), priority=7, max_attempts=2)
    record = take(platform, folder, order=order)
    assert sorted(upload.filename for upload in record.added) == [f"clip{number:04}.mp4" for number in range(3)]
    for upload in record.added:
        info = platform.history.uploads.get(upload.id).media_info
        assert info is not None
        assert (info.bytes, info.duration_seconds) == (upload.bytes, pytest.approx(3, abs=0.1))
        assert (upload.trace_id, upload.etag) == (order.trace_id, platform.storage.stat(upload.storage_key).etag)
    assert len(record.enqueued) == 3 * len(usual(platform.registry))
    assert {(job.trace_id, job.priority, job.max_attempts) for job in record.enqueued} == {(order.trace_id, 7, 2)}
    assert record.bytes == sum(upload.bytes for upload in record.added)
    assert is_whole(platform)
    assert {outcome.status for outcome in platform.work()} == {AttemptStatus.SUCCESS}


def test_a_second_time_nothing_is_added(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """Nor stored, nor probed; a changed file is added, a new job type enqueued, and everything when forced."""
    folder = fill(tmp_path / "footage", clips.short(), 5)
    first = take(platform, folder)
    (folder / "clip0000.mp4").write_bytes(distinct(clips.short(), 99))

    second = take(platform, folder)
    unchanged = {upload.id for upload in first.added if upload.filename != "clip0000.mp4"}
    assert {upload.id for upload in second.known} == unchanged
    assert [upload.filename for upload in second.added] == ["clip0000.mp4"]
    assert second.bytes == second.added[0].bytes
    assert [job.subject_id for job in second.enqueued] == [second.added[0].id]

    assert take(platform, folder).enqueued == []
    assert len(take(platform, folder, order=Order(usual(platform.registry))).enqueued) == 5 * 2
    assert len(take(platform, folder, order=Order(THUMB, force=True)).enqueued) == 5


def test_what_is_no_media_is_skipped_with_its_reason(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """Nothing of it is stored; the rest is taken in."""
    folder = fill(tmp_path / "footage", clips.short(), 2)
    bad = [clips.text_named_mp4(), clips.empty(), clips.cut_before_index(), clips.cut_in_middle()]
    for number, clip in enumerate(bad):
        (folder / f"bad{number}.mp4").write_bytes(clip.read_bytes())
    (folder / "page.html").write_text("<html>")
    record = take(platform, folder)
    assert len(record.added) == 2
    assert record.codes == {
        "page.html": "INPUT_NOT_MEDIA",
        "bad0.mp4": "INPUT_NOT_MEDIA",
        "bad1.mp4": "INPUT_EMPTY",
        "bad2.mp4": "INPUT_TRUNCATED",
        "bad3.mp4": "INPUT_TRUNCATED",
    }
    assert all(skipped.reason for skipped in record.skips)
    assert len(record.done) == 7
    assert is_whole(platform)


def test_even_what_is_no_media_is_taken_when_asked(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """One file asked for by its name: its attempt says what is wrong with it. One that cannot be read is skipped."""
    record = Record()
    found = candidates(platform, clips.text_named_mp4())
    batch(platform, record, even_if_not_media=True).take(found)
    assert (len(record.added), record.added[0].media_info) == (1, None)
    assert [outcome.error.code for outcome in platform.work() if outcome.error] == ["INPUT_NOT_MEDIA"]

    gone = tmp_path / "gone.mp4"
    gone.write_bytes(b"x")
    found = candidates(platform, gone)
    gone.unlink()
    (inspected,) = batch(platform, record, even_if_not_media=True).inspect(found)
    assert inspected.fault
    assert inspected.fault.code == "INPUT_UNREADABLE"
    batch(platform, record, even_if_not_media=True).take(found)
    assert record.codes == {"gone.mp4": "INPUT_UNREADABLE"}


def test_one_hostile_file_does_not_keep_the_others_out(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """A table of two thousand million entries in a small file: it is left out and named, and five good clips are in."""
    folder = fill(tmp_path / "footage", clips.landscape(), 5)
    shutil.copy(clips.endless_table(), folder / "endless_table.mp4")
    record = take(platform, folder)
    assert len(record.added) == len(record.enqueued) == 5
    assert record.codes == {"endless_table.mp4": "INPUT_TOO_LARGE"}
    again = take(platform, folder)
    assert (len(again.added), len(again.known)) == (0, 5)
    assert is_whole(platform)


def test_what_ends_a_probe_leaves_out_one_file(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """A probe that the kernel kills for lack of memory is about that file: the intake goes on with the others."""
    folder = fill(tmp_path / "footage", clips.short(), 3)
    victim = folder / "clip0001.mp4"

    class KilledByTheKernel(Prober):
        @override
        def probe(self, candidate: Candidate, cancel: Cancellation) -> MediaInfo:
            if candidate.filename == victim.name:
                raise OutOfMemoryError
            return super().probe(candidate, cancel)

    plain, record = Prober.from_settings(platform.settings), Record()
    prober = KilledByTheKernel(plain.runner, plain.slots)
    intake = Intake(platform.history, platform.storage)
    BatchIntake(intake, Order(THUMB), prober, journals(platform), listener=record).take(candidates(platform, folder))
    assert len(record.added) == 2
    assert record.codes == {victim.name: "OUT_OF_MEMORY"}


def test_an_image_may_have_256_mib_and_no_more(platform: Platform, tmp_path: Path) -> None:
    """It is read whole, so a file that only calls itself an image must not fill the memory."""
    for name, size in (("large.png", 256 * MiB), ("larger.png", 256 * MiB + 1)):
        Image.new("RGB", (64, 48), "red").save(tmp_path / name)
        os.truncate(tmp_path / name, size)  # a hole behind the image, which takes no room on the disk
    prober = Prober.from_settings(platform.settings, images=True)
    intake = BatchIntake(Intake(platform.history, platform.storage), Order(THUMB), prober, journals(platform))
    found = candidates(platform, tmp_path / "large.png", tmp_path / "larger.png")
    large, larger = sorted(intake.inspect(found), key=lambda each: each.candidate.filename)
    assert large.info
    assert large.info.is_image
    assert larger.fault
    assert (larger.fault.code, "256 MiB" in larger.fault.reason) == ("INPUT_TOO_LARGE", True)


@pytest.mark.parametrize("name", ["a.heic", "a.avif"])
def test_photos_of_phones_are_images(platform: Platform, tmp_path: Path, name: str) -> None:
    """Under any name, and none of them is a video: named by itself it is taken in, in a folder it is left out."""
    whole = written(tmp_path / name, orientation=6)
    named = tmp_path / "IMG_0001.mov"
    whole.rename(named)
    for images in (True, False):
        prober = Prober.from_settings(platform.settings, images=images)
        intake = BatchIntake(Intake(platform.history, platform.storage), Order(THUMB), prober, journals(platform))
        (found,) = intake.inspect(candidates(platform, named))
        if images:
            assert found.info
            assert (found.info.is_image, found.info.video[0].upright_size) == (True, (60, 90))
        else:
            assert found.fault
            assert found.fault.code == "INPUT_REFUSED"


def test_a_photo_that_cannot_be_decoded_is_called_so(platform: Platform, tmp_path: Path) -> None:
    """Unsupported, not corrupt."""
    prober = Prober.from_settings(platform.settings, images=True)
    intake = BatchIntake(Intake(platform.history, platform.storage), Order(THUMB), prober, journals(platform))
    (found,) = intake.inspect(candidates(platform, of_unknown_coding(tmp_path / "a.heic")))
    assert found.fault
    assert found.fault.code == "INPUT_UNSUPPORTED"


@dataclass(frozen=True)
class TellsItsToken(Prober):
    """Keeps the token that it was handed: it says whether the intake was stopped."""

    tokens: list[Cancellation] = field(default_factory=list)

    @override
    def probe(self, candidate: Candidate, cancel: Cancellation) -> MediaInfo:
        self.tokens.append(cancel)
        return super().probe(candidate, cancel)


def test_an_interrupt_does_not_wait_for_a_large_file(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """What is being stored ends at its next piece and leaves nothing; what is stored is registered."""
    folder = fill(tmp_path / "footage", clips.short(), 2)
    with (folder / "clip0001.mp4").open("ab") as file:
        file.write(struct.pack(">I4s", 64 * MiB, b"free"))
        file.truncate(file.tell() + 64 * MiB - 8)
    small = (folder / "clip0000.mp4").stat().st_size
    plain = Prober.from_settings(platform.settings)
    prober = TellsItsToken(plain.runner, plain.slots)
    pieces: list[int] = []
    begun = threading.Event()

    class Interrupts(Record):
        @override
        def moved(self, size: int) -> None:
            if size == small:
                return
            pieces.append(size)
            begun.set()
            deadline = time.monotonic() + 60
            while not prober.tokens[0].error and time.monotonic() < deadline:
                time.sleep(0.01)

        @override
        def done_with(self, candidate: Candidate, moved: int, *, stored: bool) -> None:
            assert begun.wait(60)
            raise KeyboardInterrupt

    record = Interrupts()
    intake = Intake(platform.history, platform.storage)
    with pytest.raises(KeyboardInterrupt):
        BatchIntake(intake, Order(THUMB), prober, journals(platform), listener=record).take(
            candidates(platform, folder)
        )
    assert len(pieces) == 1
    assert [upload.filename for upload in record.added] == ["clip0000.mp4"]
    assert is_whole(platform)


@pytest.mark.parametrize("probing", [True, False])
def test_what_changes_meanwhile_is_skipped(platform: Platform, clips: Clips, tmp_path: Path, probing: bool) -> None:
    """Files that vanish, grow, or become something else between being found and being stored; the rest goes on."""
    folder = fill(tmp_path / "footage", clips.short(), 6)
    found = candidates(platform, folder)
    (folder / "clip0000.mp4").unlink()
    with (folder / "clip0001.mp4").open("ab") as file:
        file.write(b"\0\0\0\x08free")
    (folder / "clip0002.mp4").unlink()
    (folder / "clip0002.mp4").mkdir()
    (folder / "clip0003.mp4").unlink()
    os.mkfifo(folder / "clip0003.mp4")
    record = Record()
    batch(platform, record, probing=probing).take(found)
    assert record.codes == {f"clip000{number}.mp4": "INPUT_UNREADABLE" for number in range(4)}
    assert sorted(upload.filename for upload in record.added) == ["clip0004.mp4", "clip0005.mp4"]
    assert is_whole(platform)


@pytest.mark.parametrize(
    ("beat_s", "files", "at_least"), [(600.0, 250, 200), (0.0, 10, 1)], ids=["when many are stored", "at every beat"]
)
def test_the_work_can_begin_before_all_is_added(
    platform: Platform,
    clips: Clips,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    beat_s: float,
    files: int,
    at_least: int,
) -> None:
    """Jobs are there before the last file is done with, be it for the number of files or for the time."""
    monkeypatch.setattr("mediajobs_dagster.intake.batch._BEAT_S", beat_s)
    folder = fill(tmp_path / "footage", clips.short(), files)
    waiting: list[int] = []
    record = Record()
    record.on_done = lambda: waiting.append(len(platform.history.jobs.list(JobFilter(), limit=1000)))
    batch(platform, record, probing=False).take(candidates(platform, folder))
    assert waiting[files - 2] >= at_least
    assert len(record.enqueued) == files


def test_two_at_once_make_each_upload_once(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """In each other's way from the first file to the last: no copy is left over, both know the same uploads."""
    folder = fill(tmp_path / "footage", clips.short(), 60)
    with ThreadPoolExecutor(2) as pool:
        records = list(pool.map(lambda _: take(platform, folder, probing=False), range(2)))
    # Whoever came second is told of the other's.
    ids = [{upload.id for upload in (*record.added, *record.known)} for record in records]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 60
    assert len(platform.history.jobs.list(JobFilter(), limit=1000)) == 60
    assert is_whole(platform)


def test_what_a_killed_intake_left_is_removed_by_the_next(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """Objects that were noted and never registered, and parts of them; nothing of an upload that is registered."""
    folder = fill(tmp_path / "footage", clips.short(), 2)
    upload = take(platform, folder).added[0]
    for orphan in ("orphan-1", "orphan-2"):
        platform.storage.put(clips.short(), upload_source_key(orphan), content_type="video/mp4")
    part = platform.output(upload_source_key("orphan-2")).with_name(".mediajobs-0.part")
    part.write_bytes(b"half")
    # The last line was cut off by the kill: its upload had not begun.
    (journals(platform) / "0.uploads").write_text(f"{upload.id}\norphan-1\norphan-2\norph")
    take(platform, folder)
    assert is_whole(platform)
    assert not part.exists()


def test_looking_first_touches_nothing(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """What is known, what would be added and what it holds, what would be skipped and why."""
    folder = fill(tmp_path / "footage", clips.landscape(), 2)
    (folder / "notes.txt").write_text("notes")
    take(platform, folder / "clip0000.mp4")
    record = Record()
    seen = {each.candidate.filename: each for each in batch(platform, record).inspect(candidates(platform, folder))}
    assert {name: each.known for name, each in seen.items()} == {
        "clip0000.mp4": True,
        "clip0001.mp4": False,
        "notes.txt": False,
    }
    info, fault = seen["clip0001.mp4"].info, seen["notes.txt"].fault
    assert info
    assert info.duration_seconds == pytest.approx(3, abs=0.1)
    assert fault
    assert fault.code == "INPUT_NOT_MEDIA"
    assert record == Record(on_done=record.on_done)
    assert len(list(platform.storage.list(""))) == 1


def test_what_was_stored_for_another_history_is_left_alone(
    platform: Platform, open_platform: Callable[..., Platform], clips: Clips, tmp_path: Path
) -> None:
    """Over the same storage, this history cannot tell which uploads of the other one are registered."""
    upload = take(platform, fill(tmp_path / "footage", clips.short(), 1)).added[0]
    (journals(platform) / "0.uploads").write_text(f"{upload.id}\n")
    other = open_platform(database_url=f"sqlite:///{tmp_path / 'other.db'}")
    take(other, clips.landscape())
    assert platform.storage.find(upload.storage_key) is not None
    take(platform, clips.landscape())
    assert not list(journals(platform).iterdir())
    assert platform.storage.find(upload.storage_key) is not None


# --- S3 --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_s3(open_platform: Callable[..., Platform], s3_settings: Settings) -> Platform:
    """A platform whose objects lie on S3."""
    return open_platform(**s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"}))


def test_a_prefix_of_another_bucket_is_copied(
    on_s3: Platform, s3_server: S3Server, clips: Clips, tmp_path: Path
) -> None:
    """Each object is probed where it lies and copied if it is media; the second time nothing is."""
    bucket = s3_server.make_bucket()
    fill(s3_server.root / bucket / "in", clips.landscape(), 3)
    (s3_server.root / bucket / "in" / "notes.txt").write_text("notes")
    first = take(on_s3, f"s3://{bucket}/in/")
    assert sorted(upload.filename for upload in first.added) == [f"clip{number:04}.mp4" for number in range(3)]
    assert all(upload.media_info and upload.storage_key == upload_source_key(upload.id) for upload in first.added)
    assert first.codes == {"notes.txt": "INPUT_NOT_MEDIA"}
    second = take(on_s3, f"s3://{bucket}/in/")
    assert (len(second.known), second.added, second.enqueued) == (3, [], [])
    assert is_whole(on_s3)
    assert {outcome.status for outcome in on_s3.work()} == {AttemptStatus.SUCCESS}


@pytest.mark.parametrize("is_ours", [False, True])
@pytest.mark.parametrize("name", ["logo.png", "photo.heic"])
def test_an_image_on_s3_is_taken_in(
    on_s3: Platform, s3_server: S3Server, tmp_path: Path, is_ours: bool, name: str
) -> None:
    """Known as what it is, so that a timeline can use it at once; nothing of the look at it is left."""
    image = Image.new("RGB", (64, 48), "red")
    if name == "logo.png":
        image.save(tmp_path / name)
    else:
        written(tmp_path / name, image)
    place = on_s3.storage if is_ours else open_place(on_s3, s3_server.make_bucket())
    place.put(tmp_path / name, "in/logo.png", content_type="image/png")
    record = Record()
    prober = Prober.from_settings(on_s3.settings, images=True)
    intake = Intake(on_s3.history, on_s3.storage)
    found = candidates(on_s3, f"{place.url}in/logo.png")
    BatchIntake(intake, Order(THUMB), prober, journals(on_s3), listener=record).take(found)
    (upload,) = record.added
    assert upload.media_info
    assert upload.media_info.is_image
    assert upload.media_info.main_video
    assert upload.media_info.main_video.display_size == (64, 48)
    assert record.enqueued == []


def open_place(platform: Platform, bucket: str) -> Storage:
    """Another bucket of the same server."""
    return open_storage(platform.settings.model_copy(update={"storage_url": f"s3://{bucket}"}))


def test_a_prefix_of_our_own_stays_where_it_is(on_s3: Platform, clips: Clips) -> None:
    """Nothing is copied, and what is no media stays, too; an object that vanishes meanwhile is skipped."""
    for name in ("a.mp4", "b.mp4", "gone.mp4"):
        on_s3.storage.put(clips.short(), f"incoming/{name}", content_type="video/mp4")
    on_s3.storage.put(clips.text_named_mp4(), "incoming/text.mp4", content_type="video/mp4")
    found = candidates(on_s3, f"{on_s3.storage.url}incoming/")
    on_s3.storage.delete("incoming/gone.mp4")
    record = Record()
    batch(on_s3, record).take(found)
    assert sorted(upload.storage_key for upload in record.added) == ["incoming/a.mp4", "incoming/b.mp4"]
    assert all(upload.media_info for upload in record.added)
    assert record.codes == {"text.mp4": "INPUT_NOT_MEDIA", "gone.mp4": "STORAGE_MISSING"}
    assert len(list(on_s3.storage.list(""))) == 3


def test_objects_are_probed_at_an_address_of_ours(on_s3: Platform, clips: Clips) -> None:
    """It is good on this machine and as long as it is needed; a signed one would be good anywhere, for an hour."""
    on_s3.storage.put(clips.short(), "in/a.mp4", content_type="video/mp4")
    (candidate,) = candidates(on_s3, f"{on_s3.storage.url}in/a.mp4")
    with closing(RangeServer()) as ranges:
        with candidate.opened(ranges, whole=False) as address:
            assert address.startswith("http://127.0.0.1:")
            assert "Signature" not in address
            with urlopen(address) as answer:
                assert answer.read() == clips.short().read_bytes()
        with pytest.raises(HTTPError, match="404"):
            urlopen(address)


def test_files_go_to_s3_side_by_side(on_s3: Platform, clips: Clips, tmp_path: Path) -> None:
    folder = fill(tmp_path / "footage", clips.short(), 20)
    record = take(on_s3, folder)
    assert len(record.added) == 20
    assert record.bytes == sum(upload.bytes for upload in record.added)
    assert is_whole(on_s3)


def test_a_fault_of_all_ends_it_and_keeps_what_is_done(
    open_platform: Callable[..., Platform],
    s3_settings: Settings,
    faulty_s3: FaultyS3,
    clips: Clips,
    tmp_path: Path,
) -> None:
    """The server fails in the middle: that is raised, what was stored is registered, and it can be repeated."""
    behind_proxy = faulty_s3.settings(s3_settings)
    platform = open_platform(**behind_proxy.model_dump(exclude={"home", "scratch_dir", "database_url"}))
    folder = fill(tmp_path / "footage", clips.short(), 40)
    record = Record()
    record.on_done = lambda: faulty_s3.answer(503, method="PUT") if len(record.done) == 5 else None
    with pytest.raises(StorageUnavailableError):
        batch(platform, record, probing=False).take(candidates(platform, folder))
    assert 5 <= len(record.added) < 40

    faulty_s3.heal()
    again = take(platform, folder, probing=False)
    assert len(again.known) == len(record.added)
    assert len(again.added) == 40 - len(record.added)
    assert is_whole(platform)


def test_a_reason_names_the_object_and_not_where_it_was_read(
    on_s3: Platform, s3_server: S3Server, clips: Clips
) -> None:
    """It is read at an address of this machine, which means nothing to anybody else."""
    bucket = s3_server.make_bucket()
    folder = s3_server.root / bucket / "in"
    folder.mkdir(parents=True)
    whole = clips.landscape().read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "noise.mp4").write_bytes(whole[:32] + bytes(range(256)) * 400)
    (folder / "notes.mp4").write_text("notes")
    added = on_s3.media.add(f"s3://{bucket}/in/")
    assert added.skipped
    for each in added.skipped:
        assert "127.0.0.1" not in each.reason
