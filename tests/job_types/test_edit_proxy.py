"""The plan of an edit proxy, from saved probes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mediajobs_dagster.errors import InputNoVideoError, ParametersError
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.material import Access
from mediajobs_dagster.job_types.plan import Plan
from mediajobs_dagster.media.command import Input
from mediajobs_dagster.models import MediaInfo
from tests.job_types.sources import UPLOAD_ID, a_picture, saved, short, sixty_fps, source, streamed, variant


def plan(info: MediaInfo) -> Plan:
    """The plan of a proxy of that media."""
    return EditProxy().plan_upload(source(info), EditProxy().parse({}))


ENCODED = " -fps_mode cfr -c:v libx264 -profile:v main -preset veryfast -crf 23 -g 8 -keyint_min 8 -sc_threshold 0"
TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
STEREO = " -map 0:1 -af aresample=async=1:min_hard_comp=0.02 -c:a aac -b:a 128k -ar 48000 -ac 2"
SILENT = " -an"
CONTAINER = " -map_metadata -1 -map_chapters -1 -movflags +faststart -f mp4"


def picture(
    size: str,
    stored: tuple[int, int] = (640, 360),
    *,
    matrix: str = "bt601",
    fast: bool = False,
    held: Sequence[str] = (),
) -> str:
    """The picture's part of the command: frames are dropped before scaling, or made after it.

    `held` is how long the last frame is shown longer, as the source shows it and as the proxy does.
    """
    width, height = size.split(":")
    same = f"eq(iw,{stored[0]})*eq(ih,{stored[1]})"
    across = f"if({same},{width},trunc(min({width},{height}*dar)/2)*2)"
    down = f"if({same},{height},trunc(min({height},{width}/dar)/2)*2)"
    exact = "" if matrix == "bt709" else "+accurate_rnd"
    colours = f"flags=bicubic{exact}:out_color_matrix=bt709:out_range=tv:in_color_matrix={matrix}"
    scale = f"scale='{across}':'{down}':{colours},setsar=1,format=yuv420p,pad={size}:-1:-1:eval=frame"
    resize = f"fps=30,{scale}" if fast else f"{scale},fps=30"
    kept, hold = (f"tpad=stop_mode=clone:stop_duration={each}," for each in held) if held else ("", "")
    return f"-map 0:0 -vf {kept}{resize},{hold}{TAGS}{ENCODED}"


WIDE, WIDE_HD = picture("540:304"), picture("540:304", (1280, 720), matrix="bt709")
HELD = picture("540:304", held=("0.05", "0.017"))


@pytest.mark.parametrize(
    ("info", "options"),
    [
        pytest.param(saved("bigbuckbunny"), WIDE_HD + STEREO + CONTAINER, id="landscape"),
        pytest.param(saved("rotated_portrait"), picture("304:540", (360, 640)) + STEREO + CONTAINER, id="rotated"),
        pytest.param(saved("anamorphic"), picture("540:304", (480, 360)) + SILENT + CONTAINER, id="anamorphic_silent"),
        pytest.param(saved("one_frame"), WIDE + SILENT + CONTAINER, id="one_frame"),
        pytest.param(saved("surround"), WIDE + STEREO + CONTAINER, id="surround"),
        pytest.param(saved("two_audio_tracks"), WIDE + STEREO + CONTAINER, id="two_audio_tracks"),
        pytest.param(saved("variable_frame_rate"), HELD + STEREO + CONTAINER, id="sound_goes_on"),
        pytest.param(saved("video_with_cover"), WIDE + STEREO + CONTAINER, id="video_with_cover"),
        pytest.param(sixty_fps(), picture("540:304", fast=True) + STEREO + CONTAINER, id="sixty_fps"),
        pytest.param(short(), WIDE + STEREO + CONTAINER, id="short"),
        pytest.param(streamed(), WIDE + SILENT + CONTAINER, id="length_not_known"),
    ],
)
def test_the_command(info: MediaInfo, options: str) -> None:
    """One pass over the whole source, from its first frame, with exactly these options."""
    (step,) = plan(info).steps
    assert step.command.inputs == (Input("source", ("-reinit_filter:v", "0")),)
    assert [output.target for output in step.command.outputs] == ["edit_proxy.mp4"]
    assert " ".join(step.command.outputs[0].options) == options
    assert (step.sink, step.then) == (None, None)


@pytest.mark.parametrize("width", [1, 2, 3, 539, 540, 541, 853, 1080, 1919, 7680])
@pytest.mark.parametrize("height", [1, 2, 481, 607, 1081])
def test_sizes_are_even(width: int, height: int) -> None:
    """4:2:0 video has no odd sizes."""
    info = variant("anamorphic", video=(a_picture(width=width, height=height),))
    expected = plan(info).outputs[0].expected
    assert expected.width is not None
    assert expected.height is not None
    assert expected.width % 2 == expected.height % 2 == 0
    assert max(expected.width, expected.height) == 540
    assert min(expected.width, expected.height) >= 2


def test_what_comes_out() -> None:
    """An MP4 that has to keep to the contract: size, rate, codecs, and the length of the source within a few frames."""
    (output,) = plan(saved("bigbuckbunny")).outputs
    assert output.key == f"proxies/uploads/{UPLOAD_ID}/edit_proxy.mp4"
    assert output.content_type == "video/mp4"
    expected = output.expected
    assert (expected.width, expected.height, expected.fps) == (540, 304, 30)
    assert (expected.video_codec, expected.audio_codec) == ("h264", "aac")
    assert expected.duration_seconds == 5.312
    assert expected.duration_tolerance < 0.2


def test_a_source_without_sound_must_give_a_proxy_without() -> None:
    """Verification is told that there must be no sound, not that any will do."""
    assert plan(saved("anamorphic")).outputs[0].expected.audio_codec == ""


def test_a_length_that_is_not_known_is_not_expected() -> None:
    """A streamed recording is neither held against a length of nothing, nor is its progress reckoned from one."""
    made = plan(streamed())
    assert made.outputs[0].expected.duration_seconds is None
    assert made.steps[0].command.media_seconds is None


def test_progress_is_reckoned_from_the_length() -> None:
    """The command knows how many seconds of media it has to make."""
    assert plan(saved("bigbuckbunny")).steps[0].command.media_seconds == 5.312


def test_sound_alone_is_refused() -> None:
    """A proxy needs a moving picture."""
    with pytest.raises(InputNoVideoError):
        plan(saved("cover_art"))


def test_it_takes_no_parameters() -> None:
    """A parameter that means nothing is refused rather than ignored."""
    with pytest.raises(ParametersError, match=r"upload_edit_proxy_v1 .*crf"):
        EditProxy().parse({"crf": 18})


def test_it_is_heavy_and_reads_the_whole_source() -> None:
    """An encode waits in the lane of encodes, alone in its run."""
    assert (EditProxy().lane, EditProxy().access, EditProxy().batch_size) == (Lane.HEAVY, Access.WHOLE, 1)
