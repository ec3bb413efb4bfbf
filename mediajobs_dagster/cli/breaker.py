"""`mediajobs breaker`: see the breakers of job types and machines, open and close them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.use_cases.breakers import BreakerStanding

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(short_help="See the breakers, open and close them.")
def breaker() -> None:
    """See the breakers of job types and machines, open and close them.

    The breaker of a job type opens by itself when its jobs keep failing by faults of the system or of a service, and
    lets one job try after a pause. That of a machine opens when jobs fail there that other machines do well.
    """


@breaker.command("list")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_breakers(media: MediaJobs, verbose: bool, as_json: bool) -> None:
    """List all breakers, those that are not closed first.

    There is one of each job type, and one of each machine that is quarantined or was set by hand.
    """
    found = media.breakers.all()
    if as_json:
        display.print_json(found)
    else:
        _print(found, whole=verbose)


def _name_and_reason(command: Command) -> Command:
    options = (
        click.argument("name"),
        click.option("--host", is_flag=True, help="NAME is a machine, not a job type."),
        click.option("--reason", default="", help="Why; it is shown where jobs wait, and kept with who did it."),
        display.json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@breaker.command("open")
@_name_and_reason
@click.pass_obj
def open_breaker(media: MediaJobs, name: str, host: bool, reason: str, as_json: bool) -> None:
    """Hold all jobs of the job type NAME, or all claims of a machine, until somebody closes the breaker.

    Jobs that are running go on. A schedule of that type leaves one job that waits, not one for each of its moments.
    """
    _print_one(media.breakers.open(name, host=host, reason=reason), as_json)


@breaker.command("close")
@_name_and_reason
@click.pass_obj
def close_breaker(media: MediaJobs, name: str, host: bool, reason: str, as_json: bool) -> None:
    """Let jobs of the job type NAME, or of a machine, start again. Earlier failures do not count any more."""
    _print_one(media.breakers.close(name, host=host, reason=reason), as_json)


def _print_one(standing: BreakerStanding, as_json: bool) -> None:
    if as_json:
        display.print_json(standing)
    else:
        _print((standing,), whole=False)


def _print(found: tuple[BreakerStanding, ...], *, whole: bool) -> None:
    columns = (
        *("Of", "Name", "State"),
        *(
            Column("Failed jobs", rank=2),
            Column("Set by hand", rank=3, below=True),
            Column("Why", rank=1, below=True),
        ),
    )
    rows = [
        (
            each.scope.replace("_", " "),
            each.name,
            each.state.replace("_", " "),
            each.failures or None,
            _by_hand(each),
            each.reason,
        )
        for each in found
    ]
    display.console().print(display.table(columns, rows, whole=whole))


def _by_hand(standing: BreakerStanding) -> str | None:
    switch = standing.switch
    return switch and f"{switch.state} by {switch.who}, {switch.since:%Y-%m-%d %H:%M}"
