"""The plan of a thumbnail, from saved probes."""

from __future__ import annotations

import shlex

import pytest

from mediajobs_dagster.errors import InputNoVideoError, ParametersError
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.job_types.material import Access
from mediajobs_dagster.job_types.plan import Expected, Plan
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.command import Input
from mediajobs_dagster.models import MediaInfo
from tests.job_types.sources import UPLOAD_ID, a_picture, saved, short, sixty_fps, source, streamed, variant


def plan(info: MediaInfo, at_seconds: float = 0.2) -> Plan:
    """The plan of a thumbnail of that media."""
    return Thumbnail().plan_upload(source(info), Thumbnail().parse({"atSeconds": at_seconds}))


def seeks(made: Plan) -> list[str]:
    """The input options of each step, as they would be typed."""
    return [shlex.join(part.options) for step in made.steps for part in step.command.inputs if isinstance(part, Input)]


LANDSCAPE = (
    "-map 0:0 -frames:v 1 -vf scale=640:360:flags=lanczos:out_range=full,setsar=1,format=yuv420p"
    " -c:v mjpeg -q:v 3 -map_metadata -1 -f image2 -update 1"
)


@pytest.mark.parametrize(
    ("info", "seek", "options"),
    [
        pytest.param(saved("bigbuckbunny"), "-ss 0.2", LANDSCAPE, id="landscape"),
        pytest.param(saved("rotated_portrait"), "-ss 0.2", LANDSCAPE.replace("640:360", "360:640"), id="rotated"),
        pytest.param(saved("anamorphic"), "-ss 0.2", LANDSCAPE, id="anamorphic"),
        pytest.param(saved("variable_frame_rate"), "-ss 0.2", LANDSCAPE, id="variable_frame_rate"),
        pytest.param(saved("ten_bit_422"), "-ss 0.2", LANDSCAPE, id="ten_bit_422"),
        pytest.param(saved("surround"), "-ss 0.2", LANDSCAPE, id="surround"),
        pytest.param(saved("video_with_cover"), "-ss 0.2", LANDSCAPE, id="video_with_cover"),
        pytest.param(sixty_fps(), "-ss 0.2", LANDSCAPE, id="sixty_fps"),
        pytest.param(short(), "-ss 0.05", LANDSCAPE, id="shorter_than_the_moment"),
        pytest.param(streamed(), "-ss 0.2", LANDSCAPE, id="length_not_known"),
        pytest.param(
            variant("anamorphic", picture={"index": 2}), "-ss 0.2", LANDSCAPE.replace("0:0", "0:2"), id="third"
        ),
    ],
)
def test_the_command(info: MediaInfo, seek: str, options: str) -> None:
    """One frame is sought, scaled and written as JPEG; a second step starts at the beginning if there is none."""
    made = plan(info)
    assert seeks(made) == [seek, ""]
    assert [shlex.join(step.command.outputs[0].options) for step in made.steps] == [options, options]
    assert [step.command.outputs[0].target for step in made.steps] == ["thumb.jpg", "thumb.jpg"]
    assert [step.only_without for step in made.steps] == [None, "thumb.jpg"]
    assert [step.sink for step in made.steps] == [None, None]


def test_one_frame_needs_no_second_step() -> None:
    """Where nothing is sought, nothing can be missed."""
    made = plan(saved("one_frame"))
    assert seeks(made) == [""]
    assert [step.only_without for step in made.steps] == [None]


@pytest.mark.parametrize(
    ("info", "asked", "taken"),
    [
        (saved("anamorphic"), 0.0, 0.0),
        (saved("anamorphic"), 1.5, 1.5),
        (saved("anamorphic"), 2.95, 2.95),
        (saved("anamorphic"), 3.0, 2.95),
        (saved("anamorphic"), 1e9, 2.95),
        (sixty_fps(), 3.0, 2.975),
        (short(), 0.2, 0.05),
        (variant("anamorphic", picture={"fps": None}), 3.0, 2.95),
        (streamed(), 3600.0, 3600.0),
    ],
)
def test_the_moment_is_clamped_into_the_clip(info: MediaInfo, asked: float, taken: float) -> None:
    """Half a frame before the last one at the latest, wherever the clip ends."""
    sought = seeks(plan(info, asked))[0]
    assert float(sought.removeprefix("-ss ") or 0) == taken


def test_what_comes_out() -> None:
    """One JPEG of the display's shape under the upload's own key."""
    made = plan(saved("rotated_portrait"))
    (output,) = made.outputs
    assert (output.filename, output.content_type) == ("thumb.jpg", "image/jpeg")
    assert output.key == f"thumbs/uploads/{UPLOAD_ID}/thumb.jpg"
    assert output.expected == Expected(width=360, height=640, video_codec="mjpeg")
    assert made.children == ()


@pytest.mark.parametrize(
    ("width", "height", "size"), [(853, 481, "640:361"), (100_000, 10, "640:1"), (16, 9, "640:360")]
)
def test_sizes_may_be_odd_but_never_nothing(width: int, height: int, size: str) -> None:
    """The long edge is 640 whatever the source's size, and an edge is at least one pixel."""
    info = variant("anamorphic", video=(a_picture(width=width, height=height),))
    assert f"scale={size}:" in shlex.join(plan(info).steps[0].command.outputs[0].options)


def test_sound_with_cover_art_is_refused() -> None:
    """Cover art is no moving picture, and the message says that it is all there was."""
    with pytest.raises(InputNoVideoError, match="only cover art"):
        plan(saved("cover_art"))
    with pytest.raises(InputNoVideoError, match="no video track"):
        plan(variant("cover_art", attached_pictures=0))


def test_every_fault_of_the_parameters_is_named() -> None:
    """Two faults, one message."""
    with pytest.raises(ParametersError, match=r"upload_thumb_v1 .*atSeconds: .*; size: ") as caught:
        Thumbnail().parse({"atSeconds": -1, "size": "large"})
    assert caught.value.code == "PARAMETERS_INVALID"


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "soon", None])
def test_a_moment_that_is_none_is_refused(value: object) -> None:
    """Only seconds from the start, and so many of them that JSON can hold them."""
    with pytest.raises(ParametersError, match="atSeconds"):
        Thumbnail().parse({"atSeconds": value})


def test_it_is_light_and_reads_by_range() -> None:
    """Thumbnails have a reserved lane, go many to a run, and never fetch the whole object."""
    assert (Thumbnail().lane, Thumbnail().access) == (Lane.LIGHT, Access.RANGE)
    assert Thumbnail().batch_size > 1
