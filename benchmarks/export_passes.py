"""The same edit pass by pass, as services do that chain tools: each step encodes the whole again.

Each part is made by itself; then a pass joins them, a pass adds the picture in picture, a pass the title, and the last
one the sound. Encoder and settings are those of the export. The passes use every shortcut that costs no quality: parts
are sought, unchanged sound is copied, and the last pass copies the picture.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.export_edit import SIZE, Edit, Part
from benchmarks.export_sources import FPS, ffmpeg
from mediajobs_dagster.job_types.video_export.pam import pam
from mediajobs_dagster.timelines.model import Title
from mediajobs_dagster.timelines.text.fonts import Fonts
from mediajobs_dagster.timelines.text.lettering import Lettering, draw_title

PICTURE = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", 2 * FPS, "-pix_fmt", "yuv420p")
SOUND = ("-c:a", "aac", "-b:a", "128k", "-ar", 48000, "-ac", 2)
_TIME_BASE = "1/15360"  # of an MP4 of 30 fps, as ffmpeg writes it
_BESIDE = "sidechaincompress=threshold=0.03:ratio=8:attack=60:release=500"


def lettering(edit: Edit) -> Lettering:
    """The title as the export draws it, with its position."""
    assert edit.title is not None
    shown = {"kind": "title", "text": edit.title.text, "duration": 1}
    return draw_title(Title.model_validate(shown), SIZE, Fonts())


def inset_box(edit: Edit) -> tuple[int, int, int, int]:
    """Left, top, width and height of the picture in picture, pixels, by the timeline's defaults."""
    assert edit.inset is not None
    width = round(0.3 * SIZE[0] / 2) * 2
    height = round(width * SIZE[1] / SIZE[0] / 2) * 2
    left, top = 0.82 * SIZE[0] - width / 2, 0.8 * SIZE[1] - height / 2
    return round(left / 2) * 2, round(top / 2) * 2, width, height


@dataclass(frozen=True)
class Passes:
    """Makes the edit pass by pass in `folder`, from `files` by name."""

    edit: Edit
    files: Mapping[str, Path]
    folder: Path

    def make(self) -> float:
        """Make `passes.mp4`; returns the seconds it takes."""
        title = lettering(self.edit)  # other services draw it too; here its time is not counted
        (self.folder / "title.pam").write_bytes(pam(title.picture))
        start = time.perf_counter()
        for number, part in enumerate(self.edit.parts):
            self._part(number, part)
        self._join()
        self._inset()
        self._title(title.left, title.top)
        self._mix()
        return time.perf_counter() - start

    def _part(self, number: int, part: Part) -> None:
        source = ("-ss", part.first / FPS, "-i", self.files[part.source])
        shape = f"fps={FPS},scale={SIZE[0]}:{SIZE[1]}:flags=bicubic,setsar=1,format=yuv420p"
        length = ("-frames:v", part.frames, "-t", part.frames / FPS)
        ffmpeg(self.folder, *source, "-vf", shape, *length, *PICTURE, *SOUND, f"part{number}.mp4")

    def _join(self) -> None:
        """Join all parts in one pass, the least that dissolves need."""
        chains: list[str] = []
        picture, sound = "0:v", "0:a"
        inputs: list[object] = ["-i", "part0.mp4"]
        for number, (part, start) in enumerate(zip(self.edit.parts, self.edit.starts, strict=True)):
            if not number:
                continue
            inputs += ["-i", f"part{number}.mp4"]
            if part.dissolve:
                length = part.dissolve / FPS
                chains.append(
                    f"[{picture}][{number}:v]xfade=transition=fade:duration={length}:offset={start / FPS}[v{number}]"
                )
                chains.append(f"[{sound}][{number}:a]acrossfade=d={length}:c1=qsin:c2=qsin[a{number}]")
            else:
                # xfade needs the same time base on both inputs, and concat has its own.
                chains.append(f"[{picture}][{number}:v]concat=n=2:v=1:a=0,settb={_TIME_BASE}[v{number}]")
                chains.append(f"[{sound}][{number}:a]concat=n=2:v=0:a=1[a{number}]")
            picture, sound = f"v{number}", f"a{number}"
        streams = ("-map", f"[{picture}]", "-map", f"[{sound}]")
        ffmpeg(self.folder, *inputs, "-filter_complex", ";".join(chains), *streams, *PICTURE, *SOUND, "joined.mp4")

    def _inset(self) -> None:
        inset = self.edit.inset
        assert inset is not None
        left, top, width, height = inset_box(self.edit)
        source = ("-ss", inset.first / FPS, "-t", inset.frames / FPS, "-i", self.files[inset.source])
        shape = f"[1:v]fps={FPS},scale={width}:{height},setpts=PTS-STARTPTS+{inset.start / FPS}/TB[inset]"
        over = f"[0:v][inset]overlay={left}:{top}:eof_action=pass[v]"
        self._over("joined.mp4", source, f"{shape};{over}", "inset.mp4")

    def _title(self, left: int, top: int) -> None:
        title = self.edit.title
        assert title is not None
        shown = f"enable='between(n,{title.start},{title.start + title.frames - 1})'"
        drawing = ("-f", "pam_pipe", "-i", "title.pam")
        colours = "[1:v]scale=out_color_matrix=bt709:out_range=tv,format=yuva420p[title]"
        self._over("inset.mp4", drawing, f"{colours};[0:v][title]overlay={left}:{top}:{shown}[v]", "titled.mp4")

    def _over(self, below: str, source: tuple[object, ...], graph: str, made: str) -> None:
        streams = ("-map", "[v]", "-map", "0:a", "-c:a", "copy")
        ffmpeg(self.folder, "-i", below, *source, "-filter_complex", graph, *streams, *PICTURE, made)

    def _mix(self) -> None:
        assert self.edit.music is not None
        seconds = self.edit.frames / FPS
        music = f"[1:a]volume=-6dB,afade=t=in:d=0.35,afade=t=out:st={seconds - 0.35}:d=0.35[music]"
        ducked = f"[0:a]asplit[heard][key];[music][key]{_BESIDE}[under]"
        mixed = "[heard][under]amix=inputs=2:duration=first:normalize=0,loudnorm=I=-16:TP=-1.5[a]"
        graph = f"{music};{ducked};{mixed}"
        inputs = ("-i", "titled.mp4", "-stream_loop", "-1", "-i", self.files[self.edit.music])
        streams = ("-map", "0:v", "-map", "[a]", "-c:v", "copy", *SOUND, "-t", seconds, "-movflags", "+faststart")
        ffmpeg(self.folder, *inputs, "-filter_complex", graph, *streams, "passes.mp4")
