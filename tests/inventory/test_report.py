"""What a storage report counts, on a folder and on S3, and what it never takes for a report."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from mediajobs_dagster.errors import (
    CancelledError,
    SettingsError,
    StorageDeniedError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.history import History
from mediajobs_dagster.inventory.report import Amount, Finding, PrefixFigures, StorageReport
from mediajobs_dagster.models import new_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import ObjectStat, Unfinished, open_storage
from mediajobs_dagster.storage.local import LocalStorage
from tests.attempts.test_storage_sweep import begin_writing
from tests.inventory.conftest import MakeMap, Store
from tests.servers.faulty_s3 import FaultyS3
from tests.servers.s3 import S3Server

NOBODY = 65534


def of(report: StorageReport, prefix: str) -> PrefixFigures:
    """The figures of one prefix."""
    return next(each for each in report.prefixes if each.prefix == prefix)


def found(report: StorageReport, finding: Finding) -> set[str]:
    """The keys that are listed with that finding."""
    return {each.key for each in report.examples if each.finding is finding}


def amount(objects: int) -> Amount:
    """So many objects of five bytes."""
    return Amount(objects=objects, bytes=5 * objects)


def test_each_object_is_counted_for_what_it_is(store: Store) -> None:
    """Sources and outputs that are named; left over, unknown, misfit, missing; prefixes that the map lacks."""
    one, two = store.upload(), store.upload()
    gone = store.upload(is_there=False)
    in_place = store.upload(key="footage/a.mov")
    store.output(one.id)
    lacking = store.output(two.id, is_there=False)
    lost, running = store.lost(one.id), store.running(two.id)
    store.put(f"thumbs/uploads/x/{new_id()}/thumb.jpg")
    store.put("thumbs/odd")
    begin_writing(store.storage, f"uploads/{new_id()}/source")

    report = store.inventory().take()

    assert (report.objects, report.bytes) == (8, 40)
    assert found(report, Finding.MISSING) == {gone.storage_key, lacking}
    assert report.missing == 2
    assert report.is_missing_checked
    assert found(report, Finding.LEFT_OVER) == {lost}
    assert (of(report, "thumbs/").left_over, of(report, "thumbs/").not_in_history) == (amount(1), amount(2))
    assert (of(report, "uploads/").objects, of(report, "uploads/").missing) == (2, 1)
    assert of(report, "uploads/").unfinished == report.unfinished == 1
    assert found(report, Finding.MISFIT) == {"thumbs/odd"}
    footage = of(report, "footage/")
    assert (footage.is_known, footage.objects, report.unknown_prefixes) == (False, 1, 1)
    named = {each.key for each in report.examples}
    assert named.isdisjoint({one.storage_key, in_place.storage_key, running})
    assert store.inventory().latest() == report


def test_what_is_young_is_not_judged(store: Store) -> None:
    """An output that will be recorded in a moment is not left over, nor unknown; and nothing so new is missed yet."""
    store.days = 0.0
    store.lost()
    store.put("thumbs/odd")
    store.upload(is_there=False)
    report = store.inventory().take()
    assert (report.objects, report.left_over, report.not_in_history, report.missing) == (2, amount(0), amount(0), 0)


def test_growth_is_since_the_report_before_of_the_same_storage(store: Store, tmp_path: Path) -> None:
    """Prefix by prefix; a storage elsewhere begins anew."""
    store.put("thumbs/a")
    first = store.inventory().take()
    assert (first.growth, first.since, of(first, "thumbs/").growth) == (None, None, None)
    store.put("thumbs/b")
    store.put("new/c")
    second = store.inventory().take()
    assert (second.growth, second.since) == (amount(2), first.taken_at)
    assert (of(second, "thumbs/").growth, of(second, "proxies/").growth) == (amount(1), amount(0))
    assert of(second, "new/").growth is None
    store.storage.delete("thumbs/a")
    assert store.inventory().take().growth == amount(-1)
    elsewhere = LocalStorage(tmp_path / "elsewhere")
    assert replace(store, storage=elsewhere).inventory().take().growth is None


def test_retention_counts_what_is_in_use_apart(store: Store, a_map: MakeMap) -> None:
    """Objects older than their prefix is kept; those that an upload names are told, because they stay."""
    named = store.upload(key="cache/named")
    store.put("cache/a")
    store.put("kept/b")
    report = store.inventory(storage_map=a_map(cache=2, kept=3)).take()
    assert (report.past_retention, report.past_retention_named) == (amount(2), amount(1))
    assert found(report, Finding.PAST_RETENTION) == {"cache/a"}
    assert named.storage_key not in found(report, Finding.PAST_RETENTION)


def test_a_price_gives_the_cost_of_a_month(local: Store) -> None:
    """Without one, no cost is told; GB are those of the bill, 2^30 bytes."""
    local.put("thumbs/a", "x" * 1024 * 1024)
    assert local.inventory().take().cost_month is None
    assert local.inventory(storage_price_gb_month=10.24).take().cost_month == 0.01


def test_an_empty_storage_is_a_report_too(store: Store) -> None:
    """Of zeros, before there is a folder."""
    report = store.inventory(storage_price_gb_month=1.0).take()
    assert (report.objects, report.bytes, report.cost_month, report.examples) == (0, 0, 0.0, ())
    assert len(report.prefixes) == len(store.inventory().map.entries)


def test_a_storage_that_is_not_there_is_no_report(local: Store) -> None:
    """Objects are expected, and the folder is gone: its disk is not mounted. They are not counted as missing."""
    local.upload(is_there=False)
    with pytest.raises(StorageUnavailableError, match="is its disk mounted"):
        local.inventory().take()
    assert local.history.storage_snapshots.list() == []


def test_a_listing_that_fails_half_way_is_no_report(
    s3_store: Store, s3_server: S3Server, s3_bucket: str, faulty_s3: FaultyS3
) -> None:
    """The second page never comes: an error with its code, and the next report compares with the last whole one."""
    folder = s3_server.root / s3_bucket / "media/thumbs"
    folder.mkdir(parents=True)
    for number in range(1001):
        (folder / f"{number:04}").write_text("12345")
    through = replace(s3_store, storage=open_storage(faulty_s3.settings(s3_store.settings)))
    faulty_s3.answer(503, key="continuation-token")
    with pytest.raises(StorageUnavailableError):
        through.inventory().take()
    assert s3_store.history.storage_snapshots.list() == []
    faulty_s3.heal()
    whole = through.inventory().take()
    assert (whole.objects, whole.requests) == (1001, 2)  # pages of a listing; not one request an object
    s3_store.put("thumbs/new")
    faulty_s3.answer(503, key="?uploads")
    with pytest.raises(StorageUnavailableError):
        through.inventory().take()
    faulty_s3.heal()
    report = through.inventory().take()
    assert (report.growth, report.since) == (amount(1), whole.taken_at)


def test_missing_objects_cost_a_bounded_number_of_requests(s3_store: Store) -> None:
    """Up to a thousand are asked for again; of more, the report says that it did not ask."""
    uploads = [s3_store.upload(is_there=False) for _ in range(3)]
    report = s3_store.inventory().take()
    assert (report.missing, report.is_missing_checked) == (3, True)
    assert report.requests == 1 + len(uploads)
    s3_store.history.uploads.register(
        [uploads[0].model_copy(update={"id": new_id(), "storage_key": f"uploads/{n}/source"}) for n in range(1000)],
        lambda _: [],
    )
    report = s3_store.inventory().take()
    assert (report.missing, report.is_missing_checked) == (1003, False)
    assert report.requests < 300


def test_an_object_that_comes_while_the_report_is_made_is_not_missed(local: Store) -> None:
    """An export that is made again has a new key under an old name: it is asked for once more."""
    upload = local.upload()

    class Late(LocalStorage):
        @override
        def walk(self, prefix: str = "") -> Iterator[ObjectStat | Unfinished]:
            return (each for each in super().walk(prefix) if each.key != upload.storage_key)

    assert isinstance(local.storage, LocalStorage)
    late = replace(local, storage=Late(local.storage.root))
    assert late.inventory().take().missing == 0


def test_a_folder_that_cannot_be_read_is_no_report(local: Store) -> None:
    """It is named; what lies in it is not taken for missing."""
    local.put("thumbs/a/b")
    local.upload()
    assert isinstance(local.storage, LocalStorage)
    root = local.storage.root
    (root / "thumbs/a").chmod(0)
    for folder in (root, *root.parents):  # whoever runs the tests may have closed them to others
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    with _ordinary_user(), pytest.raises(StorageDeniedError, match=r"Not allowed to list thumbs/a/ in"):
        list(local.storage.walk())


def test_a_report_that_is_cancelled_ends_at_once(local: Store) -> None:
    """Between two pages of the listing; nothing is stored."""
    local.put("thumbs/a")

    def cancel(_: float | None) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        local.inventory().take(progress=cancel)
    assert local.history.storage_snapshots.list() == []


def test_progress_goes_by_the_report_before(local: Store) -> None:
    """Unknown at first; then it grows to the end of the walk and stays below one."""
    for number in range(3):
        local.put(f"thumbs/{number}")
    shares: list[float | None] = []
    local.inventory().take(progress=shares.append)
    assert shares[0] is None
    shares.clear()
    local.inventory().take(progress=shares.append)
    assert shares == sorted(shares, key=lambda share: share or 0.0)
    assert 0 < (shares[0] or 0) <= (shares[-1] or 0) < 1


def test_unknown_prefixes_are_bounded(local: Store) -> None:
    """A bucket with thousands of them: the first hundred by name, the others together."""
    for number in range(103):
        local.put(f"p{number}/a")
    local.put("loose")
    report = local.inventory().take()
    others = [each for each in report.prefixes if not each.is_known]
    assert len(others) == 101
    assert of(report, "(others)").objects == 4
    assert sum(each.objects for each in others) == 104


def test_names_that_are_no_text_are_counted(local: Store) -> None:
    """A file whose name is no UTF-8, put there by something else."""
    assert isinstance(local.storage, LocalStorage)
    local.storage.root.mkdir(parents=True)
    with open(os.fsencode(local.storage.root) + b"/\xff\n.txt", "wb") as file:
        file.write(b"12345")
    report = local.inventory().take()
    assert (report.objects, of(report, "(no prefix)").objects) == (1, 1)
    assert local.inventory().latest() == report


def test_a_map_of_ones_own_has_to_be_sound(local: Store, tmp_path: Path) -> None:
    """It is read when it is needed, and its fault is named."""
    with pytest.raises(SettingsError, match="cannot be read"):
        _ = local.inventory(storage_map=tmp_path / "none.json").map


def test_a_bucket_that_is_not_there_is_no_report(s3_store: Store) -> None:
    """Nor is it an empty one."""
    settings = s3_store.settings.model_copy(update={"storage_url": "s3://no-such-bucket/media"})
    with pytest.raises(StorageMissingError):
        replace(s3_store, storage=open_storage(settings)).inventory().take()


@pytest.fixture
def s3_store(s3_settings: Settings, tmp_path: Path) -> Iterator[Store]:
    """On a real S3 server only."""
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as history:
        yield Store(s3_settings, history, open_storage(s3_settings), tmp_path / "file")


@contextmanager
def _ordinary_user() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
