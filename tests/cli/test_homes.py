"""Every command, where its home is read-only, full, missing or somebody else's: a clear line, and nothing left behind.

The commands are those of the command line, whatever is added to it.
"""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from mediajobs_dagster import MediaJobs
from tests.cli.test_main import COMMANDS, SERVING
from tests.cli.warm import Request, Warm, warm_process
from tests.clips import Clips
from tests.servers.mediajobs_up import free_port

_TOLD = re.compile(r"\A[A-Z][A-Z_]+: .+\n(  .+\n)*\Z")
"""One line that begins with a code; below it, indented, the faults of a document."""
_LEAVES = [words for words, command in COMMANDS.items() if not isinstance(command, click.Group)]
_SERVED_S = 1.0
"""How long a part that serves may run: what it cannot use, it has found by then."""
_COMPANIONS = re.compile(r"\.db(-wal|-shm|-journal|\.migrate-lock)?$")
"""What SQLite keeps beside a database."""


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    """Answers commands at once."""
    with warm_process() as process:
        yield process


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, clips: Clips) -> Path:
    """A home with an upload, a job that is done, and one that is queued."""
    home = tmp_path_factory.mktemp("used") / "home"
    with MediaJobs.open(home=home, scratch_reserve_mb=1, _env_file=None) as media:
        media.add(clips.landscape(), types=["upload_thumb_v1"])
    return home


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files. Sockets are among them, and the name of a socket has little room."""
    with tempfile.TemporaryDirectory(prefix="m-") as folder:
        yield Path(folder)


def _read_only(home: Path, used: Path) -> None:
    shutil.copytree(used, home)
    for path in (home, *home.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _read_only_above(home: Path, _used: Path) -> None:
    home.parent.mkdir()
    home.parent.chmod(0o555)


def _full(home: Path, used: Path) -> None:
    shutil.copytree(used, home)


def _full_and_new(home: Path, _used: Path) -> None:
    home.mkdir(parents=True)


def _missing(home: Path, _used: Path) -> None:
    pass


def _below_a_file(home: Path, _used: Path) -> None:
    home.parent.write_bytes(b"no folder")


def _a_file(home: Path, _used: Path) -> None:
    home.parent.mkdir()
    home.write_bytes(b"no folder")


def _database_of_another_program(home: Path, _used: Path) -> None:
    home.mkdir(parents=True)
    with closing(sqlite3.connect(home / "mediajobs.db")) as database:
        database.execute("CREATE TABLE jobs (name TEXT)")
        database.commit()


def _no_database(home: Path, _used: Path) -> None:
    home.mkdir(parents=True)
    (home / "mediajobs.db").write_bytes(b"These are notes, and no database.\n" * 1000)


def _folder_for_a_database(home: Path, _used: Path) -> None:
    (home / "mediajobs.db").mkdir(parents=True)


HOMES: dict[str, Callable[[Path, Path], None]] = {
    make.__name__.removeprefix("_"): make
    for make in (
        _read_only,
        _read_only_above,
        _full,
        _full_and_new,
        _missing,
        _below_a_file,
        _a_file,
        _database_of_another_program,
        _no_database,
        _folder_for_a_database,
    )
}


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not _COMPANIONS.search(path.name)}


def _arguments(words: tuple[str, ...], clip: Path) -> list[str]:
    """The words of a command, and something for each argument that it needs."""
    given = {"locations": str(clip), "video": str(clip), "timeline": str(clip.with_name("timeline.json"))}
    arguments = [parameter for parameter in COMMANDS[words].params if isinstance(parameter, click.Argument)]
    values = [given.get(each.name or "", _something_for(each)) for each in arguments]
    if words[0] in ("up", "web"):
        values += ["--port", str(free_port())]
    if words[0] in ("daemon", "web"):
        values += ["--code", f"127.0.0.1:{free_port()}"]
    if words[0] == "code-server":
        values += ["--listen", f"127.0.0.1:{free_port()}"]
    return [*words, *values]


def _something_for(argument: click.Argument) -> str:
    return argument.type.choices[0] if isinstance(argument.type, click.Choice) else "something"


def _cases() -> Iterator[Any]:
    for words in _LEAVES:
        for kind in HOMES:
            # A missing home is made; that these two work in it is tested elsewhere, and takes longer.
            if not (kind == "missing" and words[0] in ("demo", "up")):
                yield pytest.param(words, kind, id=f"{' '.join(words)}-{kind}")


@pytest.mark.parametrize(("words", "kind"), [*_cases()])
def test_whatever_its_home_is_a_command_tells_it_in_one_line(
    words: tuple[str, ...], kind: str, warm: Warm, used: Path, clips: Clips, tmp_path: Path, temporary: Path
) -> None:
    """No traceback; exit code 1 or 2 with one line, or it does what it should."""
    top, home = tmp_path / "top", tmp_path / "top" / "home"
    HOMES[kind](home, used)
    clip = tmp_path / "clip.mp4"
    shutil.copy(clips.landscape(), clip)
    clip.with_name("timeline.json").write_text('{"version": "create_video_v1", "track": []}')
    before = _files(top)
    answer = warm.run(
        Request(
            arguments=_arguments(words, clip),
            environment={"MEDIAJOBS_HOME": str(home), "TMPDIR": str(temporary), "MEDIAJOBS_SCRATCH_RESERVE_MB": "1"},
            folder=str(tmp_path),
            full=str(home) if "full" in kind else None,
            longest_s=_SERVED_S if words[0] in SERVING else 30.0,
        )
    )
    assert "Traceback" not in answer.out + answer.err, answer
    if answer.code == 0 or (words[0] in SERVING and answer.code == -signal.SIGKILL):
        return
    assert answer.code in (1, 2), answer
    if words != ("doctor",):  # its findings are a table, and it tries whether a worker could make its folders
        assert _TOLD.search(answer.err), answer
        assert answer.out == "", answer
        assert kind in ("missing", "full", "full_and_new") or _files(top) == before
    assert list(temporary.iterdir()) == []


_UNWRITABLE = {
    "a folder without permission": "closed/out.json",
    "no folder": "nowhere/out.json",
    "below a file": "clip.mp4/out.json",
    "a folder": "closed",
    "no name": "",
    "a name too long": "n" * 300,
}


@pytest.mark.parametrize("output", _UNWRITABLE.values(), ids=_UNWRITABLE)
def test_an_output_that_cannot_be_written_is_refused(warm: Warm, used: Path, output: str, tmp_path: Path) -> None:
    """One line with its name, exit code 2, and no temporary file."""
    (tmp_path / "clip.mp4").write_bytes(b"")
    (tmp_path / "closed").mkdir(mode=0o555)
    before = _files(tmp_path)
    answer = warm.run(_request(tmp_path, used, "history", "export", "--output", output))
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err
    assert output in answer.err
    assert _files(tmp_path) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "clip.mp4", "--priority", "99999999999999999999"),
        ("export", "clip.mp4", "--priority", "-99999999999999999999"),
        ("jobs", "list", "--since", "0001-01-01T00:00+14:00"),
        ("history", "stats", "--until", "9999-12-31T23:00-14:00"),
        ("jobs", "list", "--trace", "\udcff"),
        ("jobs", "show", "\udcff"),
        ("attempt", "\udcff"),
    ],
)
def test_what_no_database_takes_is_refused(warm: Warm, used: Path, arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Numbers and moments beyond all bounds, and bytes that are no text: exit code 2, no traceback."""
    (tmp_path / "clip.mp4").write_bytes(b"")
    answer = warm.run(_request(tmp_path, used, *arguments))
    assert (answer.code, answer.out) == (2, "")
    assert "Traceback" not in answer.err


def test_a_temporary_folder_with_too_long_a_name_is_told(warm: Warm, used: Path, tmp_path: Path) -> None:
    """For the sockets of the code server there are about a hundred characters."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    request = _request(tmp_path, used, "code-server", "--listen", f"127.0.0.1:{free_port()}")
    answer = warm.run(replace(request, environment={**request.environment, "TMPDIR": str(folder)}))
    assert (answer.code, "TMPDIR" in answer.err, "Traceback" in answer.err) == (2, True, False), answer


def test_a_file_in_a_folder_without_permission_is_told(warm: Warm, used: Path, tmp_path: Path) -> None:
    """Alone it is refused; in a folder it is skipped."""
    closed = tmp_path / "top" / "closed"
    closed.mkdir(parents=True)
    (closed / "clip.mp4").write_bytes(b"")
    closed.chmod(0)
    for location in (closed / "clip.mp4", closed):
        answer = warm.run(_request(tmp_path, used, "add", location))
        assert answer.code in (1, 2)
        assert "Traceback" not in answer.err
        assert "Permission denied" in " ".join(f"{answer.out} {answer.err}".split())
    closed.chmod(0o755)


def _request(folder: Path, home: Path, *arguments: object) -> Request:
    return Request(
        [*map(str, arguments)],
        {
            "MEDIAJOBS_HOME": str(home),
        },
        folder=str(folder),
    )
