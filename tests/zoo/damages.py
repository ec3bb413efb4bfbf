"""Damages that are done to right outputs, to see that they are noticed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from mediajobs_dagster.media.tools import Tools
from tests.zoo.making import AAC

_SAME_PICTURE = ("-c:v", "copy")
_SAME_SOUND = ("-c:a", "copy")
_ENCODED = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-g", "60", *_SAME_SOUND)
_HEARD = (*_SAME_PICTURE, *AAC)
_OTHER_MATRIX = "scale=in_color_matrix=bt709:out_color_matrix=bt601"

DAMAGES: Mapping[str, tuple[str, ...]] = {
    "nothing": ("-c", "copy"),
    "a frame dropped": ("-vf", "select='not(eq(n,30))',setpts=N/FR/TB", *_ENCODED),
    "a frame shown twice": ("-vf", "select='not(eq(n,30))'", "-fps_mode", "cfr", *_ENCODED),
    "the picture a frame late": ("-vf", "tpad=start=1:start_mode=clone,trim=end_frame=75", *_ENCODED),
    "the picture 0.5 s shorter": ("-vf", "trim=end=2", *_ENCODED),
    "the picture standing still": ("-vf", "loop=loop=-1:size=1:start=0,trim=end=2.5", *_ENCODED),
    "black": ("-vf", "drawbox=color=black:t=fill", *_ENCODED),
    "black for a second": ("-vf", "drawbox=color=black:t=fill:enable='between(t,0.5,1.5)'", *_ENCODED),
    "upside down": ("-vf", "vflip", *_ENCODED),
    "in another matrix": (
        "-vf",
        f"{_OTHER_MATRIX},setparams=colorspace=bt709",
        *_ENCODED,
    ),
    "half the size": ("-vf", "scale=160:90", *_ENCODED),
    "without sound": (*_SAME_PICTURE, "-an"),
    "muted": ("-af", "volume=0", *_HEARD),
    "the sound 0.06 s late": ("-af", "adelay=60:all=1,atrim=end=2.5", *_HEARD),
    "the sound 0.5 s late": ("-af", "adelay=500:all=1,atrim=end=2.5", *_HEARD),
    "the sound 1 s shorter": ("-af", "atrim=end=1.5", *_HEARD),
    "the sound 12 dB softer": ("-af", "volume=-12dB", *_HEARD),
    "a second of sound missing": ("-af", "volume=0:enable='between(t,1,2)'", *_HEARD),
    "the sound twice as fast": ("-af", "atempo=2,apad,atrim=end=2.5", *_HEARD),
}
"""What is done to a video of 2.5 s, as options of ffmpeg."""


def damage(path: Path, how: str, tools: Tools) -> None:
    """Damage a video in place."""
    right = path.rename(path.with_name(f"right_{path.name}"))
    command = [tools.ffmpeg, "-nostdin", "-v", "error", "-i", right, *DAMAGES[how], "-y", path]
    subprocess.run(command, check=True)
