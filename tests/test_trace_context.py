"""Traces of other programs: what a header says, and by which ids OpenTelemetry knows ours."""

from __future__ import annotations

import re

import pytest

from mediajobs_dagster.models import new_trace_id
from mediajobs_dagster.trace_context import (
    TraceParent,
    followed,
    following,
    otel_trace_id,
    span_id_of,
    within_trace,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    "text",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f" 00-{TRACE}-{SPAN}-01\t",
        f"cc-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
        f"01-{TRACE}-{SPAN}-09",
    ],
)
def test_a_valid_header_is_read(text: str) -> None:
    """A later version may have more behind the flags."""
    assert TraceParent.parse(text) == TraceParent(TRACE, SPAN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 10_000}",
        "\N{ARABIC-INDIC DIGIT ZERO}0-" + f"{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\0",
    ],
)
def test_an_invalid_header_is_ignored(text: str) -> None:
    """By the standard it counts as none."""
    assert TraceParent.parse(text) is None


def test_what_is_told_can_be_read() -> None:
    """A header of ours is one."""
    parent = TraceParent(TRACE, SPAN)
    assert TraceParent.parse(str(parent)) == parent


def test_ids_of_ours_are_ids_of_opentelemetry() -> None:
    """A trace id is the same there; any other name has one id, which no other name has."""
    ours = new_trace_id()
    assert otel_trace_id(ours) == ours
    names = ["order 7", "", "0" * 32, TRACE.upper(), TRACE[:-1], "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "\ud800"]
    told = [otel_trace_id(name) for name in names]
    assert len(set(told)) == len(names)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in told)
    assert told == [otel_trace_id(name) for name in names]


def test_ids_of_spans_follow_from_what_they_are_about() -> None:
    """The same parts give the same id, which other parts do not."""
    assert span_id_of("a", "stage", 1) == span_id_of("a", "stage", 1) != span_id_of("a", "stage", 2)
    assert re.fullmatch("[0-9a-f]{16}", span_id_of("a"))


def test_a_trace_is_given_followed_or_new() -> None:
    """What is given goes before what is followed; a header that is given is followed."""
    parent = TraceParent(TRACE, SPAN)
    with within_trace(None) as trace_id:
        assert re.fullmatch("[0-9a-f]{32}", trace_id)
        assert followed() is None
    with following(parent):
        with within_trace(None) as trace_id:
            assert (trace_id, followed()) == (TRACE, parent)
        with within_trace("order 7") as trace_id:
            assert trace_id == "order 7"
    with within_trace(str(parent)) as trace_id:
        assert (trace_id, followed()) == (TRACE, parent)
    assert followed() is None
