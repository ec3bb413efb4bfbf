"""What every storage does, shown on a local folder and on a real S3 server alike."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mediajobs_dagster.errors import (
    CancelledError,
    DiskFullError,
    KeyRefusedError,
    StorageError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.models import StorageOp
from mediajobs_dagster.storage import Storage

MakeFile = Callable[..., Path]
MB = 1_000_000
TYPE = "application/octet-stream"


@pytest.mark.parametrize("size", [0, 1, 70_000, 40 * MB], ids=["empty", "one byte", "small", "in parts"])
def test_what_was_put_is_got_back(storage: Storage, make_file: MakeFile, tmp_path: Path, size: int) -> None:
    """Content, size and etag survive, whether the object goes in one piece or in parts, and every byte is reported."""
    source, target = make_file(os.urandom(size)), tmp_path / "target"
    up: list[int] = []
    down: list[int] = []
    stored = storage.put(source, "uploads/a/source", content_type=TYPE, on_bytes=up.append)
    fetched = storage.get("uploads/a/source", target, on_bytes=down.append)
    assert _digest(target) == _digest(source)
    assert stored == fetched == storage.stat("uploads/a/source")
    assert (stored.key, stored.bytes, sum(up), sum(down)) == ("uploads/a/source", size, size, size)
    assert stored.etag
    assert abs(stored.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert stored.modified.utcoffset() == timedelta(0)


def test_an_object_that_is_not_there_is_missing(storage: Storage, tmp_path: Path) -> None:
    """SourceUse raises, `find` gives None, and no file appears."""
    target = tmp_path / "target"
    assert storage.find("uploads/none/source") is None
    for read in (storage.stat, storage.read, lambda key: storage.get(key, target), lambda key: storage.copy(key, "b")):
        with pytest.raises(StorageMissingError, match="uploads/none/source"):
            read("uploads/none/source")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_objects_is_not_an_object(storage: Storage, make_file: MakeFile) -> None:
    """The part of a key before a slash names nothing by itself."""
    storage.put(make_file(), "uploads/a/source", content_type=TYPE)
    assert storage.find("uploads/a") is None
    assert [stat.key for stat in storage.list("uploads/a")] == ["uploads/a/source"]


def test_deleting_twice_is_deleting_once(storage: Storage, make_file: MakeFile) -> None:
    storage.put(make_file(), "a/b", content_type=TYPE)
    storage.delete("a/b")
    storage.delete("a/b")
    assert storage.find("a/b") is None


def test_reading_stops_at_the_limit(storage: Storage, make_file: MakeFile) -> None:
    """An object of just the limit is read; one byte more is refused before any is moved."""
    storage.put(make_file(b"12345678"), "a", content_type=TYPE)
    ops: list[StorageOp] = []
    assert storage.read("a", limit=8) == b"12345678"
    with pytest.raises(StorageError, match="has 8 bytes; at most 7"):
        storage.observed(ops.append).read("a", limit=7)
    assert [op.bytes for op in ops] == [0]


def test_a_part_is_of_the_content_that_was_meant(storage: Storage, make_file: MakeFile) -> None:
    """Any part of it; never of what replaced it."""
    stat = storage.put(make_file(b"12345678"), "a", content_type=TYPE)
    assert [storage.read_part(stat, start, 3) for start in (0, 5)] == [b"123", b"678"]
    with pytest.raises(StorageError):
        storage.read_part(stat, 6, 3)
    storage.put(make_file(b"another 12345678"), "a", content_type=TYPE)
    with pytest.raises(StorageUnavailableError, match="replaced meanwhile"):
        storage.read_part(stat, 0, 3)
    storage.delete("a")
    with pytest.raises(StorageMissingError):
        storage.read_part(stat, 0, 3)


def test_another_content_has_another_etag(storage: Storage, make_file: MakeFile) -> None:
    """Even of the same size and stored at once after the first."""
    etags = [storage.put(make_file(bytes([n])), "a", content_type=TYPE).etag for n in range(10)]
    assert len(set(etags)) == 10


def test_a_copy_stands_by_itself(storage: Storage, make_file: MakeFile) -> None:
    storage.put(make_file(b"first"), "a/source", content_type=TYPE)
    copied = storage.copy("a/source", "b/source")
    storage.put(make_file(b"second"), "a/source", content_type=TYPE)
    assert copied == storage.stat("b/source")
    assert storage.read("b/source") == b"first"


def test_a_listing_is_by_prefix_and_in_order(storage: Storage, make_file: MakeFile) -> None:
    """A prefix may end within a segment; the order is that of the UTF-8 bytes of whole keys."""
    keys = ["a-b/x", "a/x", "a/é", "a/y/z", "a/ya", "ab", "b/x"]
    for key in keys:
        storage.put(make_file(key.encode()), key, content_type=TYPE)
    assert [stat.key for stat in storage.list("")] == sorted(keys, key=str.encode)
    assert [stat.key for stat in storage.list("a/")] == ["a/x", "a/y/z", "a/ya", "a/é"]
    assert [stat.key for stat in storage.list("a/y")] == ["a/y/z", "a/ya"]
    assert list(storage.list("none/")) == []
    assert all(stat == storage.stat(stat.key) for stat in storage.list("a"))


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", "a\\b", "a\0b", "a\nb"])
def test_no_operation_takes_a_key_that_escapes(storage: Storage, make_file: MakeFile, tmp_path: Path, key: str) -> None:
    source = make_file()
    storage.put(source, "kept", content_type=TYPE)
    calls: list[Callable[[], object]] = [
        lambda: storage.stat(key),
        lambda: storage.find(key),
        lambda: storage.get(key, tmp_path / "target"),
        lambda: storage.read(key),
        lambda: storage.put(source, key, content_type=TYPE),
        lambda: storage.delete(key),
        lambda: storage.abandon(key),
        lambda: storage.copy(key, "x"),
        lambda: storage.copy("kept", key),
        lambda: storage.import_object("s3://bucket/key", key),
        lambda: list(storage.list(f"{key}/")),
    ]
    for call in calls:
        with pytest.raises(KeyRefusedError):
            call()
    assert [stat.key for stat in storage.list("")] == ["kept"]


def test_concurrent_puts_end_with_one_whole_object(storage: Storage, make_file: MakeFile) -> None:
    """Readers meanwhile see one whole object or another, never a mixture."""
    sources = [make_file(bytes([n]) * 300_000, f"input{n}") for n in range(8)]
    storage.put(sources[0], "a", content_type=TYPE)
    with ThreadPoolExecutor(8) as pool:
        puts = [pool.submit(storage.put, source, "a", content_type=TYPE) for source in sources]
        reads = [pool.submit(storage.read, "a") for _ in range(8)]
    contents = [storage.read("a"), *(read.result() for read in reads if read.exception() is None)]
    assert all(put.exception() is None for put in puts)
    assert {(len(content), len(set(content))) for content in contents} == {(300_000, 1)}


def test_each_operation_is_reported(storage: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    """With its bytes, failures too; the storage that was observed stays silent, and listeners add up."""
    ops: list[StorageOp] = []
    twice: list[StorageOp] = []
    seen = storage.observed(ops.append).observed(twice.append)
    storage.put(make_file(b"unseen"), "unseen", content_type=TYPE)
    seen.put(make_file(b"12345"), "a", content_type=TYPE)
    seen.get("a", tmp_path / "target")
    seen.stat("a")
    seen.find("none")
    seen.copy("a", "b")
    list(seen.list("b"))
    seen.delete("b")
    with pytest.raises(StorageMissingError):
        seen.get("none", tmp_path / "none")
    assert [(op.op, op.key, op.bytes, op.status) for op in ops] == [
        ("put", "a", 5, "ok"),
        ("get", "a", 5, "ok"),
        ("head", "a", 0, "ok"),
        ("head", "none", 0, "ok"),
        ("copy", "b", 5, "ok"),
        ("list", "b", 0, "ok"),
        ("delete", "b", 0, "ok"),
        ("get", "none", 0, "STORAGE_MISSING"),
    ]
    assert {op.bucket for op in ops} == {storage.bucket}
    assert all(0 <= op.duration_ms < 10_000 for op in ops)
    assert twice == ops


def test_a_listener_for_bytes_can_stop_a_transfer(storage: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    """What it raises arrives unchanged, is on record, and leaves nothing behind on either side."""
    source, target = make_file(os.urandom(20 * MB)), tmp_path / "target"
    ops: list[StorageOp] = []

    def stop(_: int) -> None:
        raise CancelledError("enough")

    storage.put(source, "whole", content_type=TYPE)
    with pytest.raises(CancelledError, match="enough"):
        storage.observed(ops.append).get("whole", target, on_bytes=stop)
    with pytest.raises(CancelledError, match="enough"):
        storage.observed(ops.append).put(source, "stopped", content_type=TYPE, on_bytes=stop)
    assert [(op.op, op.status) for op in ops] == [("get", "CANCELLED"), ("put", "CANCELLED")]
    assert storage.find("stopped") is None
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["input"]


def test_a_full_disk_is_named_and_leaves_nothing(storage: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    """The limit on file sizes stands in for the end of the disk: the kernel refuses to write further in both cases."""
    storage.put(make_file(os.urandom(3 * MB)), "large", content_type=TYPE)
    folder = tmp_path / "scratch"
    folder.mkdir()
    with _file_size_limit(1 * MB), pytest.raises(DiskFullError, match=r"target.*scratch.*MEDIAJOBS_SCRATCH_DIR"):
        storage.get("large", folder / "target")
    assert list(folder.iterdir()) == []


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(
    storage: Storage, make_file: MakeFile, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(StorageMissingError):
        storage.get("none", target)
    assert target.read_bytes() == b"old"
    storage.put(make_file(b"new"), "a", content_type=TYPE)
    storage.get("a", target)
    assert target.read_bytes() == b"new"


def test_the_check_says_what_it_did_and_leaves_nothing(storage: Storage) -> None:
    ops: list[StorageOp] = []
    said = storage.observed(ops.append).check()
    assert storage.url in said
    assert [op.op for op in ops] == ["put", "get", "list", "delete"]
    assert list(storage.list("")) == []


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
