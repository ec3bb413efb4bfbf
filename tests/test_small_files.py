"""Files that a user names are read without waiting, only if they are files, and to their limit."""

from __future__ import annotations

import os
import signal
import socket
import tracemalloc
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from mediajobs_dagster.errors import MediaJobsError, RequestError
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.serving.address import workspace_file
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.small_files import open_regular, read_small
from mediajobs_dagster.storage.storage_map import load_storage_map
from mediajobs_dagster.timelines.documents import read_document
from mediajobs_dagster.timelines.text.font_files import faces_of
from mediajobs_dagster.timelines.text.fonts import Fonts

GiB = 1 << 30
MOST_BYTES = 12 << 20
"""What reading a hostile file may take of Python's memory."""


@contextmanager
def at_once() -> Generator[None]:
    """The block ends within five seconds, and takes little memory."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("It waits for ever.")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 5)
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
        assert peak < MOST_BYTES
    finally:
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(8 * GiB)


HOSTILE = (a_pipe, a_link_to_a_device, a_folder, a_huge_file)


# --- the function ----------------------------------------------------------------------------------------------------


def test_a_file_is_read_to_its_limit(tmp_path: Path) -> None:
    """A byte more is a byte too many."""
    (tmp_path / "a").write_bytes(b"x" * 2048)
    assert read_small(tmp_path / "a", 2048) == b"x" * 2048
    with pytest.raises(RequestError, match="more than 1 KiB, the most for a poem"):
        read_small(tmp_path / "a", 2047, "a poem")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert len(read_small(tmp_path / "link", 4096)) == 2048
    assert read_small(Path("/proc/self/status"), 1 << 20).startswith(b"Name:")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (a_pipe, "it is not a file but a pipe"),
        (a_link_to_a_device, "it is not a file but a device"),
        (a_folder, "it is not a file but a folder"),
        (a_huge_file, "more than 4 KiB"),
        (lambda path: path.symlink_to(path), "levels of symbolic links"),
        (lambda path: path.symlink_to("/proc/self/mem"), "cannot be read"),
        (lambda _: None, "No such file"),
    ],
)
def test_anything_else_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    """In a sentence that says what it is."""
    make(tmp_path / "x")
    with at_once(), pytest.raises(RequestError, match=said):
        read_small(tmp_path / "x", 4096)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # its path may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x")
        with pytest.raises(RequestError, match="a socket"):
            read_small(tmp_path / "x", 4096)


@pytest.mark.parametrize("name", ["zero\0", "half\ud800", "x" * 300, "bytes\udcff", "line\nbreak\x1b[2J"])
def test_a_name_that_is_none_is_told_in_printable_characters(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        open_regular(tmp_path / name)
    assert caught.value.message.isprintable()


def test_a_writer_that_waits_at_a_pipe_is_not_woken(tmp_path: Path) -> None:
    """It would take the one that looked for its reader, and die of a broken pipe."""
    os.mkfifo(tmp_path / "x")
    with pytest.raises(RequestError):
        open_regular(tmp_path / "x")
    with pytest.raises(OSError, match="No such device"):  # nobody has it open for reading
        os.open(tmp_path / "x", os.O_WRONLY | os.O_NONBLOCK)


# --- everything that a user names ------------------------------------------------------------------------------------


def captions(path: Path) -> None:
    """Read a timeline whose captions are at `path`."""
    timeline = path.with_name("edit.json")
    timeline.write_text(f'{{"layers": [{{"kind": "captions", "file": "{path.name}"}}]}}')
    (fault,) = read_document(timeline).faults
    raise RequestError(fault.message)


def in_a_folder(path: Path) -> None:
    """Read a bundle whose timeline is at `path`."""
    folder = path.with_name("edit.otiod")
    folder.mkdir()
    path.rename(folder / "content.otio")
    read_document(folder)


def dagster_yaml(path: Path) -> None:
    """Open Dagster's instance with its configuration at `path`."""
    path.rename(path.with_name("dagster.yaml"))
    open_instance(Settings.load(_env_file=None), path.parent)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "timeline": ("edit.json", read_document),
    "OpenTimelineIO": ("edit.otio", read_document),
    "packed bundle": ("edit.otioz", read_document),
    "bundle": ("content.otio", in_a_folder),
    "decision list": ("edit.edl", read_document),
    "SubRip": ("talk.srt", captions),
    "WebVTT": ("talk.vtt", captions),
    "settings": (".env", lambda path: Settings.load(_env_file=path)),
    "storage map": ("storage_map.json", load_storage_map),
    "workspace": ("workspace.yaml", workspace_file),
    "Dagster's configuration": ("instance.yaml", dagster_yaml),
}


@pytest.mark.parametrize("make", HOSTILE)
@pytest.mark.parametrize("what", READERS)
def test_whatever_a_user_names_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, make: Callable[[Path], None]
) -> None:
    """If it is no file, or one without end: in a sentence, without waiting, and without its bytes in memory."""
    monkeypatch.chdir(tmp_path)
    name, read = READERS[what]
    make(tmp_path / name)
    with at_once(), pytest.raises(MediaJobsError):
        read(tmp_path / name)


def test_settings_in_the_working_folder_are_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe named .env would hold every command."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(".env")
    with at_once(), pytest.raises(MediaJobsError, match="pipe"):
        Settings.load()


def test_the_home_of_dagster_is_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    os.mkfifo(tmp_path / "dagster.yaml")
    with at_once(), pytest.raises(MediaJobsError, match="pipe"):
        open_instance(Settings.load(_env_file=None))


@pytest.mark.parametrize("make", HOSTILE)
def test_what_only_looks_like_a_font_is_none(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.ttf")
    with at_once():
        assert list(faces_of(tmp_path / "x.ttf")) == []
        assert Fonts((tmp_path,)).face("Noto Sans", 400, False)


@pytest.mark.parametrize("count", [1 << 30, 1 << 31])
def test_a_font_that_declares_gigabytes_is_none(tmp_path: Path, count: int) -> None:
    """As a collection of a billion faces, and as a table of two gigabytes."""
    for head in (
        b"ttcf\0\1\0\0" + count.to_bytes(4),
        b"\0\1\0\0\0\2" + bytes(6) + b"".join(tag + bytes(8) + count.to_bytes(4) for tag in (b"glyf", b"cmap")),
    ):
        with (tmp_path / "x.ttf").open("wb") as file:
            file.write(head)
            file.truncate(8 * GiB)
        with at_once():
            assert list(faces_of(tmp_path / "x.ttf")) == []


# --- archives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_is_unpacked_to_the_limit_only(tmp_path: Path, method: int) -> None:
    """A few KiB of zeros, packed, are many MiB; some methods would unpack them all at once."""
    with (
        zipfile.ZipFile(tmp_path / "edit.otioz", "w", method, compresslevel=9) as archive,
        archive.open("content.otio", "w", force_zip64=True) as file,
    ):
        for _ in range(16):
            file.write(bytes(1 << 20))
    with at_once(), pytest.raises(RequestError, match=r"more than 4 MiB|method that is not supported"):
        read_document(tmp_path / "edit.otioz")


def test_the_directory_of_an_archive_is_not_read_without_end(tmp_path: Path) -> None:
    """The end of the file may say that it has gigabytes."""
    size = 3 * GiB
    with (tmp_path / "edit.otioz").open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(b"PK\5\6" + bytes(4) + b"\1\0\1\0" + size.to_bytes(4, "little") + bytes(6))
    with at_once(), pytest.raises(RequestError, match="directory has more than 1 MiB"):
        read_document(tmp_path / "edit.otioz")


def test_one_file_named_a_thousand_times_is_not_held_a_thousand_times(tmp_path: Path) -> None:
    """A timeline of a few KiB may ask for gigabytes of captions."""
    (tmp_path / "talk.srt").write_bytes(b"x" * ((4 << 20) - 1))
    layers = ", ".join(['{"kind": "captions", "file": "talk.srt"}'] * 1000)
    (tmp_path / "edit.json").write_text(f'{{"layers": [{layers}]}}')
    document = read_document(tmp_path / "edit.json")
    assert len(document.faults) >= 996
    assert "more than 16 MiB in all" in document.faults[-1].message
