"""A command of ffmpeg, as a value. A planner makes it; the runner adds the guards and runs it.

    Command(
        inputs=(Input("source", ("-ss", "0.2")),),
        outputs=(Output("thumb.jpg", ("-frames:v", "1", "-vf", "scale=640:360:flags=lanczos", "-q:v", "3")),),
        media_seconds=None,
    )

Paths are relative to the scratch folder, which is the process's working folder: argv stays short, holds no path of
the machine and can be run again. An input may also be an `http(s)` address that mediajobs made for an object, which
ffmpeg then reads by range. Further kinds of input are for what did not come from a user:

    Command(
        inputs=(Input("source"), Drawing("caption_0.pam"), Generated("color=black:size=640x360:rate=30")),
        graph="[0:v][1:v]overlay=10:10[v]",                                   # -filter_complex
        outputs=(Output("video.mp4", ("-map", "[v]", "-c:v", "libx264")),),
        media_seconds=12.5,                                                   # length of the output: feeds progress
    )
    Command(inputs=(Input("source"),), outputs=(Output(STDOUT, ("-map", "0:a:0", "-f", "f32le")),), media_seconds=60)

A planner cannot leave out the guards: `Command.arguments` puts them before every input. Media is hostile, so every
input may only use the demuxers and protocols listed here; no playlist can make ffmpeg open another file or host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

STDOUT = "pipe:1"
"""The target of an output whose bytes go to the caller's sink rather than into a file."""

VAAPI_DEVICE = ("-vaapi_device", "/dev/dri/renderD128")
"""Encodes through VAAPI, on the first graphics card. A global option of ffmpeg: it may come anywhere."""

ACCEPTED_CONTAINERS: tuple[str, ...] = (
    # Names as `ffmpeg -demuxers` prints them; a demuxer is accepted if any of its comma-separated names is here.
    # Only containers whose media lies inside the file. Deliberately not here: hls, dash, concat, image2, tee, lavfi,
    # sdp, rtsp, subtitles and every text format, because they name further files or hosts.
    *("mov", "matroska", "avi", "asf", "flv", "mpegts", "mpeg", "mxf", "ogg", "dv", "rm", "gif"),
    *("mpegvideo", "m4v", "h264", "hevc", "obu", "ivf"),
    *("mp3", "aac", "ac3", "eac3", "dts", "truehd", "flac", "wav", "w64", "aiff", "caf", "amr", "au", "ape", "tta"),
    *("wv", "loas"),
)
"""The demuxers that a user's file may be opened with."""

_LOCAL_PROTOCOLS = ("file",)
_REMOTE_PROTOCOLS = ("http", "https", "tcp", "tls")


@dataclass(frozen=True)
class Guards:
    """The limits that every command and every probe carries."""

    threads: int
    """Threads for each decoder, each encoder and each filter graph."""
    max_pixels: int
    """Largest picture (width × height) that a decoder or encoder may set up."""
    max_seconds: float = math.inf
    """Longest media to work on, seconds."""
    io_timeout_s: float = 20.0
    """How long one read from a remote input may take, seconds."""
    reconnect_s: int = 4
    """Longest wait before a failed connection is tried again, seconds; waits are 0, 1, 3, 7, … up to this."""
    request_bytes: int = 0
    """Bytes of a remote input in one request; 0: all from where the read begins, the only way of older ffmpegs."""


@dataclass(frozen=True)
class Input:
    """A media file of a user: a path relative to scratch, or an `http(s)` address that mediajobs made."""

    source: str
    options: tuple[str, ...] = ()
    """Options that go before its `-i`, such as `("-ss", "0.2")`."""

    @property
    def is_remote(self) -> bool:
        """Whether ffmpeg reads it over the network."""
        return is_remote(self.source)

    def arguments(self, guards: Guards) -> tuple[str, ...]:
        """The input's part of argv."""
        threads = ("-threads", str(guards.threads))
        return (*source_guards(self.source, guards), *threads, *self.options, "-i", address(self.source))


@dataclass(frozen=True)
class Drawing:
    """A picture that mediajobs drew (titles, captions): one frame, which `overlay` repeats.

    It is a PAM file: the header `P7 WIDTH w HEIGHT h DEPTH 4 MAXVAL 255 TUPLTYPE RGB_ALPHA ENDHDR`, a field a line, and
    the raw RGBA bytes. Every ffmpeg reads it, while static builds often lack PNG, which needs a library.
    """

    source: str
    options: tuple[str, ...] = ()

    def arguments(self, guards: Guards) -> tuple[str, ...]:
        """The input's part of argv. The demuxer is forced: nothing else is looked for in the file."""
        threads = ("-threads", str(guards.threads))
        forced = ("-protocol_whitelist", "file", "-f", "pam_pipe")
        return (*forced, *threads, *self.options, "-i", address(self.source))


@dataclass(frozen=True)
class Slideshow:
    """Drawings that follow each other, each for its time: a list in the language of ffmpeg's concat demuxer.

    mediajobs makes the list and the drawings, and names them without folders; with `-safe 1`, ffmpeg takes no other.
    """

    source: str
    options: tuple[str, ...] = ()

    def arguments(self, guards: Guards) -> tuple[str, ...]:
        """The input's part of argv."""
        forced = ("-protocol_whitelist", "file", "-f", "concat", "-safe", "1")
        return (*forced, "-threads", str(guards.threads), *self.options, "-i", address(self.source))


@dataclass(frozen=True)
class Generated:
    """Picture or sound made by ffmpeg's own sources. `graph` never holds a user's text: lavfi can open files."""

    graph: str
    options: tuple[str, ...] = ()

    def arguments(self, guards: Guards) -> tuple[str, ...]:
        """The input's part of argv."""
        return ("-f", "lavfi", "-threads", str(guards.threads), *self.options, "-i", self.graph)


@dataclass(frozen=True)
class Output:
    """One thing to make: a path relative to scratch or `STDOUT`, and the options that go before it."""

    target: str
    options: tuple[str, ...] = ()

    def arguments(self, guards: Guards) -> tuple[str, ...]:
        """The output's part of argv."""
        target = self.target if self.target == STDOUT else address(self.target)
        return ("-threads", str(guards.threads), *self.options, target)

    @property
    def may_hold_sound(self) -> bool:
        """Whether it is a file with sound, as far as its options tell. Pictures, raw streams and nothing are not."""
        return self.target != STDOUT and _WITHOUT_SOUND.isdisjoint(self.options)


@dataclass(frozen=True)
class Command:
    """One run of ffmpeg."""

    inputs: tuple[Input | Drawing | Slideshow | Generated, ...]
    outputs: tuple[Output, ...]
    graph: str | None = None
    """A `-filter_complex` over all inputs."""
    graph_file: str | None = None
    """The file in scratch that holds the graph, if it is too long for an argument. ffmpeg before 7 cannot read it."""
    media_seconds: float | None = None
    """Expected length of the output, seconds; None: progress has no fraction (a single frame, an unknown length)."""

    def __post_init__(self) -> None:
        if sum(output.target == STDOUT for output in self.outputs) > 1:
            raise ValueError("Only one output can go to standard output; give the others a file.")
        for option in (option for part in (*self.inputs, *self.outputs) for option in part.options):
            # A later option of the same name would win over the guard.
            if option.startswith("-") and option.lstrip("-").split(":")[0] in _GUARDED:
                raise ValueError(f"{option} is set by the guards of every command; leave it out of the plan.")

    @property
    def stdout(self) -> bool:
        """Whether standard output is data for a sink."""
        return any(output.target == STDOUT for output in self.outputs)

    @property
    def has_remote_input(self) -> bool:
        """Whether ffmpeg reads an input over the network."""
        return any(isinstance(part, Input) and part.is_remote for part in self.inputs)

    def arguments(self, guards: Guards) -> tuple[str, ...]:
        """Everything after the program's name, ready to run in the scratch folder."""
        return (
            *general_guards(verbose=self.has_remote_input or any(output.may_hold_sound for output in self.outputs)),
            "-nostdin",
            "-nostats",
            "-y",  # overwrite: only this attempt uses its scratch folder, and ffmpeg must not ask
            *("-filter_threads", str(guards.threads), "-filter_complex_threads", str(guards.threads)),
            *(argument for part in self.inputs for argument in part.arguments(self._input_guards(guards))),
            *self._graph_arguments(),
            *(argument for part in self.outputs for argument in part.arguments(guards)),
        )

    def _input_guards(self, guards: Guards) -> Guards:
        # Each thread of a decoder holds frames of its own. With many decoders, one thread each keeps all cores busy.
        return guards if len(self.inputs) < _MANY_INPUTS else replace(guards, threads=1)

    def _graph_arguments(self) -> tuple[str, ...]:
        if self.graph_file:
            return ("-/filter_complex", self.graph_file)
        return ("-filter_complex", self.graph) if self.graph else ()


_MANY_INPUTS = 10
_WITHOUT_SOUND = frozenset({"image2", "null"})
"""Formats of outputs that hold no sound."""

_GUARDED = frozenset(
    {"protocol_whitelist", "format_whitelist", "threads", "max_pixels", "enable_drefs", "use_absolute_path"}
)


_NOISE_WITH_VALUE = frozenset(
    {
        "-loglevel",
        "-protocol_whitelist",
        "-format_whitelist",
        "-max_pixels",
        "-filter_threads",
        "-filter_complex_threads",
        "-show_entries",
    }
)
_NOISE = frozenset({"-hide_banner", "-nostdin", "-nostats", "-y"})


def without_guards(argv: Sequence[str]) -> list[str]:
    """A command for people to read, without the options that all commands have."""
    shown: list[str] = []
    rest = iter(argv)
    for argument in rest:
        if argument in _NOISE_WITH_VALUE:
            next(rest, None)
        elif argument not in _NOISE:
            shown.append(argument)
    return shown


def is_remote(source: str) -> bool:
    """Whether `source` is read over the network."""
    return source.startswith(("http://", "https://"))


def address(source: str) -> str:
    """`source` as an argument: a path gets the protocol `file:`, so that no file name is taken for another one."""
    return source if is_remote(source) else f"file:{source}"


IN_EVERY_COMMAND = "-hide_banner"
"""An argument of every command that mediajobs starts."""


def general_guards(*, verbose: bool) -> tuple[str, ...]:
    """Options at the head of every ffmpeg and ffprobe command.

    Every log line carries its level, which tells errors from the rest. Only if it is `verbose` does ffmpeg say how many
    bytes it read from a remote input, and how much it encoded of each track. Each line costs us time.
    """
    return (IN_EVERY_COMMAND, "-loglevel", "level+verbose" if verbose else "level+info")


def source_guards(source: str, guards: Guards) -> tuple[str, ...]:
    """Options before an input that came from a user, for ffmpeg and ffprobe alike.

    There is no `-max_alloc`: one allocation is already bounded by `-max_pixels` and ffmpeg's own 2 GiB, and their sum,
    which is what hurts, by the process's address-space limit.
    """
    remote = is_remote(source)
    return (
        *("-protocol_whitelist", ",".join(_REMOTE_PROTOCOLS if remote else _LOCAL_PROTOCOLS)),
        *("-format_whitelist", ",".join(ACCEPTED_CONTAINERS)),
        *("-max_pixels", str(guards.max_pixels)),
        *(_network_guards(guards) if remote else ()),
    )


def _network_guards(guards: Guards) -> tuple[str, ...]:
    # A dropped connection or a 5XX is tried again a few times from the byte it stopped at; 4XX is final. The longest
    # wait bounds the tries too, in every version of ffmpeg.
    return (
        *("-rw_timeout", str(round(guards.io_timeout_s * 1_000_000))),
        *("-reconnect", "1", "-reconnect_on_network_error", "1", "-reconnect_on_http_error", "5xx"),
        *("-reconnect_delay_max", str(guards.reconnect_s)),
        # A request without an end makes the server send megabytes that nobody reads before the next seek.
        *(_in_pieces(guards.request_bytes) if guards.request_bytes else ()),
    )


def _in_pieces(size: int) -> tuple[str, ...]:
    return ("-request_size", str(size), "-initial_request_size", str(size), "-multiple_requests", "1")
