"""Which keys objects may have."""

from __future__ import annotations

import pytest

from mediajobs_dagster.errors import KeyRefusedError
from mediajobs_dagster.models import new_id
from mediajobs_dagster.storage import attempt_key, check_key, upload_source_key
from mediajobs_dagster.storage.keys import attempt_of, without_attempt


@pytest.mark.parametrize("key", ["a", "a/b.c", "a b/ü/日本", "..a/b..", ".doctor/x", "%2e%2e/x", "~/x", "é" * 512])
def test_a_plain_relative_key_is_taken_as_it_is(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "is empty"),
        ("/a", "absolute"),
        ("a/", "empty segment"),
        ("a//b", "empty segment"),
        (".", "segment"),
        ("a/./b", "segment"),
        ("..", "segment"),
        ("a/../b", "segment"),
        ("a\\b", "backslash"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\x85b", "control"),
        ("é" * 512 + "x", "1025 bytes"),
        ("a\ud800", "Unicode"),
    ],
)
def test_any_other_key_is_refused_with_its_fault(key: str, fault: str) -> None:
    """The message is printable whatever the key holds."""
    with pytest.raises(KeyRefusedError, match=fault) as caught:
        check_key(key)
    assert caught.value.message.isprintable()


def test_the_source_of_an_upload_lies_under_its_id() -> None:
    assert upload_source_key("0199-ab_C") == "uploads/0199-ab_C/source"


@pytest.mark.parametrize("upload_id", ["", "a/b", "..", "holiday video.mov", "a\n", "x" * 65])
def test_no_key_is_built_from_what_is_not_an_id(upload_id: str) -> None:
    with pytest.raises(KeyRefusedError):
        upload_source_key(upload_id)


def test_each_attempt_has_a_key_of_its_own() -> None:
    """Its id comes before the file name, once, and can be told from it and taken away again."""
    attempt_id = new_id()
    own = f"thumbs/uploads/u/{attempt_id}/thumb.jpg"
    assert attempt_key("thumbs/uploads/u/thumb.jpg", attempt_id) == own == attempt_key(own, attempt_id)
    assert attempt_key("a.txt", attempt_id) == f"{attempt_id}/a.txt"
    assert attempt_key(f"x/{attempt_id}/y/a.txt", attempt_id) == f"x/{attempt_id}/y/{attempt_id}/a.txt"
    assert (attempt_of(own), attempt_of("thumbs/uploads/u/thumb.jpg"), attempt_of("a.txt")) == (attempt_id, None, None)
    assert without_attempt(own) == "thumbs/uploads/u/thumb.jpg" == without_attempt("thumbs/uploads/u/thumb.jpg")
    assert without_attempt(f"{attempt_id}/a.txt") == "a.txt"
