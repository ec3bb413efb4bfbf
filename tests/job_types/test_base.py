"""Fingerprints and requests: what makes two requests the same."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

import pytest

from mediajobs_dagster.errors import ParametersError
from mediajobs_dagster.job_types.base import Params
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import NewJob
from tests.cpu import cpu_seconds
from tests.job_types.sources import UPLOAD_ID, upload

TRACE, OTHER_TRACE = "a" * 32, "b" * 32


class PosterParams(Params):
    """Two parameters, so that they can stand in either order."""

    width: int = 640
    format: str = "jpeg"


class Poster(Thumbnail):
    """A job type with two parameters."""

    name: ClassVar[str] = "poster_v1"
    params: ClassVar[type[Params]] = PosterParams


class NextPoster(Poster):
    """The same one, improved."""

    version: ClassVar[int] = Poster.version + 1


# --- fingerprint -----------------------------------------------------------------------------------------------------


def test_fingerprints_stay_the_same_from_release_to_release() -> None:
    """A new one would make every thumbnail there is stale: raise the job type's version if that is what you want."""
    assert Thumbnail().fingerprint({}, "abc") == "05b922e27d2143fe98318e12903ab9ac"


@pytest.mark.parametrize(
    "same",
    [
        {"width": 640, "format": "jpeg"},
        {"format": "jpeg", "width": 640},
        {"width": 640},
        {},
    ],
)
def test_what_means_the_same_has_the_same_fingerprint(same: dict[str, object]) -> None:
    """Neither the order of the parameters nor spelling a default out makes another output."""
    assert Poster().fingerprint(same, "abc") == Poster().fingerprint({"format": "jpeg", "width": 640}, "abc")


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"width": "640"}, "width"),
        ({"width": True}, "width"),
        ({"width": 640.5}, "width"),
        ({"width": float("nan")}, "width"),
        ({"format": 1}, "format"),
        ({"width": {640}}, "width"),
        ({"width": object()}, "JSON"),
        ({"format": "\ud800"}, "JSON"),
    ],
)
def test_a_parameter_has_the_type_that_its_schema_says(params: dict[str, object], named: str) -> None:
    """A text is no number, and true is not 1."""
    with pytest.raises(ParametersError, match=named):
        Poster().parse(params)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({f"p{number}": 0 for number in range(200_000)}, "200,000 fields"),
        ({"format": [0] * 1_000_000}, "not 1000000"),
        ({"format": [[0] * 9_000] * 50}, "100,000 values"),
        ({"x" * 1_000_000: 0}, "1,000,000 characters"),
    ],
    ids=["fields", "items", "values", "name"],
)
def test_parameters_without_end_are_refused_at_once(params: dict[str, object], said: str) -> None:
    """Their size is told, not each of them."""

    def parse() -> None:
        with pytest.raises(ParametersError, match=said) as caught:
            Poster().parse(params)
        assert len(caught.value.message) < 1_000

    assert cpu_seconds(parse) < 1


def test_snake_case_and_camel_case_are_the_same_parameter() -> None:
    """JSON and Python spell it differently."""
    assert Thumbnail().fingerprint({"at_seconds": 2}, "abc") == Thumbnail().fingerprint({"atSeconds": 2.0}, "abc")


def test_what_makes_another_output_has_another_fingerprint() -> None:
    """Another version, another parameter, another content, another job type: all of them tell."""
    fingerprints = [
        Poster().fingerprint({}, "abc"),
        Poster().fingerprint({}, "abd"),
        Poster().fingerprint({"width": 320}, "abc"),
        NextPoster().fingerprint({}, "abc"),
        EditProxy().fingerprint({}, "abc"),
    ]
    assert len(set(fingerprints)) == len(fingerprints)


# --- request ---------------------------------------------------------------------------------------------------------


def request(*, etag: str = "abc", trace_id: str = TRACE, **options: object) -> NewJob:
    """A request for a thumbnail of the one upload."""
    return Thumbnail().request(upload(etag=etag), trace_id=trace_id, **options)  # pyright: ignore[reportArgumentType]


def test_the_same_request_is_the_same_job() -> None:
    """Whoever asks, and however often: content, job type and parameters decide."""
    assert request().idempotency_key == request(trace_id=OTHER_TRACE, priority=9).idempotency_key
    assert request().idempotency_key == request(params={"atSeconds": None}).idempotency_key


def test_another_content_or_parameter_is_another_job() -> None:
    """A file that was replaced is worked on again."""
    keys = {
        request().idempotency_key,
        request(etag="new").idempotency_key,
        request(params={"atSeconds": 1}).idempotency_key,
    }
    assert len(keys) == 3


@pytest.mark.parametrize("option", ["anew", "force"])
def test_asked_anew_each_trace_has_its_own_job(option: str) -> None:
    """Once a trace: asking twice within one is still one job."""
    first, again, other = (request(trace_id=trace, **{option: True}) for trace in (TRACE, TRACE, OTHER_TRACE))
    assert first.idempotency_key == again.idempotency_key
    assert len({request().idempotency_key, first.idempotency_key, other.idempotency_key}) == 3


def test_only_force_makes_up_to_date_outputs_again() -> None:
    """To ask anew is to ask; to force is to have it made."""
    assert (request().force, request(anew=True).force, request(force=True).force) == (False, False, True)


def test_a_request_says_what_was_asked() -> None:
    """The subject, its UTC day, whole parameters, and what the caller gave along."""
    asked = request(params={"at_seconds": 1}, priority=5, parent_job_id="parent", max_attempts=7)
    assert (asked.job_type, asked.subject_id, asked.trace_id) == ("upload_thumb_v1", UPLOAD_ID, TRACE)
    assert asked.subject_day == date(2026, 3, 4)
    assert asked.params == {"atSeconds": 1.0}
    assert (asked.priority, asked.parent_job_id, asked.max_attempts) == (5, "parent", 7)
    assert request().params == {"atSeconds": None}


def test_a_bad_request_is_refused_before_it_is_a_job() -> None:
    """Faulty parameters never reach the queue."""
    with pytest.raises(ParametersError, match="atSeconds"):
        request(params={"atSeconds": "soon"})
