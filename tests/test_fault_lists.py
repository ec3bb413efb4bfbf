"""What is too large is told by its size, and of many faults a hundred are told."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import RequestError, TimelineError
from mediajobs_dagster.fault_lists import listed, overlong, shortened
from mediajobs_dagster.intake.export_requests import refused
from mediajobs_dagster.timelines.documents import read_document
from mediajobs_dagster.timelines.parsing import Fault, in_order, parse_timeline
from tests.platform import Platform

MiB = 1 << 20
GAP = {"kind": "gap", "duration": 1}


@contextmanager
def quickly() -> Generator[None]:
    """The block takes the processor at most eight times as long as to write and read a JSON object of 200,000 fields.

    Beside something else, because what a second of a processor is worth depends on who else is on the machine.
    """
    before, started = _measure(), time.process_time()
    yield
    taken = time.process_time() - started
    assert taken < 8 * max(before, _measure())


def _measure() -> float:
    """Seconds of the processor."""
    started = time.process_time()
    json.loads(json.dumps(many(200_000)))
    return time.process_time() - started


@contextmanager
def sparingly(most_mib: int) -> Generator[None]:
    """The block takes that much of Python's memory at most."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most_mib * MiB


def whole(**parts: Any) -> dict[str, Any]:
    return {"version": "create_video_v1", "track": [GAP], **parts}


def many(count: int) -> dict[str, Any]:
    return {f"field{number}": number for number in range(count)}


def faults_of(document: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in in_order(document, parse_timeline(document).faults)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: whole(**many(200_000)), ["$: has 200,002 fields; 100 are the most"]),
        (lambda: whole(canvas=many(200_000)), ["$.canvas: has 200,000 fields; 100 are the most"]),
        (lambda: whole(track=[{}] * 1_000_000), ["$.track: has to have at most 650 items, not 1000000"]),
        (lambda: whole(layers=[GAP | {"x": 1}] * 1_000_000), ["$.layers: has to have at most 1400 items, not 1000000"]),
        (lambda: whole(title=["x"] * 1_000_000), ["$.title: has to have at most 1400 items, not 1000000"]),
        (lambda: whole(layers=[many(90)] * 1400), ["$: has more than 100,000 values"]),
        (lambda: whole(**{"x" * MiB: 1}), ["$: has a field whose name has 1,048,576 characters; 200 are the most"]),
    ],
    ids=["fields", "inner fields", "items", "layers", "list", "values", "name"],
)
def test_a_document_without_end_is_answered_at_once(make: Callable[[], dict[str, Any]], said: list[str]) -> None:
    """Its size is its only fault."""
    document = make()
    with quickly(), sparingly(32):
        assert faults_of(document) == said


def test_as_many_faults_as_fit_are_found_at_once() -> None:
    """A hundred thousand values, each of them wrong, are near the largest that is checked."""
    document = whole(track=[GAP | many(90)] * 600, layers=[{"kind": "title", "style": many(80)}] * 500)
    assert sum(len(each) for each in document["track"]) + 500 * 82 < 100_000
    with quickly():
        faults = parse_timeline(document).faults
        error = refused(in_order(document, faults))
    assert len(faults) > 90_000
    assert len(error.faults) == 100
    assert error.more_faults == len(faults) - 100
    assert error.message.endswith(f"and {error.more_faults:,} more")
    assert len(error.message) < 20_000


def test_a_kind_of_a_million_characters_is_told_by_its_beginning() -> None:
    """A fault can be read."""
    (fault,) = faults_of(whole(track=[{"kind": "x" * MiB}]))
    assert fault.startswith("$.track[0]: the kind 'xxx")
    assert len(fault) < 4_000


def test_nesting_without_end_is_told_where_it_begins() -> None:
    """However deep it is: not by a path of a million steps."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with quickly(), sparingly(8):
        assert faults_of(whole(track=[GAP | {"duration": deep}])) == [
            "$.track[0].duration: is nested more than 50 levels deep"
        ]
    while deep:  # or Python would free it recursively
        deep = deep[0]


@pytest.mark.parametrize("content", ["fields", "items"])
def test_a_timeline_file_is_answered_at_once(platform: Platform, tmp_path: Path, content: str) -> None:
    """From the file to the answer that people see."""
    document = whole(**many(200_000)) if content == "fields" else whole(track=[{}] * 1_000_000)
    path = tmp_path / "edit.json"
    path.write_text(json.dumps(document, separators=(",", ":")))
    with quickly(), pytest.raises(TimelineError, match="1 fault") as caught:
        platform.media.prepare_export(path)
    assert len(caught.value.faults) == 1


def test_captions_of_a_document_without_end_are_not_read(tmp_path: Path) -> None:
    layers = [{"kind": "captions", "file": "talk.srt"}] * 50_000
    (tmp_path / "edit.json").write_text(json.dumps(whole(layers=layers)))
    assert read_document(tmp_path / "edit.json").faults == ()


def test_a_list_of_faults_ends_after_a_hundred() -> None:
    """And says how many there are besides, however long each is."""
    assert listed([]) == ""
    assert listed(["a", "b"]) == "a; b"
    assert listed(map(str, range(100)), ", ").endswith("98, 99")
    assert listed(map(str, range(2101)), ", ").endswith("98, 99, and 2,001 more")
    assert len(listed(["x" * MiB] * 1000)) < 250_000
    assert shortened("x" * 2000) == "x" * 2000


@pytest.mark.parametrize("document", [{}, [], "x", None, 3, whole(), [[[]]], {"a": {"b": [1, {"c": None}]}}])
def test_what_is_small_is_not_too_large(document: object) -> None:
    assert list(overlong(document, 2)) == []


def test_every_place_that_is_too_large_is_told() -> None:
    document = {"a": [1, 2, 3], "b": {"c": [[1, 2, 3]], "d": many(101)}}
    assert sorted(overlong(document, 2)) == [
        ("$.a", "has to have at most 2 items, not 3"),
        ("$.b.c[0]", "has to have at most 2 items, not 3"),
        ("$.b.d", "has 101 fields; 100 are the most"),
    ]


def test_the_first_faults_stand_in_the_order_of_the_document() -> None:
    faults = [Fault(f"$.track[{number}]", "x") for number in range(150)]
    document = whole(track=[GAP] * 150)
    told = refused(in_order(document, reversed(faults)))
    assert [each["path"] for each in told.faults] == [fault.path for fault in faults[:100]]
    assert isinstance(told, RequestError)
