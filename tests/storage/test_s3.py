"""What is peculiar to S3, above all how it fails; on a real server, behind a proxy that breaks on demand."""

from __future__ import annotations

import logging
import os
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from traceback import format_exception

import pytest
from botocore.exceptions import EndpointConnectionError

from mediajobs_dagster.errors import (
    RequestError,
    StorageDeniedError,
    StorageError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.models import StorageOp
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage
from mediajobs_dagster.storage.s3_client import ClientPerProcess, S3Access, make_client
from mediajobs_dagster.storage.s3_errors import storage_error
from tests.servers.faulty_s3 import FaultyS3
from tests.servers.s3 import S3Server

MakeFile = Callable[..., Path]
MB = 1_000_000
TYPE = "application/octet-stream"


@pytest.fixture
def faulty(faulty_s3: FaultyS3, s3_settings: Settings) -> Storage:
    """The same bucket as `s3`, through the proxy."""
    return open_storage(faulty_s3.settings(s3_settings))


# --- failing ---------------------------------------------------------------------------------------------------------


def test_a_server_out_of_service_is_unavailable_after_the_tries(
    faulty: Storage, faulty_s3: FaultyS3, make_file: MakeFile
) -> None:
    """The SDK tries as often as the settings say, then the fault is named as external."""
    faulty_s3.answer(503)
    ops: list[StorageOp] = []
    with pytest.raises(StorageUnavailableError, match=r"read s3://bucket-\w+/media/a.*503"):
        faulty.observed(ops.append).stat("a")
    assert [method for method, _ in faulty_s3.requests] == ["HEAD", "HEAD"]
    with pytest.raises(StorageUnavailableError, match=r"write s3://bucket-\w+/media/a"):
        faulty.observed(ops.append).put(make_file(), "a", content_type=TYPE)
    assert [(op.op, op.status) for op in ops] == [("head", "STORAGE_UNAVAILABLE"), ("put", "STORAGE_UNAVAILABLE")]


def test_a_server_that_recovers_in_between_is_no_failure(
    faulty: Storage, faulty_s3: FaultyS3, make_file: MakeFile, tmp_path: Path
) -> None:
    for method in ("PUT", "HEAD", "GET"):
        faulty_s3.answer(503, times=1, method=method)
    faulty.put(make_file(b"content"), "a", content_type=TYPE)
    faulty.get("a", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"content"


@pytest.mark.parametrize("kind", ["drop", "truncate"])
def test_a_download_that_breaks_off_leaves_nothing(
    s3: Storage, faulty: Storage, faulty_s3: FaultyS3, make_file: MakeFile, tmp_path: Path, kind: str
) -> None:
    """Reset, or ended in good order but too soon: both are unavailable, and what did arrive is on record."""
    s3.put(make_file(os.urandom(2 * MB)), "a", content_type=TYPE)
    getattr(faulty_s3, kind)(after_bytes=500_000, method="GET")
    folder = tmp_path / "scratch"
    folder.mkdir()
    ops: list[StorageOp] = []
    with pytest.raises(StorageUnavailableError, match=r"read s3://bucket-\w+/media/a"):
        faulty.observed(ops.append).get("a", folder / "target")
    assert list(folder.iterdir()) == []
    assert ops[0].status == "STORAGE_UNAVAILABLE"
    assert ops[0].bytes < 2 * MB
    assert [method for method, _ in faulty_s3.requests].count("GET") == 2


@pytest.mark.parametrize("kind", ["drop", "truncate"])
def test_a_download_that_breaks_off_once_is_taken_up_again(
    s3: Storage, faulty: Storage, faulty_s3: FaultyS3, make_file: MakeFile, tmp_path: Path, kind: str
) -> None:
    """The bytes that were counted before the break are taken back, so that the sum is right."""
    source, counted = make_file(os.urandom(2 * MB)), list[int]()
    s3.put(source, "a", content_type=TYPE)
    getattr(faulty_s3, kind)(after_bytes=500_000, times=1, method="GET")
    faulty.get("a", tmp_path / "target", on_bytes=counted.append)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert sum(counted) == 2 * MB


def test_a_failed_upload_in_parts_leaves_no_parts(
    s3: Storage, faulty: Storage, faulty_s3: FaultyS3, make_file: MakeFile
) -> None:
    """The server is told to forget them, and nothing is seen under the key."""
    faulty_s3.answer(503, method="PUT", key="partNumber=2")
    with pytest.raises(StorageUnavailableError):
        faulty.put(make_file(os.urandom(20 * MB)), "a", content_type=TYPE)
    assert [path for method, path in faulty_s3.requests if method == "DELETE" and "uploadId=" in path]
    assert s3.find("a") is None


def test_what_a_killed_writer_left_can_be_removed(s3: Storage, s3_settings: Settings, make_file: MakeFile) -> None:
    """The object and the parts of an upload that was never finished, and those of no other key."""
    client = make_client(
        S3Access(
            region="us-east-1",
            endpoint_url=s3_settings.s3_endpoint_url,
            path_style=True,
            access_key_id=s3_settings.s3_access_key_id,
            secret_access_key=_plain(s3_settings)["s3_secret_access_key"],
        )
    )
    keys = ("uploads/a/source", "uploads/a/source2")
    for key in keys:
        s3.put(make_file(), key, content_type=TYPE)
        where = {"Bucket": s3.bucket, "Key": f"media/{key}"}
        upload = client.create_multipart_upload(**where)["UploadId"]
        client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"half")
    s3.abandon(keys[0])
    s3.abandon("uploads/never/source")
    assert [stat.key for stat in s3.list("")] == [keys[1]]
    left = client.list_multipart_uploads(Bucket=s3.bucket, Prefix="media/").get("Uploads", [])
    assert [upload["Key"] for upload in left] == [f"media/{keys[1]}"]
    client.close()


def test_objects_of_another_place_are_listed_and_read(
    s3: Storage, s3_server: S3Server, s3_bucket: str, make_file: MakeFile
) -> None:
    """With the same access, in the same bucket or in another one; keys are those below that place."""
    s3.put(make_file(b"x"), "a/b", content_type=TYPE)
    place = s3.at(f"s3://{s3_bucket}/media/a/")
    assert (place.url, [stat.key for stat in place.list("")]) == (f"s3://{s3_bucket}/media/a/", ["b"])
    assert s3.key_of(f"{place.url}b") == "a/b"
    bucket = s3_server.make_bucket()
    (s3_server.root / bucket / "there").write_bytes(b"y")
    assert s3.at(f"s3://{bucket}/").read("there") == b"y"
    for url in ("s3://bucket/key", "s3://bucket", "s3:///", "/folder/", "https://bucket/"):
        with pytest.raises(RequestError, match="s3://bucket/prefix/"):
            s3.at(url)


def test_an_object_replaced_while_it_is_read_is_not_mixed(
    s3: Storage, faulty: Storage, faulty_s3: FaultyS3, make_file: MakeFile, tmp_path: Path
) -> None:
    """Every part names the version it wants, and a server that has another by now is asked no further."""
    etag = s3.put(make_file(os.urandom(20 * MB)), "a", content_type=TYPE).etag
    faulty.get("a", tmp_path / "target")
    parts = [head for head in faulty_s3.heads if head.startswith("GET ")]
    assert len(parts) == 3
    assert all(f'If-Match: "{etag}"' in head for head in parts)
    faulty_s3.answer(412, method="GET")
    with pytest.raises(StorageUnavailableError, match="replaced meanwhile"):
        faulty.get("a", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "changes", [{"s3_secret_access_key": "wrong"}, {"s3_access_key_id": "AKIAUNKNOWN"}], ids=["secret", "key"]
)
def test_wrong_credentials_are_denied(s3_settings: Settings, make_file: MakeFile, changes: dict[str, str]) -> None:
    """The message names the settings to check and none of their values."""
    storage = open_storage(Settings.load(_env_file=None, **(_plain(s3_settings) | changes)))
    calls: list[Callable[[], object]] = [
        lambda: storage.stat("a"),
        lambda: storage.put(make_file(), "a", content_type=TYPE),
        lambda: list(storage.list("")),
        storage.check,
    ]
    for call in calls:
        with pytest.raises(StorageDeniedError, match="MEDIAJOBS_S3_") as caught:
            call()
        assert not any(value in caught.value.message for value in changes.values())


def test_a_policy_that_forbids_is_denied(faulty: Storage, faulty_s3: FaultyS3, tmp_path: Path) -> None:
    faulty_s3.answer(403)
    with pytest.raises(StorageDeniedError, match="policy"):
        faulty.get("a", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_no_credentials_at_all_are_denied(s3_settings: Settings) -> None:
    bare = s3_settings.model_copy(update={"s3_access_key_id": None, "s3_secret_access_key": None})
    with pytest.raises(StorageDeniedError, match="MEDIAJOBS_S3_ACCESS_KEY_ID"):
        open_storage(bare).stat("a")


def test_a_server_that_is_not_there_is_unavailable(s3_settings: Settings) -> None:
    gone = s3_settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    with pytest.raises(StorageUnavailableError, match="MEDIAJOBS_S3_ENDPOINT_URL"):
        open_storage(gone).stat("a")


def test_a_bucket_that_is_not_there_is_missing(s3_settings: Settings) -> None:
    gone = s3_settings.model_copy(update={"storage_url": "s3://no-such-bucket/media"})
    with pytest.raises(StorageMissingError, match="no such bucket"):
        open_storage(gone).check()


# --- addresses -------------------------------------------------------------------------------------------------------


def test_a_reader_takes_only_the_range_it_asks_for(
    s3: Storage, faulty: Storage, faulty_s3: FaultyS3, make_file: MakeFile
) -> None:
    """A plain HTTP client with the signed address and no credentials reads 1000 bytes of 3 MB, and no more move."""
    content = os.urandom(3 * MB)
    s3.put(make_file(content), "a", content_type=TYPE)
    url = faulty.reader_url("a")
    assert url
    request = urllib.request.Request(url, headers={"Range": "bytes=0-999"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.read() == content[:1000]
    assert faulty_s3.bytes_sent == 1000


def test_a_signed_address_is_seen_nowhere(
    faulty: Storage, faulty_s3: FaultyS3, make_file: MakeFile, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in operations, not in messages and tracebacks of failures, not in logs from INFO up."""
    ops: list[StorageOp] = []
    seen = faulty.observed(ops.append)
    failures: list[StorageError] = []
    with caplog.at_level(logging.INFO):
        url = seen.reader_url("a")
        seen.put(make_file(), "a", content_type=TYPE)
        for fail in (lambda: faulty_s3.answer(503), lambda: faulty_s3.answer(403), faulty_s3.drop):
            faulty_s3.heal()
            fail()
            with pytest.raises(StorageError) as caught:
                seen.stat("a")
            failures.append(caught.value)
    assert url
    assert "X-Amz-Signature=" in url
    shown = [op.model_dump_json() for op in ops] + [*caplog.messages]
    shown += ["".join(format_exception(failure)) for failure in failures]
    assert len(ops) == 4
    assert not [text for text in shown if "X-Amz-" in text or "Signature=" in text or "test-secret" in text]


def test_an_address_that_the_sdk_puts_in_its_message_is_redacted() -> None:
    cause = EndpointConnectionError(endpoint_url="https://host/a?X-Amz-Signature=abc")
    error = storage_error(cause, "read s3://bucket/a", ())
    assert "https://host/a?<redacted>" in error.message
    assert "abc" not in error.message


@pytest.mark.parametrize(
    ("rest", "key"),
    [("/media/a/b", "a/b"), ("/media/a?b#c", "a?b#c"), ("/media/", None), ("/mediax/a", None), ("/a", None)],
)
def test_an_address_in_this_storage_has_a_key(s3: Storage, s3_bucket: str, rest: str, key: str | None) -> None:
    assert s3.key_of(f"s3://{s3_bucket}{rest}") == key
    assert s3.key_of(f"s3://{s3_bucket}x{rest}") is None


def test_an_object_of_another_bucket_is_copied_in(
    s3: Storage, s3_server: S3Server, tmp_path: Path, make_file: MakeFile
) -> None:
    """Without a download; from outside of the prefix, too."""
    other = s3_server.make_bucket()
    open_storage(s3_server.settings(other, tmp_path)).put(make_file(b"content"), "film", content_type="video/mp4")
    ops: list[StorageOp] = []
    stat = s3.observed(ops.append).import_object(f"s3://{other}/media/film", "uploads/a/source")
    assert (stat.bytes, s3.read("uploads/a/source")) == (7, b"content")
    assert [(op.op, op.key, op.bytes) for op in ops] == [("copy", "uploads/a/source", 7)]
    with pytest.raises(StorageMissingError, match=f"s3://{other}/none"):
        s3.import_object(f"s3://{other}/none", "b")
    for url in ("s3://other-bucket", "s3://other-bucket/", "https://host/key", "film"):
        with pytest.raises(RequestError, match="s3://bucket/key"):
            s3.import_object(url, "b")


# --- the rest --------------------------------------------------------------------------------------------------------


def test_a_long_listing_comes_in_pages(
    faulty: Storage, faulty_s3: FaultyS3, s3_server: S3Server, s3_bucket: str
) -> None:
    """S3 gives at most 1000 keys an answer; each answer is an operation. Marks for folders are passed over."""
    folder = s3_server.root / s3_bucket / "media" / "many"
    folder.mkdir(parents=True)
    for number in range(1001):
        (folder / f"{number:04}").touch()
    ops: list[StorageOp] = []
    keys = [stat.key for stat in faulty.observed(ops.append).list("many/")]
    assert keys == [f"many/{number:04}" for number in range(1001)]
    assert len(ops) == len(faulty_s3.requests) == 2


def test_objects_lie_under_the_prefix_of_the_settings(
    s3: Storage, s3_server: S3Server, s3_bucket: str, make_file: MakeFile
) -> None:
    s3.put(make_file(b"x"), "a/b", content_type=TYPE)
    assert (s3_server.root / s3_bucket / "media" / "a" / "b").read_bytes() == b"x"
    assert s3.local_path("a/b") is None


def test_the_content_type_is_the_one_given(s3: Storage, make_file: MakeFile) -> None:
    """Whatever the file is called."""
    s3.put(make_file(b"x", "page.html"), "a.jpg", content_type="video/mp4")
    url = s3.reader_url("a.jpg")
    assert url
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.headers["Content-Type"] == "video/mp4"


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # a fork is what is tested
def test_a_storage_may_cross_a_fork(s3: Storage, make_file: MakeFile) -> None:
    """The child has a client of its own, and the parent's goes on working."""
    s3.put(make_file(b"x"), "a", content_type=TYPE)
    client_of = ClientPerProcess(object)
    inherited = client_of()

    def use() -> None:
        os._exit(0 if s3.read("a") == b"x" and client_of() is not inherited else 1)

    child = get_context("fork").Process(target=use)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert s3.read("a") == b"x"
    assert client_of() is inherited


def test_threads_share_one_client() -> None:
    """However many of them ask for it first: to make one takes long, and each would keep connections of its own."""
    made: list[object] = []

    def make() -> object:
        time.sleep(0.05)  # as long as making one takes, for the others to come meanwhile
        made.append(object())
        return made[-1]

    client_of = ClientPerProcess(make)
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: client_of(), range(8)))
    assert clients == [made[0]] * 8
    assert len(made) == 1


def _plain(settings: Settings) -> dict[str, object]:
    values = settings.model_dump()
    return values | {"s3_secret_access_key": settings.s3_secret_access_key.get_secret_value()}
