"""The edge of the command line: help, exit codes, and errors as sentences."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from mediajobs_dagster import __version__
from mediajobs_dagster.cli.main import commands
from tests.cli.conftest import Call


def every_command(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that lead to it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)


COMMANDS = dict(every_command(commands))
SERVING = {"code-server", "daemon", "web", "worker"}
"""Parts that run until they are stopped, and print nothing but their log."""


def test_the_commands() -> None:
    """The whole list; scripts hang on these names."""
    assert {" ".join(words) for words in COMMANDS} == {
        *("demo", "up", "add", "ingest", "study", "work", "attempt", "doctor", "export"),
        *SERVING,
        *("status", "uploads", "uploads list", "uploads show", "uploads delete"),
        *("jobs", "jobs list", "jobs show", "jobs watch", "jobs retry", "jobs cancel"),
        *("history", "history export", "history stats", "capacity"),
        *("quota", "videos", "videos list", "videos show", "videos link", "videos unlink"),
        *("alerts", "alerts list", "alerts send", "alerts test"),
        *("webhooks", "webhooks list", "webhooks show", "webhooks send", "webhooks test"),
        *("storage", "storage map", "storage report", "storage gc"),
        *("events", "events list", "events show", "actions", "actions list", "why"),
        *("breaker", "breaker list", "breaker open"),
        *("breaker close", "schedules", "schedules list", "run", "cleanup", "metrics"),
        *("user", "user add", "user list", "user role", "user password", "user disable", "user enable"),
        *("user remove", "token", "token create", "token list", "token revoke"),
    }


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_explains_itself(mediajobs: Call, words: tuple[str, ...], option: str) -> None:
    """What it does, and each of its options; asking is no failure, and makes nothing."""
    answer = mediajobs(*words, option)
    assert answer.code == 0
    assert answer.out.startswith(f"Usage: mediajobs {' '.join(words)}")
    assert (COMMANDS[words].help or "").split("\n")[0].split()[0] in answer.out
    for parameter in COMMANDS[words].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{parameter.name} says nothing"
            assert parameter.opts[-1] in answer.out


PRINTING = [
    words
    for words, command in COMMANDS.items()
    if not isinstance(command, click.Group) and words[0] not in SERVING | {"up"}
]


@pytest.mark.parametrize("words", PRINTING)
def test_everything_that_prints_data_has_a_form_for_scripts(words: tuple[str, ...]) -> None:
    """`--json` everywhere; the export chooses among more."""
    option = "--format" if words == ("history", "export") else "--json"
    assert option in [name for parameter in COMMANDS[words].params for name in parameter.opts]


def test_version(mediajobs: Call) -> None:
    """The package's own."""
    answer = mediajobs("--version")
    assert (answer.code, answer.out) == (0, f"mediajobs, version {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("jobs", "list", "--limit", "0"),
        ("jobs", "list", "--limit", "many"),
        ("jobs", "list", "--status", "fine"),
        ("jobs", "list", "--since", "yesterday"),
        ("jobs", "show"),
        ("history", "export", "--format", "xml"),
        ("up", "--port", "70000"),
        ("web", "--port", "0"),
    ],
)
def test_a_mistyped_command_is_refused_with_a_hint(mediajobs: Call, arguments: tuple[str, ...]) -> None:
    """Exit code 2, how it is used on standard error, nothing on standard output."""
    answer = mediajobs(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Usage: mediajobs" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("jobs", "show", "nope"), "NOT_FOUND"),
        (("jobs", "retry", "nope"), "NOT_FOUND"),
        (("jobs", "cancel", "nope", "--json"), "NOT_FOUND"),
        (("attempt", "nope", "--json"), "NOT_FOUND"),
        (("add", "nope.mp4"), "REQUEST_INVALID"),
        (("add", "s3://bucket/key", "--json"), "REQUEST_INVALID"),
        (("add", __file__, "--type", "nope_v1"), "REQUEST_INVALID"),
        (("up", "--host", "0.0.0.0"), "USERS_MISSING"),
        (("web", "--host", "example.com", "--code", "127.0.0.1:4000"), "USERS_MISSING"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_code(mediajobs: Call, arguments: tuple[str, ...], code: str) -> None:
    """Exit code 2 and one line on standard error that begins with the code; no traceback."""
    answer = mediajobs(*(each for each in arguments if each != "--json"))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"{code}: ")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("words", [words for words in PRINTING if words[0] != "history" or words[1] != "export"])
@pytest.mark.parametrize(
    ("wrong", "settings", "ends_with", "code"),
    [
        (["--nonsense"], {}, 2, "REQUEST_INVALID"),
        ([], {"lease_s": "soon"}, 2, "SETTINGS_INVALID"),
        ([], {"database_url": "postgresql://me:secretword@127.0.0.1:1/jobs"}, 1, "DATABASE_UNAVAILABLE"),
    ],
)
def test_with_json_every_failure_is_json(
    mediajobs: Call,
    words: tuple[str, ...],
    wrong: list[str],
    settings: dict[str, str],
    ends_with: int,
    code: str,
) -> None:
    """On standard output, of every command, with the exit code it would have anyway."""
    if words in (("doctor",), ("export",), ("alerts", "test"), ("webhooks", "test"), ("storage", "map")) and not wrong:
        return  # findings are an answer; a timeline is read before the database is opened; the others need none
    if words == ("metrics",) and code == "DATABASE_UNAVAILABLE":
        return  # that the database is down is what they tell
    # A file does as an upload, and for an id.
    given = {"run": "history_cleanup"}.get(words[0], __file__)
    arguments = [each for each in COMMANDS[words].params if isinstance(each, click.Argument)]
    needed = ["viewer" if each.name == "role" else given for each in arguments]
    answer = mediajobs(*words, *needed, *wrong, "--json", **settings)
    told = answer.json["error"]
    assert (answer.code, told["code"]) == (ends_with, code)
    assert told["message"]
    assert "secretword" not in answer.out
    assert answer.err


def test_a_message_is_not_taken_for_markup(mediajobs: Call) -> None:
    """A file name may look like a colour."""
    assert "[red]clip.mp4" in mediajobs("add", "[red]clip.mp4").err


def test_a_bad_setting_is_named(mediajobs: Call) -> None:
    """By its variable, with exit code 2."""
    answer = mediajobs("jobs", "list", lease_s="soon", max_pixels=0)
    assert answer.code == 2
    assert answer.err.startswith("SETTINGS_INVALID: ")
    assert "MEDIAJOBS_LEASE_S" in answer.err
    assert "MEDIAJOBS_MAX_PIXELS" in answer.err


def test_a_fault_of_the_system_ends_with_1(mediajobs: Call) -> None:
    """The database is out of reach: not the caller's mistake. Its password is not shown."""
    answer = mediajobs("jobs", "list", database_url="postgresql://me:secretword@127.0.0.1:1/jobs")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("DATABASE_UNAVAILABLE: ")
    assert "secretword" not in answer.err
    assert "MEDIAJOBS_DATABASE_URL" in answer.err


def test_ctrl_c_ends_with_130(mediajobs: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell expects of a command that was interrupted."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(commands.commands, "interrupted", click.Command("interrupted", callback=interrupted))
    answer = mediajobs("interrupted")
    assert answer.code == 130
    assert "Interrupted" in answer.err


def test_a_bug_is_not_hidden(mediajobs: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw keeps its traceback."""

    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(commands.commands, "broken", click.Command("broken", callback=broken))
    with pytest.raises(ZeroDivisionError):
        mediajobs("broken")
