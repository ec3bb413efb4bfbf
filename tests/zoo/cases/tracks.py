"""Which of several tracks a viewer gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from tests.zoo import footage
from tests.zoo.footage import DECOY
from tests.zoo.making import AAC, COPY, H264, NO_RUN_IN, PLAIN, PROMPT, Maker, frames, silent
from tests.zoo.patching import rename_sample_entry
from tests.zoo.truth import Case, Job, Make, Truth

GROUP = "Tracks"
_NO_DEFAULT = ("-disposition", "0")


def _other(maker: Maker) -> Path:
    return maker.once("decoy.m4a", lambda path: maker.run("-i", maker.other_wav(), *AAC, path))


def _two_sounds(*options: str, right_first: bool = False) -> Make:
    """The sound of a viewer is the second one, or the first."""

    def make(maker: Maker, path: Path) -> Truth:
        right, wrong = ("-i", maker.aac()), ("-i", _other(maker))
        sounds = (*right, *wrong) if right_first else (*wrong, *right)
        maps = ("-map", "0:v", "-map", "1:a", "-map", "2:a")
        maker.run("-i", maker.film(), *sounds, *maps, *COPY, *options, path)
        return replace(PLAIN, tracks=("0:v:0", "0:a:0" if right_first else "0:a:1"))

    return make


def _flags(kind: str, *values: str) -> tuple[str, ...]:
    return tuple(part for number, each in enumerate(values) for part in (f"-disposition:{kind}:{number}", each))


def _unreadable_first(kind: str) -> Make:
    """The first track of the kind has a codec that nobody knows."""

    def make(maker: Maker, path: Path) -> Truth:
        opened = ("-i", maker.film(), "-i", _decoy_film(maker), "-i", maker.aac(), "-i", _other(maker))
        wrong, right = {
            "a": (("-map", "0:v", "-map", "3:a"), ("-map", "2:a")),
            "v": (("-map", "1:v"), ("-map", "0:v", "-map", "2:a")),
        }[kind]
        maker.run(*opened, *wrong, *right, *COPY, *_flags(kind, "default", "default"), path)
        if kind == "a":
            rename_sample_entry(path, b"mp4a", b"apac", 1)
            return replace(PLAIN, tracks=("0:v:0", "0:a:1"))
        rename_sample_entry(path, b"avc1", b"vvvc")
        return replace(PLAIN, tracks=("0:v:1", "0:a:0"))

    return make


def _no_readable_sound(maker: Maker, path: Path) -> Truth:
    maker.run(*maker.both(), *COPY, path)
    rename_sample_entry(path, b"mp4a", b"apac", 1)
    refused: dict[Job, str] = {
        **dict.fromkeys(("envelope", "proxy"), "INPUT_UNSUPPORTED"),
        "export": "TIMELINE_INVALID",
    }
    return replace(silent(), refused=refused)


def _no_readable_picture(maker: Maker, path: Path) -> Truth:
    maker.run(*maker.both(), *COPY, path)
    rename_sample_entry(path, b"avc1", b"vvvc", 0)
    refused: dict[Job, str] = {
        **dict.fromkeys(("thumbnail", "proxy"), "INPUT_UNSUPPORTED"),
        "export": "TIMELINE_INVALID",
    }
    return replace(PLAIN, refused=refused, is_plain=False)


def _encrypted(maker: Maker, path: Path) -> Truth:
    """As shops sell it: of neither track can anything be known without the key."""
    key = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76" * 16, "-encryption_kid", "a7" * 16)
    maker.run("-i", maker.film(), "-i", maker.aac(), "-map", "0:v", "-map", "1:a", *COPY, *key, path)
    refused: dict[Job, str] = {
        **dict.fromkeys(("thumbnail", "proxy", "envelope"), "INPUT_ENCRYPTED"),
        "export": "TIMELINE_INVALID",
    }
    return replace(PLAIN, refused=refused, is_plain=False)


def _decoy_film(maker: Maker) -> Path:
    return maker.once("decoy.mp4", lambda path: maker.encode(path, frames(100, clip=DECOY), *H264))


def _cover(maker: Maker) -> Path:
    return maker.once("cover.jpg", lambda path: Image.fromarray(footage.draw(7, (160, 160), clip=DECOY)).save(path))


def _still_first(maker: Maker, path: Path) -> Truth:
    """A picture track of one frame, which is not marked as a cover, before the moving one."""
    still = ("-framerate", "25", "-i", _cover(maker))
    opened = (*still, "-i", maker.film(), "-i", maker.aac(), "-map", "0:v", "-map", "1:v", "-map", "2:a")
    run_in = NO_RUN_IN if path.suffix == ".mkv" else ()
    maker.run(*opened, *COPY, *_flags("v", "0", "0"), *run_in, path)
    return replace(PLAIN, tracks=("0:v:1", "0:a:0"))


def _tiny_first(maker: Maker, path: Path) -> Truth:
    """A preview of 32x18 before the picture, which has the default flag."""
    tiny = maker.once("tiny.mp4", lambda part: maker.encode(part, frames(100, (64, 36), clip=DECOY), *H264))
    opened = ("-i", tiny, "-i", maker.film(), "-i", maker.aac(), "-map", "0:v", "-map", "1:v", "-map", "2:a")
    maker.run(*opened, *COPY, *_flags("v", "0", "default"), *NO_RUN_IN, path)
    return replace(PLAIN, tracks=("0:v:1", "0:a:0"))


def _with_cover(*, first: bool) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        opened = ("-i", maker.film(), "-i", maker.aac(), "-i", _cover(maker))
        order = ("-map", "2:v", "-map", "0:v") if first else ("-map", "0:v", "-map", "2:v")
        flags = _flags("v", *(("attached_pic", "default") if first else ("default", "attached_pic")))
        maker.run(*opened, *order, "-map", "1:a", *COPY, *flags, path)
        return PLAIN

    return make


def _two_pictures(maker: Maker, path: Path) -> Truth:
    """Two moving pictures, the second one with the default flag."""
    opened = ("-i", _decoy_film(maker), "-i", maker.film(), "-i", maker.aac())
    maps = ("-map", "0:v", "-map", "1:v", "-map", "2:a")
    maker.run(*opened, *maps, *COPY, *_flags("v", "0", "default"), *NO_RUN_IN, path)
    return replace(PLAIN, tracks=("0:v:1", "0:a:0"))


def _no_packets(maker: Maker, path: Path) -> Truth:
    """A track of sound that is declared and has nothing."""
    maker.run(*maker.both(), *COPY, "-bsf:a", "noise=drop=1", path)
    return silent()


def _subtitles_first(codec: str) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        lines = maker.once("lines.srt", lambda part: part.write_text("1\n00:00:00,500 --> 00:00:03,500\nSaid\n"))
        opened = ("-i", lines, "-i", maker.film(), "-i", maker.aac(), "-map", "0:s", "-map", "1:v", "-map", "2:a")
        run_in = NO_RUN_IN if path.suffix == ".mkv" else ()
        maker.run(*opened, *COPY, "-c:s", codec, *run_in, path)
        return PLAIN

    return make


def _data_first(maker: Maker, path: Path) -> Truth:
    """Packets of data in a stream before picture and sound."""
    data = maker.once("data.bin", lambda part: part.write_bytes(bytes(4000)))
    opened = ("-f", "data", "-i", data, "-i", maker.film(), "-i", maker.aac())
    maker.run(*opened, "-map", "0", "-map", "1:v", "-map", "2:a", *COPY, *NO_RUN_IN, *PROMPT, path)
    return PLAIN


def _attached(maker: Maker, path: Path) -> Truth:
    """A font, chapters, and sound before the picture."""
    font = maker.once("font.ttf", lambda part: part.write_bytes(bytes(100)))
    opened = ("-i", maker.film(), "-i", maker.aac(), "-attach", font, "-metadata:s:t", "mimetype=font/ttf")
    maker.run(*opened, "-map", "1:a", "-map", "0:v", *COPY, *NO_RUN_IN, path)
    return PLAIN


def _programs(maker: Maker, path: Path) -> Truth:
    """Two programs of one transport stream: the first one is what a player opens."""
    opened = ("-i", maker.film(), "-i", maker.aac(), "-i", _decoy_film(maker), "-i", _other(maker))
    maps = ("-map", "0:v", "-map", "1:a", "-map", "2:v", "-map", "3:a")
    programs = ("-program", "title=one:st=0:st=1", "-program", "title=two:st=2:st=3")
    maker.run(*opened, *maps, *programs, *COPY, *NO_RUN_IN, *PROMPT, path)
    return PLAIN


_DEFAULT = ("Several sounds or pictures, one of them with the default flag", "The flagged one is taken.")
_FIRST = ("Several sounds without a flag, or all flagged", "The first one is taken.")
_STILL = ("A still picture, a tiny preview or a cover beside the video", "The moving picture is taken.")
_EMPTY = ("A track of sound without any sound in it", "As a video without sound.")
_UNKNOWN = ("A first track of an unknown codec, and one that can be decoded", "The one that can be decoded is taken.")
_NONE = (
    "No track that can be decoded",
    "The jobs that need it are refused: `INPUT_UNSUPPORTED`; a timeline with it: `TIMELINE_INVALID`.",
)
_ENCRYPTED = (
    "Only tracks that are encrypted (DRM), in MP4 and QuickTime",
    "Its jobs are refused: `INPUT_ENCRYPTED`; a timeline with it: `TIMELINE_INVALID`.",
)
_MORE = ("Subtitles, data, fonts, chapters, further programs", "They are left out, wherever they stand.")

CASES = (
    Case("default_second.mp4", GROUP, *_DEFAULT, _two_sounds(*_flags("a", "0", "default"))),
    Case("default_second.mkv", GROUP, *_DEFAULT, _two_sounds(*_flags("a", "0", "default"), *NO_RUN_IN)),
    Case("default_picture_second.mkv", GROUP, *_DEFAULT, _two_pictures),
    Case("both_default.mp4", GROUP, *_FIRST, _two_sounds(*_flags("a", "default", "default"), right_first=True)),
    Case("none_default.mkv", GROUP, *_FIRST, _two_sounds(*_flags("a", "0", "0"), *NO_RUN_IN, right_first=True)),
    Case("still_first.mp4", GROUP, *_STILL, _still_first),
    Case("still_first.mkv", GROUP, *_STILL, _still_first),
    Case("tiny_first.mkv", GROUP, *_STILL, _tiny_first),
    Case("cover.mp4", GROUP, *_STILL, _with_cover(first=False)),
    Case("cover_first.mp4", GROUP, *_STILL, _with_cover(first=True)),
    Case("no_packets.mkv", GROUP, *_EMPTY, _no_packets),
    Case("no_packets.mp4", GROUP, *_EMPTY, _no_packets),
    Case("unknown_sound_first.mp4", GROUP, *_UNKNOWN, _unreadable_first("a")),
    Case("unknown_picture_first.mp4", GROUP, *_UNKNOWN, _unreadable_first("v")),
    Case("unknown_sound.mp4", GROUP, *_NONE, _no_readable_sound),
    Case("unknown_picture.mp4", GROUP, *_NONE, _no_readable_picture),
    Case("encrypted.mp4", GROUP, *_ENCRYPTED, _encrypted),
    Case("subtitles_first.mp4", GROUP, *_MORE, _subtitles_first("mov_text")),
    Case("subtitles_first.mkv", GROUP, *_MORE, _subtitles_first("srt")),
    Case("data_first.ts", GROUP, *_MORE, _data_first),
    Case("attachment.mkv", GROUP, *_MORE, _attached),
    Case("two_programs.ts", GROUP, *_MORE, _programs),
)
