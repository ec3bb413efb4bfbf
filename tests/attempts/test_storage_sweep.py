"""What the sweep of the storage removes, and above all what it leaves alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.storage_sweep import StorageSweep
from mediajobs_dagster.errors import StorageDeniedError
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.inventory.claims import SAFE_AGE, left_over
from mediajobs_dagster.models import AttemptStatus, JobStatus, new_id, result_origin, utc_now
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import ObjectStat, Storage, Unfinished, upload_source_key
from mediajobs_dagster.storage.local import LocalStorage
from mediajobs_dagster.storage.s3 import S3Storage
from tests.history.factories import an_upload, claimed, ended
from tests.platform import Platform

OpenPlatform = Callable[..., Platform]
TEXT = "text/plain"


@pytest.fixture(params=["folder", "s3"])
def sweeping(request: pytest.FixtureRequest, open_platform: OpenPlatform) -> Platform:
    """A platform on a folder, then on S3, that sweeps whenever it is asked."""
    on_s3: dict[str, Any] = {}
    if request.param == "s3":
        settings: Settings = request.getfixturevalue("s3_settings")
        on_s3 = settings.model_dump(exclude={"home", "scratch_dir", "database_url"})
    return open_platform(**on_s3 | {"sweep_interval_s": 1e-9})


def begin_writing(storage: Storage, key: str) -> None:
    """Write a part of an object, as a writer that is killed then."""
    if isinstance(storage, S3Storage):
        client: Any = storage._client()  # a writer of parts, which the storage does not offer
        where = {"Bucket": storage.bucket, "Key": f"media/{key}"}
        upload = client.create_multipart_upload(**where)["UploadId"]
        client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"half")
    else:
        path = Path(storage.url.removeprefix("file://")) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f".mediajobs-{new_id()}.part").write_bytes(b"half")


def test_only_what_no_success_names_and_nobody_writes_is_removed(sweeping: Platform, tmp_path: Path) -> None:
    """Kept: outputs that are pointed at, of running attempts, of unknown ones, of before, and uploads."""
    history, storage = sweeping.history, sweeping.storage
    source = tmp_path / "text"
    source.write_text("x")

    def publish(attempt_id: str, name: str = "a.txt") -> str:
        key = f"outputs/s/{attempt_id}/{name}"
        storage.put(source, key, content_type=TEXT)
        begin_writing(storage, key)
        return key

    running, lost, replaced, current, exported = (claimed(history, subject_id="s") for _ in range(5))
    history.leases.finish(ended(lost, AttemptStatus.LOST), job_status=JobStatus.FAILED)
    export = an_upload(
        storage_key=f"outputs/s/{exported.attempt.id}/v.mp4", origin=result_origin(exported.job.id, "v.mp4")
    )
    for claim, uploads in ((exported, [export]), (replaced, []), (current, [])):
        history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED, uploads=uploads)
    kept = [publish(running.attempt.id), publish(current.attempt.id), publish(exported.attempt.id, "v.mp4")]
    kept += [publish(new_id()), publish("s"), "outputs/s/thumb.jpg", upload_source_key(new_id())]
    for key in kept[-2:]:
        storage.put(source, key, content_type=TEXT)
    publish(lost.attempt.id)
    publish(replaced.attempt.id)
    begin_writing(storage, upload_source_key(new_id()))

    assert sweeping.media.sweep_storage() == 6  # two objects, the parts of four attempts that are over
    found = list(storage.walk())
    assert {each.key for each in found if isinstance(each, ObjectStat)} == set(kept)
    # Of the running one, of two that are not known, and of an upload that is being added.
    assert sum(isinstance(each, Unfinished) for each in found) == 4
    assert sweeping.media.sweep_storage() == 0
    if not isinstance(storage, S3Storage):
        assert not (Path(storage.url.removeprefix("file://")) / f"outputs/s/{lost.attempt.id}").exists()


def test_forgotten_parts_of_no_attempt_go_when_they_are_old(platform: Platform) -> None:
    """Ours by their name, or by the key of a source; of anything else nothing is known."""
    now = utc_now()
    old, young = now - SAFE_AGE - timedelta(seconds=1), now - SAFE_AGE + timedelta(seconds=1)
    ours = [f"uploads/{new_id()}/.mediajobs-0.part", upload_source_key(new_id())]
    foreign = ["backups/large.bin", f"backups/{new_id()}/large.bin", f"uploads/{new_id()}/other"]
    finds = [Unfinished(key, since) for key in (*ours, *foreign) for since in (old, young)]
    assert left_over(finds, platform.history, now=now) == [Unfinished(key, old) for key in ours]
    assert left_over([ObjectStat(key, 1, "e", old) for key in ours], platform.history, now=now) == []


def test_a_large_storage_is_swept_step_by_step(open_platform: OpenPlatform) -> None:
    """A thousand objects a step; after the last one the sweep rests, and then begins anew."""
    platform = open_platform(sweep_interval_s=1e-9)
    lost = claimed(platform.history)
    platform.history.leases.finish(ended(lost, AttemptStatus.LOST), job_status=JobStatus.FAILED)
    folder = platform.settings.home / "objects" / "outputs" / lost.attempt.id
    folder.mkdir(parents=True)
    for number in range(1500):
        (folder / f"{number}.txt").touch()
    assert [platform.media.sweep_storage() for _ in range(3)] == [1000, 500, 0]
    resting = open_platform(sweep_interval_s=3600)
    assert resting.media.sweep_storage() == 0
    begin_writing(resting.storage, f"outputs/{lost.attempt.id}/a.txt")
    assert resting.media.sweep_storage() == 0
    never = open_platform(sweep_interval_s=0)
    assert never.media.sweep_storage() == 0
    assert list(folder.iterdir())
    assert platform.media.sweep_storage() == 1


def test_a_sweep_goes_on_until_nothing_is_left_to_look_at(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it rests. A step takes its time, and no more: what is left over then is found by the next sweep."""
    lost = claimed(platform.history)
    lose(platform.history, lost)
    folder = platform.settings.home / "objects" / "outputs" / lost.attempt.id
    folder.mkdir(parents=True)
    for number in range(1001):
        (folder / f"{number}.txt").touch()
    sweep = StorageSweep(platform.history, lambda: platform.storage, every_s=3600)
    with monkeypatch.context() as patch:
        patch.setattr("mediajobs_dagster.attempts.storage_sweep._REMOVING_S", -1.0)
        assert sweep.step() == 0
    assert len(list(folder.iterdir())) == 1001
    assert [sweep.step() for _ in range(2)] == [1, 0]
    assert len(list(folder.iterdir())) == 1000


def test_one_step_at_a_time(platform: Platform) -> None:
    """Who comes while another thread is at it does not wait for it."""
    answers: list[int] = []

    def storage() -> Storage:
        other = threading.Thread(target=lambda: answers.append(sweep.step()), daemon=True)
        other.start()
        other.join(10)
        return platform.storage

    sweep = StorageSweep(platform.history, storage, every_s=3600)
    assert sweep.step() == 0
    assert answers == [0, 0]


def test_a_sweep_that_was_broken_off_rests(platform: Platform) -> None:
    """As after any other: a storage that is out of reach is not asked at each step."""
    asked: list[None] = []

    def storage() -> Storage:
        asked.append(None)
        raise StorageDeniedError

    sweep = StorageSweep(platform.history, storage, every_s=3600)
    assert [sweep.step() for _ in range(2)] == [0, 0]
    assert len(asked) == 1


def test_a_storage_out_of_reach_ends_the_sweep_and_no_more(open_platform: OpenPlatform, tmp_path: Path) -> None:
    """It is logged, and the next sweep tries again."""
    folder = tmp_path / "objects"
    folder.write_text("no folder")
    platform = open_platform(storage_url=(folder / "below").as_uri(), sweep_interval_s=1e-9)
    assert platform.media.sweep_storage() == 0


def test_an_object_that_stays_hides_no_other(platform: Platform, tmp_path: Path) -> None:
    """One that the storage does not let go, such as by a lock of its owner: the others go all the same."""
    history = platform.history
    source = tmp_path / "text"
    source.write_text("x")
    keys = [
        f"outputs/s/{claim.attempt.id}/a.txt" for claim in (claimed(history), claimed(history)) if lose(history, claim)
    ]
    for key in keys:
        platform.storage.put(source, key, content_type=TEXT)

    class Locked(LocalStorage):
        @override
        def _remove(self, key: str) -> None:
            if key == keys[0]:
                raise StorageDeniedError
            super()._remove(key)

    assert isinstance(platform.storage, LocalStorage)
    storage = Locked(platform.storage.root)
    assert StorageSweep(history, lambda: storage, every_s=1e-9).step() == 1
    assert [stat.key for stat in storage.list("outputs/")] == keys[:1]


def lose(history: History, claim: Claim) -> bool:
    """Record an attempt as lost."""
    return history.leases.finish(ended(claim, AttemptStatus.LOST), job_status=JobStatus.FAILED) is not None
