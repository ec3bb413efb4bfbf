"""The error tree: what machines and people rely on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mediajobs_dagster import errors
from mediajobs_dagster.errors import Blame, InternalError, MediaJobsError, TimelineError


def tree(root: type[MediaJobsError]) -> Iterator[type[MediaJobsError]]:
    """A class of ours and all below it."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


CLASSES = list(tree(MediaJobsError))
BY_CODE = {kind.code: kind for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_docstring_is_the_message(kind: type[MediaJobsError]) -> None:
    """An error raised without words still says what happened, in a sentence, to people and in a traceback alike."""
    error = kind()
    assert error.message == str(error) == (kind.__doc__ or "").strip()
    assert error.message.endswith(".")
    assert "\n" not in error.message
    assert kind("The disk is full.").message == "The disk is full."


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_code_leads_back_to_its_class(kind: type[MediaJobsError]) -> None:
    """History keeps codes, and people look them up: each is plain and belongs to one class."""
    assert kind.code.isupper()
    assert kind.code.isascii()
    assert BY_CODE[kind.code] is kind


def test_codes_are_unique() -> None:
    """Two faults under one code could not be told apart."""
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)


def test_what_nobody_foresaw_is_ours() -> None:
    """A bug is never put down to a file, and may be gone at the next try."""
    assert (InternalError.blame, InternalError.retryable) == (Blame.SYSTEM, True)


@pytest.mark.parametrize(
    "kind", [kind for kind in CLASSES if kind.blame is Blame.INPUT], ids=lambda kind: kind.__name__
)
def test_faults_of_the_input_are_never_tried_again(kind: type[MediaJobsError]) -> None:
    """The same file fails the same way; nobody is woken for it."""
    assert not kind.retryable
    assert not kind.blame.concerns_operators


@pytest.mark.parametrize(
    ("code", "blame", "retryable"),
    [
        ("INPUT_CORRUPT", Blame.INPUT, False),
        ("INPUT_NO_VIDEO", Blame.INPUT, False),
        ("PARAMETERS_INVALID", Blame.INPUT, False),
        ("SETTINGS_INVALID", Blame.SYSTEM, True),
        ("JOB_SETTINGS_INVALID", Blame.SYSTEM, False),
        ("DISK_FULL", Blame.SYSTEM, True),
        ("OUT_OF_MEMORY", Blame.SYSTEM, True),
        ("STORAGE_MISSING", Blame.SYSTEM, True),
        ("STORAGE_DENIED", Blame.SYSTEM, True),
        ("STORAGE_UNAVAILABLE", Blame.EXTERNAL, True),
        ("WORKER_LOST", Blame.SYSTEM, True),
        ("SERVICE_UNAVAILABLE", Blame.EXTERNAL, True),
        ("SERVICE_TIMEOUT", Blame.EXTERNAL, True),
        ("SERVICE_LIMITED", Blame.EXTERNAL, True),
        ("SERVICE_ANSWER_INVALID", Blame.EXTERNAL, True),
        ("SERVICE_REFUSED", Blame.EXTERNAL, False),
        ("SERVICE_ANSWER_TOO_LARGE", Blame.EXTERNAL, False),
        ("CANCELLED", Blame.CANCELLED, False),
    ],
)
def test_who_is_to_blame(code: str, blame: Blame, retryable: bool) -> None:
    """The breaker, the retries and the colour of a run hang on these."""
    assert (BY_CODE[code].blame, BY_CODE[code].retryable) == (blame, retryable)


def test_another_message_keeps_the_rest() -> None:
    """Whoever prints a redacted error can still list the faults it carries."""
    error = TimelineError("Signed: https://secret.")
    error.faults = ({"path": "$.track[0]", "message": "it is too long"},)
    said = error.with_message("Signed: ***.")
    assert (type(said), said.message, said.faults) == (TimelineError, "Signed: ***.", error.faults)
    assert error.message == "Signed: https://secret."


class TakesTwo(MediaJobsError):
    """Of another package, with a constructor of its own."""

    code = "TAKES_TWO"

    def __init__(self, used: int, limit: int) -> None:
        super().__init__(f"{used} of {limit} are used.")
        self.used = used


def test_a_copy_with_another_message_needs_no_constructor() -> None:
    """It is of the same class, and keeps what the error carries."""
    twin = TakesTwo(3, 4).with_message("redacted")
    assert (type(twin), twin.message, twin.used) == (TakesTwo, "redacted", 3)


def test_operators_care_for_what_is_ours_or_a_services() -> None:
    """Neither a bad upload nor a cancelled job opens a breaker."""
    assert {blame for blame in Blame if blame.concerns_operators} == {Blame.SYSTEM, Blame.EXTERNAL}
