"""`--log-format`: how the commands log that run for long."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from mediajobs_dagster.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTION = "--log-format"
_VARIABLE = "MEDIAJOBS_LOG_FORMAT"
_LONG_RUNNING = ("up", "work", "worker", "code-server", "daemon", "web")


def is_json_wanted(words: Sequence[str]) -> bool:
    """Whether the words of a command line ask for JSON in its log, whether its options and settings can be used or not.

    Only the commands that run for long have a log. The others answer people, or programs that say --json.
    """
    if not any(word in _LONG_RUNNING for word in words[1:2]):
        return False
    given = " ".join(words).replace("=", " ").partition(f"{_OPTION} ")[2].split(" ")[0]
    return (given or Settings.log_format_given()) == "json"


def log_format(command: Command) -> Command:
    """Add the option `--log-format`. It sets the variable of the setting, so that child processes log alike."""

    def choose(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
        if value:
            os.environ[_VARIABLE] = value

    return click.option(
        _OPTION,
        type=click.Choice(["text", "json"]),
        expose_value=False,
        callback=choose,
        help="Log as text for people, or as JSON, one object a line; default: MEDIAJOBS_LOG_FORMAT.",
    )(command)
