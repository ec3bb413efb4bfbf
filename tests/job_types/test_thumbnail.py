"""The plan of a thumbnail, from saved probes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from mediajobs_dagster.errors import InputNoVideoError, ParametersError
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.job_types.material import Access, Material, ToneMapping
from mediajobs_dagster.job_types.plan import Call, Expected, Left, Plan, Run, Step
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.command import Command, Input
from mediajobs_dagster.models import MediaInfo
from tests.job_types.planning import SaidMachine, planned
from tests.job_types.sources import (
    UPLOAD_ID,
    a_picture,
    job,
    saved,
    short,
    sixty_fps,
    source,
    streamed,
    upload,
    variant,
)


def plan(info: MediaInfo, at_seconds: float | None = None) -> Plan:
    """The plan of a thumbnail of that media."""
    return Thumbnail().plan_upload(source(info), Thumbnail().parse({"atSeconds": at_seconds}))


def command_of(step: Step) -> Command:
    """The command of a step that runs ffmpeg."""
    assert isinstance(step, Run)
    assert isinstance(step.command, Command)
    return step.command


def seeks(steps: Iterable[Step]) -> list[str]:
    """The input options of each command, as they would be typed."""
    commands = [command_of(step) for step in steps if isinstance(step, Run)]
    return [shlex.join(part.options) for command in commands for part in command.inputs if isinstance(part, Input)]


def further(step: Step, folder: Path) -> list[Step]:
    """The steps that follow from what a step left."""
    assert isinstance(step, Run)
    assert step.then
    return list(step.then(Left(folder)))


def searched(step: Step, folder: Path) -> list[str]:
    """Where one picture after the other is looked for while all are black, beginning with that of `step`."""
    found: list[str] = []
    while isinstance(step, Run):
        found += seeks([step])
        Image.new("RGB", (64, 36)).save(folder / command_of(step).outputs[0].target)
        step, *_ = further(step, folder) or [None]
    return found


LANDSCAPE = (
    "-map 0:0 -frames:v 1 -vf scale=640:360:flags=lanczos:out_color_matrix=bt601:out_range=full:in_color_matrix=bt601,"
    "setsar=1,format=yuv420p -c:v mjpeg -q:v 3 -map_metadata -1 -f image2 -update 1"
)
TAGGED = LANDSCAPE.replace(":in_color_matrix=bt601", "").replace("lanczos:", "lanczos+accurate_rnd:")
HD = LANDSCAPE.replace(
    "lanczos:out_color_matrix=bt601:out_range=full:in_color_matrix=bt601,setsar=1,format=yuv420p",
    "lanczos,format=yuv420p,colorspace=ispace=bt709:iprimaries=bt709:itrc=bt709:space=smpte170m:primaries=bt709"
    ":trc=bt709:range=pc:fast=1,setsar=1",
)


@pytest.mark.parametrize(
    ("info", "seek", "options"),
    [
        pytest.param(saved("bigbuckbunny"), "-ss 0.2", HD, id="landscape"),
        pytest.param(saved("rotated_portrait"), "-ss 0.2", LANDSCAPE.replace("640:360", "360:640"), id="rotated"),
        pytest.param(saved("anamorphic"), "-ss 0.2", LANDSCAPE, id="anamorphic"),
        pytest.param(saved("variable_frame_rate"), "-ss 0.2", LANDSCAPE, id="variable_frame_rate"),
        pytest.param(saved("ten_bit_422"), "-ss 0.2", LANDSCAPE, id="ten_bit_422"),
        pytest.param(variant("anamorphic", picture={"matrix": "bt2020nc"}), "-ss 0.2", TAGGED, id="tagged"),
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
    """One frame is sought, scaled and written as JPEG."""
    made = plan(info)
    assert seeks(made.steps) == [seek]
    (output,) = command_of(made.steps[0]).outputs
    assert (output.target, shlex.join(output.options)) == ("thumb.jpg", options)


def test_where_nothing_is_found_the_first_picture_is_taken(tmp_path: Path) -> None:
    """And the manifest says so; where even that is missing, no step is left that could hide the fault."""
    (sought,) = plan(saved("anamorphic")).steps
    (start,) = further(sought, tmp_path)
    assert seeks([start]) == [""]
    assert further(start, tmp_path) == []
    Image.linear_gradient("L").save(tmp_path / "thumb.jpg")
    (noted,) = further(start, tmp_path)
    assert isinstance(noted, Call)


def test_where_nothing_was_sought_nothing_can_be_missed(tmp_path: Path) -> None:
    """A clip of one frame has no second try."""
    (step,) = plan(saved("one_frame")).steps
    assert seeks([step]) == [""]
    assert further(step, tmp_path) == []


def test_a_picture_is_kept_where_it_is_one(tmp_path: Path) -> None:
    """Nothing else is run."""
    (step,) = plan(saved("anamorphic")).steps
    Image.linear_gradient("L").save(tmp_path / "thumb.jpg")
    assert further(step, tmp_path) == []


@pytest.mark.parametrize(
    ("info", "moments"),
    [
        pytest.param(saved("anamorphic"), ["0.2", "0.75", "1.5"], id="three_seconds"),
        pytest.param(short(), ["0.05"], id="nothing_further_in"),
        pytest.param(streamed(), ["0.2", "1", "3", "10 -noaccurate_seek", "30 -noaccurate_seek"], id="length_unknown"),
        pytest.param(
            variant("anamorphic", duration_seconds=600.0, picture={"duration_seconds": 600.0}),
            ["0.2", "1", "3", *(f"{seconds} -noaccurate_seek" for seconds in (30, 60, 150, 300))],
            id="ten_minutes",
        ),
        pytest.param(
            variant("anamorphic", duration_seconds=600.0, picture={"duration_seconds": 1.0}),
            ["0.2", "0.5"],
            id="sound_goes_on",
        ),
    ],
)
def test_a_better_picture_is_looked_for_further_in(tmp_path: Path, info: MediaInfo, moments: list[str]) -> None:
    """Moment by moment, up to half of the picture's length; key frames only where decoding would take long."""
    assert searched(plan(info).steps[0], tmp_path) == [f"-ss {moment}" for moment in moments]


def test_a_moment_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    """Even if the picture there is black."""
    assert searched(plan(saved("anamorphic"), 0.2).steps[0], tmp_path) == ["-ss 0.2"]


@pytest.mark.parametrize("container", ["h264", "hevc", "mpegvideo", "obu", "m4v", "mpegts", "mpeg"])
def test_streams_are_decoded_from_the_start(container: str) -> None:
    """Nothing can be sought exactly in a stream without an index, so the frames before are dropped after decoding."""
    info = variant("anamorphic", container=container, duration_seconds=0.0, picture={"duration_seconds": None})
    (step,) = plan(info).steps
    assert seeks([step]) == [""]
    assert shlex.join(command_of(step).outputs[0].options).startswith("-map 0:0 -ss 0.2 -frames:v 1 ")


def test_hdr_is_tone_mapped_where_that_is_possible() -> None:
    """Asked of the machine for HDR alone; where it cannot, the thumbnail is made all the same."""
    of_hdr, plain = (
        Material(job(), upload(), {UPLOAD_ID: source(saved(name))}) for name in ("ten_bit_422", "anamorphic")
    )
    params = Thumbnail().parse({})
    filters = [
        shlex.join(command_of(planned(Thumbnail(), material, params, SaidMachine(mapping)).steps[0]).outputs[0].options)
        for material, mapping in (
            (of_hdr, ToneMapping.SWSCALE),
            (of_hdr, ToneMapping.ZSCALE),
            (of_hdr, None),
            (plain, ToneMapping.SWSCALE),
        )
    ]
    assert ["intent=perceptual" in each for each in filters] == [True, False, False, False]
    assert ["tonemap=hable" in each for each in filters] == [False, True, False, False]


def test_wide_colours_are_brought_to_those_of_every_screen() -> None:
    """SDR in the primaries of BT.2020 or DCI-P3, by what the machine has for it; it needs no tone mapping."""
    params = Thumbnail().parse({})

    def filters(primaries: str, mapping: ToneMapping | None) -> str:
        material = Material(
            job(), upload(), {UPLOAD_ID: source(variant("anamorphic", picture={"primaries": primaries}))}
        )
        made = planned(Thumbnail(), material, params, SaidMachine(mapping))
        return shlex.join(command_of(made.steps[0]).outputs[0].options)

    for primaries in ("bt2020", "smpte432"):
        assert "out_primaries=bt709" in filters(primaries, ToneMapping.SWSCALE)
        assert "zscale=primaries=bt709" in filters(primaries, ToneMapping.ZSCALE)
        assert "tonemap" not in filters(primaries, ToneMapping.ZSCALE)
    assert "primaries=bt709" not in filters("bt2020", None)
    assert "zscale" not in filters("bt709", ToneMapping.ZSCALE)


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
    sought = seeks(plan(info, asked).steps)[0]
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
    assert f"scale={size}:" in shlex.join(command_of(plan(info).steps[0]).outputs[0].options)


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


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "soon"])
def test_a_moment_that_is_none_is_refused(value: object) -> None:
    """Only seconds from the start, and so many of them that JSON can hold them."""
    with pytest.raises(ParametersError, match="atSeconds"):
        Thumbnail().parse({"atSeconds": value})


def test_it_is_light_and_reads_by_range() -> None:
    """Thumbnails have a reserved lane, go many to a run, and never fetch the whole object."""
    assert (Thumbnail().lane, Thumbnail().access) == (Lane.LIGHT, Access.RANGE)
    assert Thumbnail().batch_size > 1
