"""Control characters in names, tags and messages are shown, and never sent to the terminal."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.text import Text

from mediajobs_dagster.cli import display
from mediajobs_dagster.printable import in_a_list, in_one_line, printable, printable_json
from tests.cli.conftest import Answer, Call
from tests.clips import Clips
from tests.platform import Platform

NASTY = "a\x1b[31mred\x1b]0;title\x07\nOK: done\r\x9b2Jb\u202egpj\u2066c\u2028d\x7f:cat:[b].mp4"
"""Colours, the window's title, a bell, a forged line, a cleared screen, text that runs backwards, and rich's markup."""
SHOWN = r"a\x1b[31mred\x1b]0;title\x07\nOK: done\r\x9b2Jb\u202egpj\u2066c\u2028d\x7f:cat:[b].mp4"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What must not come out."""


def is_clean(answer: Answer) -> bool:
    """Whether nothing that was printed acts on a terminal, and no line was forged."""
    printed = (answer.out + answer.err).replace("\r\n", "\n")  # as lines of CSV end
    return not RAW.search(printed) and not re.search(r"^OK", printed, re.MULTILINE) and "Traceback" not in printed


def unfolded(answer: Answer) -> str:
    """What was printed, without the breaks of folded cells."""
    return re.sub(r"\s+", "", answer.out + answer.err)


@pytest.fixture
def clip(clips: Clips, tmp_path: Path) -> Path:
    """A clip with such a name, and such a title in its tags."""
    path = tmp_path / NASTY
    command = [clips.tools.ffmpeg, "-v", "error", "-i", clips.landscape(), "-c", "copy", "-metadata", f"title={NASTY}"]
    subprocess.run([*command, "-f", "mp4", path], check=True, stdin=subprocess.DEVNULL)
    return path


def test_the_way_of_a_file_with_such_a_name(mediajobs: Call, platform: Platform, clip: Path, tmp_path: Path) -> None:
    """Found, added, worked on, looked at, exported; in tables and as JSON. What is stored is the name as it is."""
    (tmp_path / f"broken {NASTY}").write_bytes(b"no media")
    found = mediajobs("add", tmp_path, "--dry-run")
    assert is_clean(found)
    assert SHOWN.replace(" ", "") in unfolded(found)
    assert is_clean(mediajobs("add", tmp_path))
    added = mediajobs("add", clip, "--json")
    assert is_clean(added)
    assert added.json["uploads"][0]["filename"] == NASTY
    assert is_clean(mediajobs("work"))
    jobs = added.json["jobs"]
    for words in (("jobs", "list"), ("jobs", "show", jobs[0]["id"]), ("attempt", jobs[0]["id"])):
        assert is_clean(mediajobs(*words))
        assert is_clean(mediajobs(*words, "--json"))
    assert SHOWN.replace(" ", "") in unfolded(mediajobs("attempt", jobs[0]["id"]))
    for form in ("csv", "json", "jsonl"):
        assert is_clean(mediajobs("history", "export", "--format", form, "--manifests"))

    edit = {"version": "create_video_v1", "title": NASTY, "track": [{"kind": "clip", "source": NASTY}]}
    (tmp_path / "edit.json").write_text(json.dumps(edit))
    plan = mediajobs("export", "edit.json", "--plan")
    assert plan.code == 0
    assert is_clean(plan)
    assert SHOWN.replace(" ", "") in unfolded(plan)
    written = mediajobs("export", "edit.json", "--to-otio", f"{NASTY}.otio")
    assert (written.code, is_clean(written)) == (0, True)


def test_what_is_wrong_with_such_a_file(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """In errors of arguments, of the intake, of an attempt, of timelines and of lists."""
    name, line = NASTY, NASTY.replace("\n", "").replace("\r", "")
    broken = tmp_path / name
    broken.write_bytes(b"no media")
    (tmp_path / "a.edl").write_text(f"001  {line}  V  C  00:00:00:00 00:00:01:00 00:00:00:00 00:00:01:00\n")
    (tmp_path / "b.edl").write_text(f"001 {line}\n")
    (tmp_path / "c.json").write_text(json.dumps({"version": "create_video_v1", "track": [{"kind": name}], name: 1}))
    for words in (
        ("add", f"missing {name}"),
        ("add", broken),
        ("work",),
        ("export", name),
        ("export", "a.edl"),
        ("export", "b.edl"),
        ("export", "c.json"),
        ("export", "c.json", "--json"),
        ("export", "a.edl", "--rate", name),
        ("export", "a.edl", "--media", f"{line}=x"),
        ("jobs", "show", name),
        ("jobs", "list", "--trace", name),
        ("attempt", name),
        (name,),
    ):
        answer = mediajobs(*words)
        assert answer.out + answer.err
        assert is_clean(answer), answer
    shutil.copy(clips.landscape(), tmp_path / "clip.mp4")
    assert b"\xff" in bytes(tmp_path / "b\udcff.edl")
    assert "cannot be read" in mediajobs("export", tmp_path / "b\udcff.edl").err


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    console = display.console()
    console.print(NASTY, markup=False, soft_wrap=True)
    console.print(Text(NASTY, style="red"), soft_wrap=True)
    console.print(display.table((f"{NASTY}[/b]",), [(f"{NASTY}[/b]",)], title=f"{NASTY}[/b]"))
    display.print_json({NASTY: [NASTY, "\udcff"]})
    printed = capsys.readouterr().out
    assert not RAW.search(printed)
    assert ":cat:" in printed


def test_what_becomes_of_control_characters() -> None:
    """They look as in Python's source. Letters of every script, emoji and what joins them stay."""
    assert in_one_line(NASTY) == SHOWN
    assert printable(NASTY) == SHOWN.replace(r"\n", "\n")
    assert in_a_list("two faults:\n  a\n  b\nOK") == "two faults:\n  a\n  b\\nOK"
    assert json.loads(printable_json(json.dumps(NASTY, ensure_ascii=False))) == NASTY
    for text in ("Grüße\tan alle\n", "👩‍🚀", "مرحبا", "שלום", "e\u0301", r"\x1b"):
        assert printable(text) == text
