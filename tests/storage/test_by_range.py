"""Parts of objects for the processes of this machine, from a real S3 server behind a proxy that breaks on demand."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.workspace import Workspace
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    CancelledError,
    InputCorruptError,
    InternalError,
    MediaJobsError,
    StorageDeniedError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.models import StorageOp
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import ObjectStat, Storage, open_storage, partly_read
from mediajobs_dagster.storage.by_range import RangeReader, RangeServer
from mediajobs_dagster.storage.local import LocalStorage
from tests.servers.faulty_s3 import FaultyS3

MakeFile = Callable[..., Path]
MiB = 1 << 20
SIZE = 5 * MiB + 12345
TYPE = "application/octet-stream"


class Served:
    """An object of random content, and how it is read."""

    def __init__(self, storage: Storage, make_file: MakeFile, folder: Path) -> None:
        self.content = os.urandom(SIZE)
        self.storage, self.folder = storage, folder
        self.stat: ObjectStat = storage.put(make_file(self.content), "a.mp4", content_type=TYPE)
        self.operations: list[StorageOp] = []
        self.server = RangeServer()
        self.opened = RangeReader.open(self.server, storage, folder, self.operations.append)
        self.reader = self.opened.__enter__()
        self.address = self.reader.address(self.stat, "source")

    def close(self) -> None:
        """Serve no more."""
        self.opened.__exit__(None, None, None)
        self.server.close()

    def get(self, wanted: str | None = None) -> tuple[int, bytes]:
        """Status and content of the answer to one request."""
        request = urllib.request.Request(self.address, headers={"Range": wanted} if wanted else {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()

    def refused(self, wanted: str | None = None) -> int:
        """The status that a request is refused with."""
        with pytest.raises(urllib.error.HTTPError) as refusal:
            self.get(wanted)
        with refusal.value:
            return refusal.value.code


@pytest.fixture
def served(faulty_s3: FaultyS3, s3_settings: Settings, make_file: MakeFile, tmp_path: Path) -> Generator[Served]:
    """An object in a bucket, reached through the proxy."""
    folder = tmp_path / "attempt"
    folder.mkdir()
    served = Served(open_storage(faulty_s3.settings(s3_settings)), make_file, folder)
    faulty_s3.bytes_sent = 0
    yield served
    served.close()


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        (None, 0, SIZE),
        ("bytes=0-", 0, SIZE),
        ("bytes=0-0", 0, 1),
        ("bytes=65535-65536", 65535, 65537),
        ("bytes=1000000-3999999", 1_000_000, 4_000_000),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes={SIZE - 10}-{SIZE + 10}", SIZE - 10, SIZE),
        (f"bytes={SIZE - 10}-{'9' * 5_000}", SIZE - 10, SIZE),
        (f"bytes={'0' * 5_000}-{'0' * 5_000}7", 0, 8),
    ],
)
def test_every_range_is_the_objects(served: Served, wanted: str | None, start: int, end: int) -> None:
    """The first and the last byte too, and ranges over the borders of what is kept."""
    for _ in range(2):  # from the storage, then from what was kept
        assert served.get(wanted) == (206 if wanted else 200, served.content[start:end])


def test_a_range_of_thousands_of_digits_is_beyond_the_end(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Python does not read such a number: it has to be refused before."""
    assert served.refused(f"bytes={'9' * 5_000}-") == 416
    assert served.get("bytes=0-0") == (206, served.content[:1])
    assert caplog.records == []


def test_what_was_read_is_not_read_again(served: Served, faulty_s3: FaultyS3) -> None:
    """The second reader of the same part costs the storage nothing, and little is read that nobody asked for."""
    served.get("bytes=2000000-3000000")
    once = faulty_s3.bytes_sent
    assert 1_000_001 <= once <= 1_000_001 + 2 * 65_536
    served.get("bytes=2000000-3000000")
    served.get("bytes=2500000-2600000")
    assert faulty_s3.bytes_sent == once
    served.reader.account()
    (operation,) = served.operations
    assert (operation.op, operation.key, operation.bytes, operation.status) == ("range_read", "a.mp4", once, "ok")
    served.reader.account()
    assert len(served.operations) == 1


def test_a_reader_who_turns_elsewhere_has_not_read_all(
    served: Served, faulty_s3: FaultyS3, make_file: MakeFile
) -> None:
    """Older programs ask for all from a byte on, and leave when they have seen enough; some is on its way by then."""
    served.content = os.urandom(40 * MiB)
    served.stat = served.storage.put(make_file(served.content), "large.mp4", content_type=TYPE)
    served.address = served.reader.address(served.stat, "large")
    where = urlsplit(served.address)
    connection = http.client.HTTPConnection(where.netloc, timeout=60)
    connection.request("GET", where.path, headers={"Range": "bytes=0-"})
    answer = connection.getresponse()
    assert answer.read(1000) == served.content[:1000]
    answer.close()
    connection.close()
    assert served.get("bytes=5-9")[1] == served.content[5:10]
    assert faulty_s3.bytes_sent < len(served.content) / 2


def test_one_connection_asks_for_one_range_after_another(served: Served) -> None:
    """As ffmpeg does, which asks for a MiB at a time."""
    where = urlsplit(served.address)
    connection = http.client.HTTPConnection(where.netloc, timeout=60)
    for start in range(0, SIZE, MiB):
        connection.request("GET", where.path, headers={"Range": f"bytes={start}-{start + MiB - 1}"})
        answer = connection.getresponse()
        assert answer.headers["Content-Range"] == f"bytes {start}-{min(start + MiB, SIZE) - 1}/{SIZE}"
        assert answer.read() == served.content[start : start + MiB]
    connection.close()


def test_many_at_once(served: Served, faulty_s3: FaultyS3) -> None:
    """Eight threads read here and there: everybody gets what was asked for, and no part is fetched twice."""
    dice = random.Random(4)
    spans = [(start := dice.randrange(SIZE), start + dice.randrange(300_000)) for _ in range(80)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda span: served.get(f"bytes={span[0]}-{span[1]}")[1], spans))
    assert answers == [served.content[start : end + 1] for start, end in spans]
    assert faulty_s3.bytes_sent <= SIZE


def test_no_more_is_kept_than_may_be(served: Served, faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over the limit is read from the storage each time."""
    monkeypatch.setattr(partly_read, "_KEPT_BLOCKS", 16)
    for _ in range(2):
        assert served.get() == (200, served.content)
    assert faulty_s3.bytes_sent == 2 * SIZE - MiB
    (kept,) = served.folder.iterdir()
    assert kept.stat().st_size == MiB


def test_requests_that_make_no_sense(served: Served) -> None:
    """Beyond the end, backwards, another path: refused; another unit is no range at all."""
    assert served.refused(f"bytes={SIZE}-") == 416
    assert served.refused("bytes=7-3") == 416
    assert served.get("lines=1-2") == (200, served.content)
    served.address += "x"
    assert served.refused() == 404


def test_an_address_is_good_as_long_as_its_reader(served: Served) -> None:
    """And no address can be told from another one."""
    other = served.reader.address(served.stat, "other")
    assert urlsplit(other).path.split("/")[1] != urlsplit(served.address).path.split("/")[1]
    served.opened.__exit__(None, None, None)
    assert served.refused() == 404
    served.opened = RangeReader.open(served.server, served.storage, served.folder, served.operations.append)
    served.reader = served.opened.__enter__()


def test_what_was_read_is_accounted_for_at_the_end(served: Served) -> None:
    """Of a reader who never asked for an account, and whatever ended its work."""
    for error in (None, KeyboardInterrupt()):
        operations: list[StorageOp] = []
        with (
            pytest.raises(KeyboardInterrupt) if error else nullcontext(),
            RangeReader.open(served.server, served.storage, served.folder, operations.append) as reader,
        ):
            reader.read_at(reader.address(served.stat, "other"), 0, 10)
            if error:
                raise error
        assert [(operation.op, operation.bytes) for operation in operations] == [("range_read", 64 * 1024)]


def test_another_content_is_not_mixed_in(served: Served, make_file: MakeFile) -> None:
    """An object that was replaced is not read on: what is kept of it belongs to the one before."""
    assert served.get("bytes=0-99")[1] == served.content[:100]
    served.storage.put(make_file(os.urandom(SIZE)), "a.mp4", content_type=TYPE)
    assert served.refused("bytes=3000000-3000099") == 424
    assert isinstance(served.reader.fault, StorageUnavailableError)
    assert "replaced meanwhile" in served.reader.fault.message
    assert served.get("bytes=0-99")[1] == served.content[:100]


def test_a_refusal_is_passed_on(served: Served, faulty_s3: FaultyS3) -> None:
    """With the storage's own error, as that of the operation too; no reader asks again after these."""
    faulty_s3.answer(403)
    assert served.refused() == 403
    assert isinstance(served.reader.fault, StorageDeniedError)
    served.reader.account()
    assert served.reader.fault is None
    faulty_s3.heal()
    faulty_s3.answer(404)
    assert served.refused() == 404
    assert isinstance(served.reader.fault, StorageMissingError)
    faulty_s3.heal()
    faulty_s3.answer(503)
    assert served.refused() == 424
    served.reader.account()
    assert [operation.status for operation in served.operations] == ["STORAGE_DENIED", "STORAGE_UNAVAILABLE"]
    faulty_s3.heal()
    assert served.get() == (200, served.content)
    assert served.reader.fault is None


def test_connections_that_break(served: Served, faulty_s3: FaultyS3) -> None:
    """One is taken up again; when too many break, the answer is cut off there, and who asks again gets the rest."""
    faulty_s3.drop(method="GET", after_bytes=100_000, times=1)
    assert served.get() == (200, served.content)
    other = Served(served.storage, lambda content: _written(served.folder / "b", content), served.folder)
    other.get("bytes=0-10")
    faulty_s3.drop(method="GET", after_bytes=100_000, times=2)
    with pytest.raises(http.client.IncompleteRead) as broken:
        other.get()
    assert isinstance(other.reader.fault, StorageUnavailableError)
    begun = broken.value.partial
    assert begun == other.content[: len(begun)]
    assert other.get(f"bytes={len(begun)}-") == (206, other.content[len(begun) :])
    assert other.reader.fault is None
    other.close()


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_scratch_that_is_gone(served: Served) -> None:
    """Whoever reads gets it all the same, for keeping only spares requests; and what is late leaves nothing behind."""
    assert served.get("bytes=0-99")[1] == served.content[:100]
    shutil.rmtree(served.folder)
    assert served.get() == (200, served.content)
    assert served.reader.fault is None
    assert not served.folder.exists()


def test_scratch_that_lost_its_end(served: Served) -> None:
    """What is not there any more is fetched again."""
    served.get()
    os.truncate(served.folder / "read_of_source", MiB + 10)
    for _ in range(2):
        assert served.get() == (200, served.content)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_scratch_that_is_full(served: Served) -> None:
    """Nothing is kept, and everything is read."""
    (served.folder / "read_of_other").symlink_to("/dev/full")
    served.address = served.reader.address(served.stat, "other")
    for _ in range(2):
        assert served.get("bytes=0-99")[1] == served.content[:100]
    assert served.reader.fault is None


class Door:
    """Where a part has to wait."""

    def __init__(self, start: int) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        Gate.closed[start] = self


class Gate(LocalStorage):
    """Parts of an object that have to wait, or fail, by where they begin."""

    closed: ClassVar[dict[int, Door]] = {}
    failing: ClassVar[dict[int, Exception]] = {}

    @override
    def read_part(self, stat: ObjectStat, start: int, size: int) -> bytes:
        if start in self.closed:
            self.closed[start].reached.set()
            assert self.closed[start].opened.wait(60)
        if start in self.failing:
            raise self.failing[start]
        return super().read_part(stat, start, size)


@pytest.fixture
def gated(make_file: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Served]:
    """An object whose parts wait or fail as they are told to."""
    monkeypatch.setattr(Gate, "closed", {})
    monkeypatch.setattr(Gate, "failing", {})
    folder = tmp_path / "attempt"
    folder.mkdir()
    served = Served(Gate(tmp_path / "objects"), make_file, folder)
    yield served
    served.close()


def test_what_failed_is_not_made_good_by_another_part(gated: Served) -> None:
    """ffmpeg may end well although one of its inputs could not be read; only that part itself makes up for it."""
    Gate.failing[2 * MiB] = StorageUnavailableError()
    assert gated.refused(f"bytes={2 * MiB}-{2 * MiB + 9}") == 424
    gated.get("bytes=0-9")
    assert isinstance(gated.reader.fault, StorageUnavailableError)
    del Gate.failing[2 * MiB]
    gated.get(f"bytes={2 * MiB}-{2 * MiB + 9}")
    assert gated.reader.fault is None


def test_what_nobody_waits_for_any_more_fails_no_later_command(gated: Served) -> None:
    """A request that outlives its command counts for its bytes, not for its fault."""
    for start, fault in ((0, None), (2 * MiB, StorageUnavailableError())):
        door = Door(start)
        if fault:
            Gate.failing[start] = fault
        where = urlsplit(gated.address)
        connection = http.client.HTTPConnection(where.netloc, timeout=60)
        connection.request("GET", where.path, headers={"Range": f"bytes={start}-{start + 9}"})
        assert door.reached.wait(60)
        gated.reader.account()
        door.opened.set()
        connection.getresponse().read()
        connection.close()
    assert gated.reader.fault is None
    gated.opened.__exit__(None, None, None)
    assert [operation.bytes for operation in gated.operations if operation.bytes] == [64 * 1024]
    gated.opened = RangeReader.open(gated.server, gated.storage, gated.folder, gated.operations.append)
    gated.reader = gated.opened.__enter__()


def test_what_is_kept_does_not_wait_for_the_storage(gated: Served) -> None:
    """One part that hangs holds up nobody else, and who needs the same one waits for it rather than ask again."""
    gated.get("bytes=0-9")
    door = Door(2 * MiB)
    with ThreadPoolExecutor(2) as pool:
        hanging = [pool.submit(gated.get, f"bytes={2 * MiB}-{2 * MiB + 9}") for _ in range(2)]
        assert gated.get("bytes=0-9")[1] == gated.content[:10]
        assert gated.get(f"bytes={4 * MiB}-{4 * MiB + 9}")[1] == gated.content[4 * MiB :][:10]
        door.opened.set()
        assert {each.result()[1] for each in hanging} == {gated.content[2 * MiB :][:10]}
    gated.reader.account()
    assert gated.operations[-1].bytes == 3 * 64 * 1024


def test_a_storage_that_does_not_answer_is_named(gated: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the request still hangs: ffmpeg gives up earlier than the storage's client does."""
    monkeypatch.setattr(partly_read, "_PATIENCE_S", 0.05)
    door = Door(0)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(gated.get, "bytes=0-9")
        deadline = time.monotonic() + 10
        while (fault := gated.reader.fault) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert isinstance(fault, StorageUnavailableError)
        assert "has not answered" in fault.message
        gated.reader.account()
        assert gated.reader.fault is None  # the next command does not wait for it
        door.opened.set()
        assert hanging.result()[0] == 206
    assert [operation.status for operation in gated.operations] == ["STORAGE_UNAVAILABLE"]


def test_what_nobody_foresaw_is_a_fault_too(gated: Served) -> None:
    """Not a connection that just breaks, of which ffmpeg might make the end of the file."""
    Gate.failing[0] = KeyError("ETag")
    assert gated.refused() == 424
    assert isinstance(gated.reader.fault, InternalError)


def test_a_server_that_is_closed_serves_nothing(served: Served) -> None:
    """Not even over a connection that was open before."""
    where = urlsplit(served.address)
    connection = http.client.HTTPConnection(where.netloc, timeout=60)
    connection.request("GET", where.path, headers={"Range": "bytes=0-9"})
    assert connection.getresponse().read() == served.content[:10]
    served.server.close()
    connection.request("GET", where.path, headers={"Range": "bytes=0-9"})
    answer = connection.getresponse()
    assert answer.status == 404
    connection.close()


def test_a_server_that_is_closed_leaves_nothing_and_may_start_again(served: Served) -> None:
    """Its port is free and its thread has ended; who asks for an address later gets one that is good."""
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "range-server")
    where = urlsplit(served.address)
    served.server.close()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((where.hostname, where.port), timeout=60)
    served.address = served.reader.address(served.stat, "again")
    assert served.get("bytes=0-9")[1] == served.content[:10]


# --- around a command -------------------------------------------------------------------------------------------------


def test_the_storages_own_error_is_raised(gated: Served) -> None:
    """In the place of ffmpeg's guess, and also when ffmpeg was content; unless the attempt was told to stop."""
    workspace = Workspace(gated.folder, gated.reader, Cancellation())
    Gate.failing[0] = StorageDeniedError()

    def run(error: MediaJobsError | None, *, is_read: bool = True) -> None:
        with workspace.reading():
            if is_read:
                assert gated.refused() == 403
            if error:
                raise error

    for guess in (InputCorruptError(), None):
        with pytest.raises(StorageDeniedError):
            run(guess)
    with pytest.raises(InputCorruptError):
        run(InputCorruptError(), is_read=False)
    workspace.cancellation.cancel(CancelledError())
    with pytest.raises(CancelledError):
        run(InputCorruptError())
    assert [operation.status for operation in gated.operations] == ["STORAGE_DENIED"] * 3


def test_a_part_without_http(served: Served) -> None:
    """For whoever looks into an object without a process; what was kept is used."""
    assert served.reader.read_at(served.address, 65_530, 1000) == served.content[65_530:66_530]
