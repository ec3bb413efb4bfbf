"""The lines of `mediajobs up` about the work."""

from __future__ import annotations

from collections.abc import Callable

from mediajobs_dagster.cli.results import Results
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from tests.clips import Clips
from tests.platform import Platform
from tests.servers.postgres import running_postgres, start_postgres

THUMB = Thumbnail.name


def test_one_line_for_each_job_that_ends(platform: Platform, clips: Clips) -> None:
    """With the file, the type, and the time or the code and its reason; what ended before is not told."""
    platform.media.add(clips.no_audio(), types=[THUMB])
    platform.work()
    said: list[str] = []
    results = Results(platform.media, said.append)
    results.look()
    assert said == []
    platform.media.add(clips.landscape(), types=[THUMB])
    platform.work()
    results.look()
    upload = platform.media.add(clips.text_named_mp4(), types=[THUMB]).uploads[0].upload
    platform.work()
    results.look()
    platform.media.add(clips.text_named_mp4(), types=[THUMB], force=True)
    platform.work()
    results.look()
    results.look()
    made, failed, again = said
    assert made.startswith(f"landscape.mp4: {THUMB} done in ")
    assert failed.startswith(f"{clips.text_named_mp4().name}: {THUMB} failed after ")
    assert ": INPUT_NOT_MEDIA. " in failed
    reason = failed.partition(": INPUT_NOT_MEDIA. ")[2]
    assert reason.rstrip("…") in (platform.attempts(upload, THUMB)[0].error or "")
    assert again.endswith(": INPUT_NOT_MEDIA")  # its reason has just been told


def test_what_is_held_is_told_once_and_so_is_its_end(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """The breaker's own sentence, and one when it has closed."""
    platform = open_platform(breaker_failures=1, breaker_cooldown_s=0.01, max_attempts=1)
    held = open_platform(breaker_failures=1, breaker_cooldown_s=100, max_attempts=1)
    said: list[str] = []
    results = Results(platform.media, said.append)
    results.look()
    first = platform.add(clips.landscape(), THUMB)
    platform.storage.delete(first.storage_key)
    platform.work()
    platform.add(clips.no_audio(), THUMB)
    held.work()
    results.look()
    results.look()
    assert "STORAGE_MISSING" in said[0]
    assert "breaker" in said[1]
    platform.work()
    results.look()
    results.look()
    assert said[-1] == f"{THUMB}: jobs are started again."
    assert len([line for line in said if line.startswith(f"{THUMB}: ")]) == 2


def test_one_line_when_the_database_is_gone_and_one_when_it_is_back(
    open_platform: Callable[..., Platform],
) -> None:
    """However often it is asked meanwhile."""
    said: list[str] = []
    with running_postgres() as server:
        platform = open_platform(database_url=server.get_uri(), database_timeout_s=5)
        results = Results(platform.media, said.append)
        results.look()
        server.stop()
        for _ in range(3):
            results.look()
        start_postgres(server)
        results.look()
        results.look()
    gone, back = said
    assert gone.startswith("The database does not answer; what is queued waits for it.")
    assert back.startswith("The database answers again, after ")


def test_what_is_held_already_is_told_at_the_start(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """Whoever starts `up` with an open breaker reads why nothing happens."""
    platform = open_platform(breaker_failures=1, breaker_cooldown_s=100, max_attempts=1)
    platform.storage.delete(platform.add(clips.landscape(), THUMB).storage_key)
    platform.work()
    platform.add(clips.no_audio(), THUMB)
    said: list[str] = []
    Results(platform.media, said.append).look()
    (line,) = said
    assert line.startswith(f"1 {THUMB} job waits: breaker open since")
