"""What is peculiar to a local folder."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mediajobs_dagster.errors import (
    Blame,
    DiskFullError,
    KeyRefusedError,
    RequestError,
    StorageDeniedError,
    StorageError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage
from mediajobs_dagster.storage.whole_file import whole_file

MakeFile = Callable[..., Path]
TYPE = "application/octet-stream"
NOBODY = 65534


def test_the_file_itself_is_offered_and_no_address(local: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    local.put(make_file(b"x"), "a/b", content_type=TYPE)
    path = local.local_path("a/b")
    assert path == tmp_path / "objects" / "a" / "b"
    assert path.read_bytes() == b"x"
    assert local.reader_url("a/b") is None
    with pytest.raises(StorageMissingError):
        local.local_path("a/none")


def test_files_take_their_modes_from_the_umask(local: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        local.put(make_file(), "a/b", content_type=TYPE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "objects/a/b").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "objects/a").stat().st_mode) == 0o750


@pytest.mark.parametrize("target", ["folder", "file"])
def test_no_link_leads_out_of_the_root(local: Storage, make_file: MakeFile, tmp_path: Path, target: str) -> None:
    """Nothing is read, written, listed or removed through a link to a folder or a file elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    local.put(make_file(), "kept", content_type=TYPE)
    link = tmp_path / "objects" / "link"
    link.symlink_to(outside if target == "folder" else outside / "secret")
    key = "link/secret" if target == "folder" else "link"
    calls: list[Callable[[], object]] = [
        lambda: local.stat(key),
        lambda: local.read(key),
        lambda: local.local_path(key),
        lambda: local.put(tmp_path / "input", key, content_type=TYPE),
        lambda: local.delete(key),
        lambda: local.copy(key, "copied"),
    ]
    for call in calls:
        with pytest.raises(KeyRefusedError, match="link"):
            call()
    assert [found.key for found in local.list("")] == ["kept"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_loop_of_links_is_refused(local: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    local.put(make_file(), "kept", content_type=TYPE)
    (tmp_path / "objects" / "loop").symlink_to("loop")
    with pytest.raises((KeyRefusedError, StorageMissingError), match="loop"):
        local.read("loop/x")


def test_what_is_being_written_is_no_object(local: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    """It is neither listed nor read, so one left by a writer that was killed does no harm."""
    local.put(make_file(), "a/b", content_type=TYPE)
    with whole_file(tmp_path / "objects/a/c") as partial:
        partial.write_bytes(b"half")
        assert [found.key for found in local.list("")] == ["a/b"]
        with pytest.raises(KeyRefusedError):
            local.read(f"a/{partial.name}")
    assert [found.key for found in local.list("")] == ["a/b", "a/c"]


def test_a_put_on_a_full_disk_leaves_nothing_and_keeps_the_old(
    local: Storage, make_file: MakeFile, tmp_path: Path
) -> None:
    """The fault comes in the middle of the content, where a full disk would show."""
    local.put(make_file(b"old"), "a", content_type=TYPE)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DiskFullError, match=r"No space left.*objects.*MEDIAJOBS_STORAGE_URL"):
        local.put(make_file(b"new"), "a", content_type=TYPE, on_bytes=full)
    assert local.read("a") == b"old"
    assert [path.name for path in (tmp_path / "objects").iterdir()] == ["a"]


def test_a_source_that_cannot_be_read_is_no_fault_of_the_storage(local: Storage, tmp_path: Path) -> None:
    """What the system says of the source arrives as it is, whether it fails at once or in the middle."""
    if sys.platform == "linux":
        with pytest.raises(OSError, match="Input/output error"):
            local.put(Path("/proc/self/mem"), "a", content_type=TYPE)  # opens, and its first page cannot be read
    with pytest.raises(FileNotFoundError):
        local.put(tmp_path / "nothing", "a", content_type=TYPE)
    assert list(local.list("")) == []
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []


def test_an_object_is_no_link_to_its_source(local: Storage, make_file: MakeFile) -> None:
    """A source that is edited in place leaves our object as it is."""
    source = make_file(b"before")
    local.put(source, "a", content_type=TYPE)
    with source.open("r+b") as file:
        file.write(b"after.")
    assert local.read("a") == b"before"


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no such files")
def test_a_file_that_the_kernel_does_not_move_is_read(local: Storage) -> None:
    """Files that are made as they are read have no length, and only reading gets their content."""
    stored = local.put(Path("/proc/self/cmdline"), "a", content_type=TYPE)
    assert local.read("a") == Path("/proc/self/cmdline").read_bytes()
    assert stored.bytes > 0


def test_what_a_killed_writer_left_can_be_removed(local: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    """The object and the parts of one, and of no other key."""
    for key in ("uploads/a/source", "uploads/b/source"):
        local.put(make_file(), key, content_type=TYPE)
    part = tmp_path / "objects/uploads/a/.mediajobs-0123.part"
    part.write_bytes(b"half")
    local.abandon("uploads/a/source")
    local.abandon("uploads/never/source")
    assert [stat.key for stat in local.list("")] == ["uploads/b/source"]
    assert not part.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_each_way_a_disk_is_full_is_named(tmp_path: Path, code: int) -> None:
    with pytest.raises(DiskFullError, match=os.strerror(code)), whole_file(tmp_path / "target"):
        raise OSError(code, os.strerror(code))


def test_access_that_is_denied_is_named(make_file: MakeFile) -> None:
    """As an ordinary user, whoever runs the test."""
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which an ordinary user may not enter
    storage = open_storage(Settings.load(_env_file=None, storage_url=(folder / "objects").as_uri()))
    storage.put(make_file(), "a/b", content_type=TYPE)
    source = folder / "input"
    source.write_bytes(b"new")
    folder.chmod(0o755)
    (folder / "objects" / "a").chmod(0)
    calls: list[Callable[[], object]] = [
        lambda: storage.stat("a/b"),
        lambda: storage.read("a/b"),
        lambda: storage.put(source, "a/b", content_type=TYPE),
        lambda: storage.delete("a/b"),
        lambda: list(storage.list("a/")),
    ]
    try:
        with _ordinary_user():
            for call in calls:
                with pytest.raises(StorageDeniedError, match=r"a/.*Give this user access"):
                    call()
    finally:
        (folder / "objects" / "a").chmod(0o755)
        shutil.rmtree(folder)


def test_a_key_that_the_folder_cannot_hold_is_refused(local: Storage, make_file: MakeFile) -> None:
    """A folder is no file, and a name is longer than file systems take."""
    source = make_file()
    local.put(source, "folder/file", content_type=TYPE)
    for key in ("folder", "x" * 300):
        with pytest.raises(KeyRefusedError, match="cannot hold"):
            local.put(source, key, content_type=TYPE)
        assert local.find(key) is None


def test_deleting_a_folder_deletes_nothing(local: Storage, make_file: MakeFile) -> None:
    local.put(make_file(), "a/b", content_type=TYPE)
    local.delete("a")
    assert local.find("a/b") is not None


def test_addresses_of_s3_are_refused_with_what_to_set(local: Storage) -> None:
    with pytest.raises(RequestError, match="MEDIAJOBS_STORAGE_URL"):
        local.key_of("s3://bucket/key")
    with pytest.raises(RequestError, match="MEDIAJOBS_STORAGE_URL"):
        local.import_object("s3://bucket/key", "a")
    with pytest.raises(RequestError, match="MEDIAJOBS_STORAGE_URL"):
        local.at("s3://bucket/folder/")


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


def test_a_storage_folder_that_is_gone_is_told(local: Storage, make_file: MakeFile, tmp_path: Path) -> None:
    """As when its disk is not mounted; a file in its place is an outage. All is well when the folder is back."""
    local.put(make_file(), "thumbs/a", content_type=TYPE)
    path = local.local_path("thumbs/a")
    assert path
    root, elsewhere = path.parents[1], tmp_path / "elsewhere"
    assert local.is_there
    root.rename(elsewhere)
    assert not local.is_there
    with pytest.raises(StorageMissingError, match="is its disk mounted"):
        local.stat("thumbs/a")
    root.touch()
    with pytest.raises(StorageUnavailableError, match="is a file"):
        local.stat("thumbs/a")
    root.unlink()
    elsewhere.rename(root)
    assert local.find("thumbs/a")


def test_a_file_where_a_folder_has_to_be_is_named(local: Storage, make_file: MakeFile) -> None:
    """It is no fault of the input, and whoever is on call has to know which file it is."""
    local.put(make_file(), "thumbs", content_type=TYPE)
    with pytest.raises(StorageError, match="/thumbs is a file") as caught:
        local.put(make_file(), "thumbs/uploads/a", content_type=TYPE)
    assert (type(caught.value), caught.value.blame) == (StorageError, Blame.SYSTEM)
    assert local.find("thumbs/uploads/a") is None
