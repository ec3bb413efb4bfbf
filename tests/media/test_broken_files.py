"""Broken files are refused as what they are; harmless faults are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediajobs_dagster import errors
from mediajobs_dagster.media import mp4_boxes
from mediajobs_dagster.media.command import STDOUT, Command, Input, Output
from mediajobs_dagster.media.mp4_boxes import is_encrypted, missing_bytes_of_file
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Made, Runner
from tests.clips import Clips, real_footage
from tests.media.conftest import Records, decode_all


def decode(runner: Runner, path: Path, records: Records, seconds: float | None = 3) -> Made:
    """Decode a whole file that should be 3 s long."""
    return runner.run(decode_all(path.name, seconds), cwd=path.parent, report=records)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (Clips.empty, errors.InputEmptyError),
        (Clips.text_named_mp4, errors.InputNotMediaError),
        (Clips.cut_before_index, errors.InputTruncatedError),
        (Clips.cut_in_middle, errors.InputTruncatedError),
        (Clips.encrypted, errors.InputEncryptedError),
    ],
)
def test_a_probe_refuses(make, error: type[errors.InputError], runner: Runner, clips: Clips, records: Records) -> None:
    """What a probe can see is refused before any work is spent on it, and an empty file before any process."""
    with pytest.raises(error):
        probe(runner, str(make(clips)), report=records)
    assert len(records.commands) == (0 if error is errors.InputEmptyError else 1)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (Clips.text_named_mp4, "INPUT_NOT_MEDIA"),
        (Clips.cut_before_index, "INPUT_TRUNCATED"),
        (Clips.cut_in_middle, "INPUT_TRUNCATED"),
        (Clips.cut_matroska, "INPUT_TRUNCATED"),
        (Clips.shredded, "INPUT_CORRUPT"),
    ],
)
def test_a_run_refuses(make, code: str, runner: Runner, clips: Clips, records: Records) -> None:
    """A file that decodes to less than it declares, or to rubbish, fails though ffmpeg itself may be content."""
    with pytest.raises(errors.InputError) as raised:
        decode(runner, make(clips), records)
    assert raised.value.code == code == records.only.status


def test_an_index_without_its_media_is_refused(runner: Runner, clips: Clips, records: Records, tmp_path: Path) -> None:
    """All of its boxes are whole, so a probe finds nothing missing; ffmpeg makes nothing of it, and is content."""
    content = clips.faststart().read_bytes()
    path = tmp_path / "index.mp4"
    path.write_bytes(content[: content.index(b"mdat") - 4])
    info = probe(runner, str(path))
    pcm = Output(STDOUT, ("-map", "0:a:0", "-ac", "1", "-f", "s16le"))
    command = Command(inputs=(Input(path.name),), outputs=(pcm,), media_seconds=info.duration_seconds)
    with pytest.raises(errors.InputTruncatedError):
        runner.run(command, cwd=tmp_path, report=records, on_data=lambda _: None)


def test_a_cut_file_is_refused_by_a_sink_too(runner: Runner, clips: Clips, records: Records) -> None:
    """An envelope of half the sound is not an envelope."""
    pcm = Output(STDOUT, ("-map", "0:a:0", "-ac", "1", "-f", "f32le"))
    path = clips.cut_in_middle()
    with pytest.raises(errors.InputTruncatedError):
        runner.run(
            Command((Input(path.name),), (pcm,), media_seconds=3),
            cwd=path.parent,
            report=records,
            on_data=lambda _: None,
        )


def test_a_small_fault_does_not_refuse_a_file(runner: Runner, clips: Clips, records: Records) -> None:
    """One bad frame in ninety is noted, and the output stands."""
    made = decode(runner, clips.scratched(), records)
    assert made.faults.bad_pictures == 1
    assert records.only.status == "ok"


def test_a_stream_that_was_cut_is_a_shorter_stream(runner: Runner, clips: Clips, records: Records) -> None:
    """A transport stream declares no length: what is there is all there is."""
    path = clips.cut_transport_stream()
    info = probe(runner, str(path), report=records)
    assert 1 < info.duration_seconds < 2
    decode(runner, path, records, info.duration_seconds)


@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "bikes.mp4"])
def test_real_footage_passes(name: str, runner: Runner, records: Records) -> None:
    """Files from real cameras and encoders are not refused."""
    path = real_footage(name)
    info = probe(runner, str(path), report=records)
    made = decode(runner, path, records, info.duration_seconds)
    assert made.out_seconds == pytest.approx(info.duration_seconds, abs=0.3)


def test_a_file_without_picture_is_named_when_a_picture_is_needed(
    runner: Runner, clips: Clips, records: Records
) -> None:
    """A plan that maps a picture out of a sound file ends as INPUT_NO_VIDEO."""
    command = Command((Input(str(clips.audio_only())),), (Output("null", ("-map", "0:v:0", "-f", "null")),))
    with pytest.raises(errors.InputNoVideoError):
        runner.run(command, cwd=clips.folder, report=records)


def test_missing_bytes_are_counted(clips: Clips) -> None:
    """Exactly the bytes that were cut off are missing; other containers and whole files miss none."""
    whole, cut = clips.faststart(), clips.cut_in_middle()
    assert missing_bytes_of_file(cut) == whole.stat().st_size - cut.stat().st_size
    for path in (whole, clips.landscape(), clips.matroska(), clips.empty(), clips.text_named_mp4()):
        assert missing_bytes_of_file(path) == 0


def test_boxes_of_64_bits_and_of_open_length_are_understood(tmp_path: Path) -> None:
    """A box may say its length in 64 bits, or that it goes up to the end of the file."""
    head = (8).to_bytes(4) + b"ftyp"
    wide = (1).to_bytes(4) + b"mdat" + (5_000_000_000).to_bytes(8)
    open_ended = (0).to_bytes(4) + b"mdat" + b"x" * 50
    path = tmp_path / "file"
    path.write_bytes(head + wide)
    assert missing_bytes_of_file(path) == 5_000_000_000 - 16
    path.write_bytes(head + open_ended)
    assert missing_bytes_of_file(path) == 0


def test_a_file_is_encrypted_if_all_of_its_picture_and_sound_is(clips: Clips, tmp_path: Path) -> None:
    """A track that is not can still be used."""
    content = clips.encrypted().read_bytes()
    path = tmp_path / "file.mp4"
    for clear in ((b"encv", b"avc1"), (b"enca", b"mp4a")):
        path.write_bytes(content.replace(*clear))
        assert not is_encrypted(path)
    for bought in ((b"encv", b"drmi"), (b"enca", b"drms")):
        content = content.replace(*bought)
    path.write_bytes(content)
    assert is_encrypted(path)
    for path in (clips.landscape(), clips.audio_only(), clips.matroska(), clips.empty(), clips.text_named_mp4()):
        assert not is_encrypted(path)


def test_boxes_that_lie_are_looked_at_once(clips: Clips, tmp_path: Path) -> None:
    """Wherever a file ends, and whatever lengths its boxes say, the look at it ends soon, and says something."""
    content = clips.encrypted().read_bytes()
    begin = content.index(b"moov") - 4
    path = tmp_path / "file.mp4"
    for cut in range(begin, begin + 1200, 7):
        path.write_bytes(content[:cut])
        assert is_encrypted(path) in (True, False)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hdlr"):
        place = content.index(name) - 4
        for length in (0, 1, 7, 8, 9, 2**31, 2**32 - 1):
            path.write_bytes(content[:place] + length.to_bytes(4) + content[place + 4 :])
            assert is_encrypted(path) in (True, False)


def test_boxes_without_end_are_not_all_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some megabytes can nest boxes by the million."""
    reads: list[int] = []
    read = mp4_boxes.pread
    monkeypatch.setattr(mp4_boxes, "pread", lambda *where: reads.append(0) or read(*where))

    def box(name: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4) + name + content

    tables = box(b"minf", box(b"stbl", box(b"free", b"") * 500) * 100)
    media = box(b"mdia", box(b"hdlr", bytes(8) + b"vide") + tables * 10)
    path = tmp_path / "nested.mp4"
    path.write_bytes(box(b"ftyp", b"isom") + box(b"moov", box(b"trak", media)))
    assert not is_encrypted(path)
    assert len(reads) <= 5_000
