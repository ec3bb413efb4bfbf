"""What a plan turns into: the guards stand before every input, whatever the planner wrote."""

from __future__ import annotations

import subprocess

import pytest

from mediajobs_dagster.media.command import (
    ACCEPTED_CONTAINERS,
    STDOUT,
    Command,
    Drawing,
    Generated,
    Guards,
    Input,
    Output,
)
from mediajobs_dagster.media.tools import Tools

GUARDS = Guards(threads=3, max_pixels=1000)


def test_every_input_of_a_user_is_guarded() -> None:
    """Each `-i` of a user's file has a whitelist of protocols and of containers, and a limit of pixels, before it."""
    command = Command((Input("source"), Input("other", ("-ss", "1"))), (Output("out.mp4"),))
    first, second, _ = _split_after_each_input(command.arguments(GUARDS))
    for part in (first, second):
        assert part[part.index("-protocol_whitelist") + 1] == "file"
        assert part[part.index("-format_whitelist") + 1] == ",".join(ACCEPTED_CONTAINERS)
        assert part[part.index("-max_pixels") + 1] == "1000"


def test_every_decoder_encoder_and_filter_has_the_thread_budget() -> None:
    """Threads stand before each input, before each output, and once for each kind of filter graph."""
    command = Command((Input("a"), Drawing("b.pam"), Generated("color")), (Output("c"), Output("d")), graph="overlay")
    arguments = command.arguments(GUARDS)
    assert [arguments[index + 1] for index, word in enumerate(arguments) if word == "-threads"] == ["3"] * 5
    assert arguments[arguments.index("-filter_threads") + 1] == "3"
    assert arguments[arguments.index("-filter_complex_threads") + 1] == "3"


def test_many_decoders_get_one_thread_each() -> None:
    """The encoder keeps the budget."""
    command = Command(tuple(Input(f"source_{number}") for number in range(10)), (Output("c"),), graph="concat=n=10")
    arguments = command.arguments(GUARDS)
    assert [arguments[index + 1] for index, word in enumerate(arguments) if word == "-threads"] == ["1"] * 10 + ["3"]


def test_a_remote_input_may_use_the_network_and_nothing_else() -> None:
    """A signed address is read over http(s) only, each read bounded in time."""
    arguments = Command((Input("https://host/key?sig=1"),), (Output("out"),)).arguments(GUARDS)
    assert arguments[arguments.index("-protocol_whitelist") + 1] == "http,https,tcp,tls"
    assert arguments[arguments.index("-rw_timeout") + 1] == "20000000"


@pytest.mark.parametrize(
    ("source", "output", "level"),
    [
        ("source", Output("thumb.jpg", ("-f", "image2")), "level+info"),
        ("source", Output("nowhere", ("-f", "null")), "level+info"),
        ("source", Output(STDOUT, ("-f", "s16le")), "level+info"),
        ("source", Output("proxy.mp4"), "level+verbose"),
        ("https://host/key", Output("thumb.jpg", ("-f", "image2")), "level+verbose"),
    ],
    ids=("picture", "nothing", "stream", "media", "remote"),
)
def test_ffmpeg_says_much_only_where_it_is_used(source: str, output: Output, level: str) -> None:
    """How much sound it encoded into a file, and how much it read from the network."""
    arguments = Command((Input(source),), (output,)).arguments(GUARDS)
    assert arguments[arguments.index("-loglevel") + 1] == level


def test_a_path_cannot_be_read_as_a_protocol_or_an_option() -> None:
    """A file name that looks like a protocol, or like an option, is still a file name."""
    arguments = Command((Input("concat:a|b"),), (Output("-y"),)).arguments(GUARDS)
    assert arguments[arguments.index("-i") + 1] == "file:concat:a|b"
    assert arguments[-1] == "file:-y"


@pytest.mark.parametrize(
    "option", ["-protocol_whitelist", "-format_whitelist", "-threads", "-threads:v", "-max_pixels"]
)
def test_a_plan_cannot_override_a_guard(option: str) -> None:
    """A planner that writes a guard itself is told so at once."""
    with pytest.raises(ValueError, match="guards"):
        Command((Input("source", (option, "x")),), (Output("out"),))


def test_only_one_output_goes_to_standard_output() -> None:
    """There is one standard output."""
    with pytest.raises(ValueError, match="standard output"):
        Command((Input("source"),), (Output(STDOUT), Output(STDOUT)))


def test_accepted_containers_are_demuxers_that_exist(tools: Tools) -> None:
    """A misspelt name in the whitelist would refuse a container that is meant to be accepted."""
    listing = subprocess.run([tools.ffmpeg, "-demuxers"], capture_output=True, text=True, check=True).stdout
    names = {name for line in listing.splitlines() if len(line.split()) > 1 for name in line.split()[1].split(",")}
    assert set(ACCEPTED_CONTAINERS) <= names


def test_no_accepted_container_refers_to_other_files() -> None:
    """The demuxers that open what a file names are not on the list."""
    referring = {
        "hls",
        "dash",
        "concat",
        "image2",
        "image2pipe",
        "lavfi",
        "sdp",
        "rtsp",
        "tee",
        "imf",
        "webm_dash_manifest",
    }
    assert not referring & set(ACCEPTED_CONTAINERS)


def _split_after_each_input(arguments: tuple[str, ...]) -> list[tuple[str, ...]]:
    ends = [index + 2 for index, word in enumerate(arguments) if word == "-i"]
    return [arguments[start:end] for start, end in zip([0, *ends], [*ends, len(arguments)], strict=True)]
