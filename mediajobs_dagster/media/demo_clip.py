"""Makes a clip with picture and sound, and some music, to try the job types on."""

from __future__ import annotations

from pathlib import Path

from mediajobs_dagster.media.command import Command, Generated, Output
from mediajobs_dagster.media.run import Report, Runner

_COLOURS = "c0=0x10243e:c1=0x1f6f8b:c2=0x99a8b2:c3=0xe6d5b8"
_CHORD_HZ = (220.0, 277.18, 329.63, 440.0)


def make_demo_clip(runner: Runner, path: Path, seconds: int = 10, report: Report = lambda _: None) -> None:
    """Write a clip of `seconds` to `path` (.mp4): 1280x720, 30 fps, H.264; AAC stereo, 48 kHz. Takes a few seconds."""
    slow_colours = f"gradients=size=160x90:rate=30:duration={seconds}:{_COLOURS}:nb_colors=4:speed=0.01"
    moving_disc = f"testsrc=size=320x240:rate=30:duration={seconds}"
    # A chord that swells once a second, its notes spread from left to right.
    notes = [f"{0.12:g}*sin(2*PI*{hz:g}*t)*(0.55-0.45*cos(2*PI*t))" for hz in _CHORD_HZ]
    chord = f"aevalsrc='{'+'.join(notes[::2])}|{'+'.join(notes[1::2])}':sample_rate=48000:duration={seconds}"
    runner.run(
        Command(
            inputs=(Generated(slow_colours), Generated(moving_disc), Generated(chord)),
            graph="[0:v]scale=1280:720:flags=bilinear[sky];[sky][1:v]overlay=x='480+400*sin(t*1.3)':y='240+180*cos(t*1.7)',format=yuv420p[v]",
            outputs=(
                Output(
                    path.name,
                    (
                        *("-map", "[v]", "-map", "2:a", "-c:v", "libx264", "-preset", "veryfast", "-crf", "23"),
                        *("-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart"),
                    ),
                ),
            ),
            media_seconds=seconds,
        ),
        cwd=path.parent,
        report=report,
    )


def make_demo_music(runner: Runner, path: Path, seconds: int = 16, report: Report = lambda _: None) -> None:
    """Write an arpeggio of `seconds` to `path` (.m4a): AAC stereo, 48 kHz."""
    # Four notes a second over four chords, each note plucked; an octave below hums along.
    chords = ((0, 4, 7, 12), (-3, 0, 4, 9), (-7, -3, 0, 5), (-5, -1, 2, 7))
    steps = [chord[note] for chord in chords for _ in range(2) for note in range(4)]
    pitch = "+".join(f"eq(mod(floor(4*t),{len(steps)}),{number})*{step}" for number, step in enumerate(steps))
    hertz = f"(261.63*pow(2,({pitch})/12))"
    pluck = f"0.3*sin(2*PI*{hertz}*mod(t,0.25))*exp(-7*mod(t,0.25))"
    music = f"aevalsrc='{pluck}|{pluck}':sample_rate=48000:duration={seconds}"
    runner.run(
        Command(
            inputs=(Generated(music),),
            outputs=(Output(path.name, ("-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart")),),
            media_seconds=seconds,
        ),
        cwd=path.parent,
        report=report,
    )
