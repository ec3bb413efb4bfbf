"""Writes edit.otio as an editing program would: cuts, a gap, a dissolve, double speed and a second video track."""

import sys

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

FPS = 30


def frames(first: int, count: int) -> TimeRange:
    return TimeRange(RationalTime(first, FPS), RationalTime(count, FPS))


def clip(file: str, available: int, first: int, count: int) -> otio.schema.Clip:
    return otio.schema.Clip(file, otio.schema.ExternalReference(file, frames(0, available)), frames(first, count))


fast = clip("demo.mp4", 300, 30, 45)
fast.effects.append(otio.schema.LinearTimeWarp(time_scalar=2))
base = otio.schema.Track("V1", kind="Video")
base.extend(
    [
        clip("demo.mp4", 300, 15, 60),
        clip("demo.mp4", 300, 150, 45),
        otio.schema.Gap(source_range=frames(0, 15)),
        fast,
        otio.schema.Transition("dissolve", "SMPTE_Dissolve", RationalTime(10, FPS), RationalTime(10, FPS)),
        clip("second.mp4", 240, 60, 60),
    ]
)
above = otio.schema.Track("V2", kind="Video")
above.extend([otio.schema.Gap(source_range=frames(0, 75)), clip("second.mp4", 240, 0, 30)])

edit = otio.schema.Timeline("An edit from elsewhere", global_start_time=RationalTime(0, FPS))
edit.tracks.extend([base, above])
otio.adapters.write_to_file(edit, sys.argv[1])
