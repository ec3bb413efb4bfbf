"""Last words of ffmpeg, of this version and of others, and what they mean. The rest is made by real runs elsewhere."""

from __future__ import annotations

import signal

import pytest

from mediajobs_dagster.media.diagnosis import (
    MemoryLimit,
    cut_off_text,
    diagnose,
    diagnose_success,
    failed_allocation_mb,
    last_words,
)
from mediajobs_dagster.media.stderr import TAIL_BYTES, Faults, StderrReader

SAVED = [
    # ffmpeg 4 to 6 word some things differently.
    ("Stream map '0:v:0' matches no streams.\nTo ignore this, add a trailing '?' to the map.", 1, "INPUT_NO_VIDEO"),
    ("[fatal] Stream specifier ':v' in filtergraph description [0:v]null[v] matches no streams.", 1, "INPUT_NO_VIDEO"),
    ("[error] source: Invalid data found when processing input", 1, "INPUT_NOT_MEDIA"),
    ("[hls @ 0x1] [error] Protocol 'http' not on whitelist 'file'!\n[error] source: Invalid", 1, "INPUT_REFUSED"),
    ("[fatal] Decoding requested, but no decoder found for: vvc", 1, "INPUT_UNSUPPORTED"),
    ("[dec:h264 @ 0x1] [fatal] Decode error rate 0.9 exceeds maximum 0.666667", 69, "INPUT_CORRUPT"),
    ("[mov @ 0x1] [error] stream 0, offset 0x64: partial file\n[fatal] Conversion failed!", 1, "INPUT_TRUNCATED"),
    ("[out#0/mp4 @ 0x1] [error] Error writing trailer: No space left on device", 228, "DISK_FULL"),
    ("[libx264 @ 0x1] [error] malloc of size 12345 failed", 1, "INPUT_TOO_LARGE"),
    ("[out#0/mp4 @ 0x1] [error] Error writing trailer: Disk quota exceeded", 1, "DISK_FULL"),
    ("[error] NO SPACE LEFT ON DEVICE", 1, "DISK_FULL"),
    *((f"[out#0 @ 0x1] [{level}] No space left on device", 1, "DISK_FULL") for level in ("warning", "fatal", "panic")),
    ("[libx265 @ 0x1] [error] Out of memory", 1, "INPUT_TOO_LARGE"),
    ("[concat @ 0x1] [error] Format not on whitelist 'mov,mp4'", 1, "INPUT_REFUSED"),
    ("[hls @ 0x1] [error] Not detecting m3u8/hls with non standard extension", 1, "INPUT_REFUSED"),
    ("[IMGUTILS @ 0x1] [error] Picture size 99999x99999 is invalid", 1, "INPUT_TOO_LARGE"),
    ("[h264 @ 0x1] [error] Picture size 8192x8193 exceeds specified max pixel count 67108864", 1, "INPUT_TOO_LARGE"),
    ("[png @ 0x1] [error] see max_pixels", 1, "INPUT_TOO_LARGE"),
    ("[mov @ 0x1] [warning] mov detected only with low score of 1, ...\nmoov atom not found", 1, "INPUT_NOT_MEDIA"),
    ("[mov @ 0x1] [warning] mov detected only with low score of 12, ...\nmoov atom not found", 1, "INPUT_TRUNCATED"),
    ("[matroska,webm @ 0x1] [error] File ended prematurely", 1, "INPUT_TRUNCATED"),
    (
        "[asf @ 0x1] [warning] Ext DRM protected stream detected, decoding will likely fail!\n"
        "[dec:wmav2 @ 0x1] [fatal] Decode error rate 1 exceeds maximum 0.666667",
        69,
        "INPUT_ENCRYPTED",
    ),
    ("[fatal] Decoder (codec vvc) not found for input stream #0:0", 1, "INPUT_UNSUPPORTED"),
    ("[fatal] Unknown decoder 'vvc'", 1, "INPUT_UNSUPPORTED"),
    ("[error] The codec vvc has no decoder", 1, "INPUT_UNSUPPORTED"),
    (
        "[av1 @ 0x1] [error] Your platform doesn't support hardware accelerated AV1 decoding.\n"
        "[dec:av1 @ 0x1] [fatal] Decode error rate 1 exceeds maximum 0.666667",
        69,
        "INPUT_UNSUPPORTED",
    ),
    ("[error] Failed to set value '0:v:0' for option 'map': Invalid argument", 1, "INPUT_NO_VIDEO"),
    ("Stream map '0:a:0' matches no streams.", 1, "FFMPEG_FAILED"),
    ("[in#0 @ 0x1] [error] Error opening input: Invalid data found when processing input", 1, "INPUT_NOT_MEDIA"),
    ("[in#0 @ 0x1] [error] Error opening input: End of file", 1, "INPUT_NOT_MEDIA"),
    ("[info] a line before\n[error] source: End of file", 1, "INPUT_NOT_MEDIA"),
    ("[dec:h264 @ 0x1] [error] a packet: Invalid data found when processing input", 1, "INPUT_CORRUPT"),
    ("[error] Connection refused", 1, "FFMPEG_FAILED"),  # the input is here
    ("[error] this file requires zlib support compiled in\n[error] source: unknown", 1, "INPUT_UNSUPPORTED"),
    ("[error] file:source: Function not implemented", 1, "INPUT_UNSUPPORTED"),
    ("[in#0 @ 0x1] [error] Error opening input: Not yet implemented in FFmpeg, patches", 1, "INPUT_UNSUPPORTED"),
    ("[vf#0:0 @ 0x1] [error] Error sending frames to consumers: Function not implemented", 1, "FFMPEG_FAILED"),
    ("[pcm_s16le @ 0x1] [error] Decoder requires channel layout to be set", 1, "INPUT_CORRUPT"),
    ("[pcm_s16be @ 0x1] [error] Invalid sample rate: -1", 1, "INPUT_CORRUPT"),
    ("[ist#0:0 @ 0x1] [error] Error while opening decoder: Invalid argument", 1, "INPUT_CORRUPT"),
    ("[error] Could not open codec for input stream 0", 1, "INPUT_CORRUPT"),
    ("[error] file:source: Operation not permitted", 1, "INPUT_NOT_MEDIA"),
    ("[in#0 @ 0x1] [error] Error opening input: Numerical result out of range", 1, "INPUT_NOT_MEDIA"),
    ("[out#0 @ 0x1] [error] Error opening output x: Operation not permitted", 1, "FFMPEG_FAILED"),
    ("[error] Something new", 1, "FFMPEG_FAILED"),
    ("", 1, "FFMPEG_FAILED"),
    ("[out#0/mp4 @ 0x1] [fatal] Output file does not contain any stream", 1, "INPUT_NO_VIDEO"),
    *(
        (f"[info] Exiting normally, received signal {number}.", 255, "FFMPEG_KILLED")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU)
    ),
    ("[info] received signal 3.", 255, "FFMPEG_FAILED"),
    *(  # ffmpeg catches no such ones
        (f"[info] Exiting normally, received signal {number}.", 255, "FFMPEG_FAILED") for number in (3, 999)
    ),
    ("", -signal.SIGKILL, "FFMPEG_KILLED"),
    *(("", -number, "FFMPEG_CRASHED") for number in (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGBUS)),
    ("", -signal.SIGXFSZ, "INPUT_TOO_LONG"),
    *(
        ("[error] Cannot allocate memory", -number, "INPUT_TOO_LARGE")
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGTRAP)
    ),
    ("[error] Cannot allocate memory", -signal.SIGKILL, "FFMPEG_KILLED"),
]


@pytest.mark.parametrize(
    "title", ["No space left on device", "Cannot allocate memory", "HTTP error 503", "received signal 15."]
)
@pytest.mark.parametrize("prefix", ["[info]     title           : ", "                    : "])
def test_the_words_of_a_file_put_no_blame_on_others(title: str, prefix: str) -> None:
    """ffmpeg prints what the tags of a file say, line by line; the second line of a tag has no level."""
    said = f"{prefix}{title}\n{prefix}Exiting normally, received signal 15.\n[error] a: Invalid data found when"
    assert diagnose(said, 255, input_is_remote=True).code == "INPUT_NOT_MEDIA"


@pytest.mark.parametrize(("stderr", "exit_code", "code"), SAVED)
def test_saved_last_words(stderr: str, exit_code: int, code: str) -> None:
    """Each kind of failure has its code."""
    assert diagnose(stderr, exit_code).code == code


@pytest.mark.parametrize(
    ("stderr", "code"),
    [
        ("[https @ 0x1] [warning] HTTP error 403 Forbidden\n[error] Error opening input", "STORAGE_DENIED"),
        ("[https @ 0x1] [warning] HTTP error 404 Not Found", "STORAGE_MISSING"),
        ("[https @ 0x1] [warning] HTTP error 503 Slow Down", "STORAGE_UNAVAILABLE"),
        ("[error] Server returned 5XX Server Error reply", "STORAGE_UNAVAILABLE"),
        ("[tcp @ 0x1] [error] Failed to resolve hostname bucket.s3", "STORAGE_UNAVAILABLE"),
        ("[tcp @ 0x1] [error] Connection to tcp://host:443 failed: Connection timed out", "STORAGE_UNAVAILABLE"),
        ("[mov @ 0x1] [error] moov atom not found", "INPUT_TRUNCATED"),
        ("[https @ 0x1] [warning] HTTP error 401 Unauthorized", "STORAGE_DENIED"),
        ("[error] Server returned 403 Forbidden (access denied)", "STORAGE_DENIED"),
        ("[https @ 0x1] [warning] HTTP error 410 Gone", "STORAGE_MISSING"),
        ("[error] Server returned 404 Not Found", "STORAGE_MISSING"),
        ("[https @ 0x1] [warning] HTTP error 400 Bad Request", "STORAGE_FAILED"),
        ("[http @ 0x1] [warning] HTTP error 416 Range Not Satisfiable", "INPUT_CORRUPT"),
        ("[error] Server returned 4XX Client Error, but not one of 40{0,1,3,4}", "STORAGE_FAILED"),
        ("[tcp @ 0x1] [error] Connection to tcp://host:443 failed: Connection refused", "STORAGE_UNAVAILABLE"),
        ("[tls @ 0x1] [error] Connection reset by peer", "STORAGE_UNAVAILABLE"),
        ("[tcp @ 0x1] [error] Operation timed out", "STORAGE_UNAVAILABLE"),
        ("[tcp @ 0x1] [error] Network is unreachable", "STORAGE_UNAVAILABLE"),
        ("[tcp @ 0x1] [error] No route to host", "STORAGE_UNAVAILABLE"),
        ("[https @ 0x1] [error] Stream ends prematurely at 100, should be 200", "STORAGE_UNAVAILABLE"),
        ("[in#0 @ 0x1] [error] Error opening input: Input/output error", "STORAGE_UNAVAILABLE"),
        ("[in#0 @ 0x1] [error] Error opening input: Broken pipe", "STORAGE_UNAVAILABLE"),
        # What the storage refused explains what ffmpeg made of it.
        (
            "[https @ 0x1] [warning] HTTP error 404 Not Found\n[mov @ 0x1] [error] moov atom not found",
            "STORAGE_MISSING",
        ),
        ("[https @ 0x1] [warning] HTTP error 403 Forbidden\n[error] a: Invalid data found when", "STORAGE_DENIED"),
    ],
)
def test_last_words_about_a_remote_input(stderr: str, code: str) -> None:
    """The storage's refusals count for a remote input, and a bad object is still the object's fault."""
    assert diagnose(stderr, 1, input_is_remote=True).code == code


def test_a_kill_by_the_kernel_for_memory_is_out_of_memory() -> None:
    """SIGKILL, while the cgroup counted a kill for memory, is the memory's."""
    assert diagnose("", -signal.SIGKILL, oom_evidence=True).code == "OUT_OF_MEMORY"
    assert diagnose("", -signal.SIGTERM, oom_evidence=True).code == "FFMPEG_KILLED"


@pytest.mark.parametrize(
    "said", ["[error] Cannot allocate memory", "[libx264 @ 0x1] [error] malloc of size 12345 failed"]
)
def test_lack_of_memory_needs_evidence(said: str) -> None:
    """A file can declare what no memory holds, so the machine is at fault only if it is known to be."""
    assert diagnose(said, 1).code == "INPUT_TOO_LARGE"
    assert diagnose(said, 1, oom_evidence=True).code == "OUT_OF_MEMORY"
    configured, reckoned = MemoryLimit(400, is_configured=True), MemoryLimit(400, is_configured=False)
    assert diagnose(said, 1, limit=configured).code == "OUT_OF_MEMORY"
    assert diagnose(said, 1, limit=reckoned).code == "INPUT_TOO_LARGE"
    assert "400 MiB" in diagnose(said, 1, limit=reckoned).message


def test_a_crash_at_the_limit_on_memory_is_the_limits() -> None:
    """Some decoders crash where they get no memory, and say nothing."""
    assert diagnose("", -signal.SIGSEGV, limit=MemoryLimit(400, is_configured=True)).code == "OUT_OF_MEMORY"
    assert diagnose("", -signal.SIGSEGV, limit=MemoryLimit(400, is_configured=False)).code == "INPUT_TOO_LARGE"
    assert diagnose("", -signal.SIGKILL, limit=MemoryLimit(400, is_configured=False)).code == "FFMPEG_KILLED"


def test_last_words_skip_the_lines_that_say_nothing() -> None:
    """The line that says why is found among those that only say that it failed."""
    text = "[info] a\n[fc @ 0x1] [error] No such filter: 'x'\n[fatal] Error opening output files: no\n[info] b"
    assert last_words(text) == "No such filter: 'x'"
    hollow = (
        "Error opening input files: no",
        "Error opening input file a.",
        "Conversion failed!",
        "Nothing was written into output file",
        "Terminating",
        "Task finished with error code: -22 (Invalid argument)",
    )
    for line in hollow:
        assert last_words(f"[fatal] Why\n[error] {line}\n[info] b") == "Why"
    assert last_words("[info] a\n \n") == "a"
    assert last_words("") == "nothing"


@pytest.mark.parametrize(
    ("faults", "out", "expected", "frames", "code"),
    [
        (Faults(), 1.5, 3.0, 45, None),  # shorter without a complaint: not judged here
        (Faults(cut_off=1), 1.5, 3.0, 45, "INPUT_TRUNCATED"),
        (Faults(cut_off=1), 2.9, 3.0, 87, None),  # next to nothing is missing
        (Faults(cut_off=1), 2.5, 3.0, 75, None),
        (Faults(cut_off=1), 2.0, 2.75, 75, "INPUT_TRUNCATED"),
        (Faults(cut_off=1), None, 3.0, 0, "INPUT_TRUNCATED"),  # nothing was made at all
        (Faults(cut_off=1), None, 1.0, 0, "INPUT_TRUNCATED"),
        (Faults(cut_off=1), 1.5, None, 45, None),
        (Faults(bad_pictures=4), 3.0, 3.0, 4, None),  # too few to judge by
        (Faults(bad_pictures=5), 3.0, 3.0, 5, "INPUT_CORRUPT"),
        (Faults(bad_pictures=9), 3.0, 3.0, 90, None),
        (Faults(bad_pictures=10), 3.0, 3.0, 90, "INPUT_CORRUPT"),
        (Faults(bad_sounds=10), 3.0, 3.0, 0, None),
        (Faults(bad_sounds=20), 3.0, 3.0, 0, "INPUT_CORRUPT"),
        (Faults(bad_sounds=5), None, 3.0, 0, "INPUT_CORRUPT"),
        (Faults(bad_sounds=5), 0.0, 3.0, 0, "INPUT_CORRUPT"),
    ],
)
def test_an_input_is_judged_after_a_good_end(
    faults: Faults, out: float | None, expected: float | None, frames: int, code: str | None
) -> None:
    """What ffmpeg shrugged off refuses a file only if it is much."""
    refusal = diagnose_success(faults, out_seconds=out, expected_seconds=expected, frames=frames)
    assert (refusal and refusal.code) == code


def test_a_cut_off_input_is_told_in_seconds() -> None:
    """What it declares, where it ends, and what to do about it."""
    refusal = diagnose_success(Faults(cut_off=1), out_seconds=1.5, expected_seconds=3.0, frames=45)
    assert refusal
    assert refusal.message == cut_off_text(3.0, 1.5)
    assert refusal.message == (
        "The input declares 3.0 s of media but ends after 1.5 s: its upload was cut off. Upload it again."
    )


@pytest.mark.parametrize(
    ("said", "mb"),
    [
        ("[libx264 @ 0x1] [error] malloc of size 3145728 failed", 3.0),
        ("[error] malloc of size 524288 failed\n[error] Cannot allocate memory", 0.5),
        ("[error] Cannot allocate memory", None),
    ],
)
def test_an_allocation_that_failed_has_a_size(said: str, mb: float | None) -> None:
    """In MiB, where ffmpeg tells it."""
    assert failed_allocation_mb(said) == mb


@pytest.mark.parametrize(("sought", "few"), [(0, 4), (1, 12), (2, 20)])
def test_each_seek_may_leave_some_frames_that_are_bad(sought: int, few: int) -> None:
    """They are parts of what began before it."""

    def refusal(bad: int) -> str | None:
        faults = Faults(bad_pictures=bad)
        found = diagnose_success(faults, out_seconds=3.0, expected_seconds=3.0, frames=30, sought=sought)
        return found and found.code

    assert (refusal(few), refusal(few + 1)) == (None, "INPUT_CORRUPT")


# --- reading standard error ------------------------------------------------------------------------------------------


def test_lines_are_read_however_they_are_cut() -> None:
    """A line that comes in pieces, and one without a line break at the end, count like any other."""
    whole = b"[vist#0:0 @ 0x1] [warning] corrupt decoded frame\n    Last message repeated 3 times\n[x] partial file"
    for step in (1, 7, len(whole)):
        reader = StderrReader()
        for start in range(0, len(whole), step):
            reader.feed(whole[start : start + step])
        reader.close()
        assert reader.faults == Faults(cut_off=1, bad_pictures=4)
        assert reader.tail.endswith("partial file")


def test_the_tail_is_bounded_redacted_and_the_end() -> None:
    """Megabytes of noise leave the last 4 KiB, and a signature that the cut would halve is gone."""
    reader = StderrReader()
    for number in range(20_000):
        reader.feed(b"[error] https://host/key?X-Amz-Signature=5ec3e7%d&X-Amz-Date=1 line %d\n" % (number, number))
    reader.close()
    assert len(reader.tail.encode()) <= TAIL_BYTES
    assert reader.tail.endswith("line 19999")
    assert "5ec3e7" not in reader.tail
    assert len(reader.text) < 10 * TAIL_BYTES


def test_a_line_without_end_is_bounded() -> None:
    """Binary noise without a line break does not grow without bound."""
    reader = StderrReader()
    for _ in range(1000):
        reader.feed(b"\xff" * 5000)
    reader.close()
    assert len(reader.text) < 10 * TAIL_BYTES


def test_bytes_read_are_summed_and_chatter_is_dropped() -> None:
    """The verbose level is on for its statistics only."""
    reader = StderrReader()
    reader.feed(b"[AVIOContext @ 0x1] [verbose] Statistics: 100 bytes read, 2 seeks\n[verbose] chatter\n[info] kept\n")
    reader.feed(b"[AVIOContext @ 0x2] [verbose] Statistics: 50 bytes read, 0 seeks\n")
    assert reader.bytes_read == 150
    assert reader.text == "[info] kept"


def test_faults_are_told_in_words() -> None:
    """Only those that there are: they stand in the notes of an attempt."""
    assert str(Faults(cut_off=1, bad_pictures=2, bad_sounds=1)) == (
        "2 damaged pictures, 1 damaged packet of sound, 1 place where bytes are missing"
    )
    assert str(Faults(bad_sounds=3)) == "3 damaged packets of sound"
    assert str(Faults()) == "none"
