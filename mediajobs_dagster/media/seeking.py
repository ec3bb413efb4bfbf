"""Finds where a file has to be opened to decode what is on show at a given time.

After a seek, ffmpeg may begin behind that time: where a container has no list of key frames, or sorts frames by the
time at which they are decoded, or where a picture is refreshed part by part. What was on show before cannot be decoded
then. So the first frame after a seek is decoded, and if it is too late, an earlier place is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

from mediajobs_dagster.errors import InputError
from mediajobs_dagster.media.command import STDOUT, Command, Input, Output
from mediajobs_dagster.media.packets import PacketTimes
from mediajobs_dagster.models import MediaInfo

_FIRST_STEP_S = Fraction(1)


def entry(
    run: Callable[[Command, Callable[[bytes], None]], object], source: str, info: MediaInfo, at: Fraction
) -> Fraction:
    """The place to open `source` at, seconds: the last one found from which the picture at `at` can be decoded.

    `run` runs a command, and hands over what it writes to standard output. Each try decodes the first
    frame after the place.
    """
    video = info.main_video
    if video is None or not info.has_times:
        return Fraction(0)
    place, step = at, _FIRST_STEP_S
    while place > 0:
        seek = ("-noaccurate_seek", "-ss", f"{float(place):.6f}")
        kept = ("-fps_mode", "passthrough", "-enc_time_base", "demux", "-copypriorss", "1")
        options = ("-map", f"0:{video.index}", *kept, "-frames:v", "1", "-f", "framecrc")
        found = PacketTimes()
        with suppress(InputError):  # what cannot be decoded there is too late
            run(Command(inputs=(Input(source, seek),), outputs=(Output(STDOUT, options),)), found.feed)
        if found.counts and found.start(0) + Fraction(info.origin(float(place), [video])) <= at:
            return place
        place, step = max(Fraction(0), at - step), 4 * step
    return Fraction(0)
