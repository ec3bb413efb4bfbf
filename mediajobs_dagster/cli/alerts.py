"""`mediajobs alerts`: what operators were alerted of, and whether alerts arrive."""

from __future__ import annotations

from datetime import datetime

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.models import Alert, AlertKind
from mediajobs_dagster.supervisor.exclusive import user_of
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.messages import message_of

_KINDS = [kind.value for kind in AlertKind]


@click.group(short_help="List, send and try out messages to operators.")
def alerts() -> None:
    """Messages to operators: list them, send what waits, and test whether they arrive.

    They go to the addresses in MEDIAJOBS_ALERT_URLS. There is one message a cause an hour; what happens again meanwhile
    is counted in the next one. Without an address they are only listed.
    """


@alerts.command("list")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only these.")
@click.option("--since", type=display.Moment(), help="Happened at this time or later (UTC).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many to list at most.")
@click.option("--after", metavar="ALERT_ID", help="List the alerts that follow this one: the next page.")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_alerts(
    media: MediaJobs,
    kinds: tuple[str, ...],
    since: datetime | None,
    limit: int,
    after: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """List alerts, newest first. With --verbose, the whole messages."""
    found = media.alerts.list(kinds=[AlertKind(kind) for kind in kinds], since=since, limit=limit, after=after)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    if not found:
        console.print("There is no alert.")
        return
    if verbose:
        for alert in found:
            message = message_of(alert)
            console.print(message.title, style="bold", markup=False)
            console.print(f"{message.body}\nSent: {_state_of(alert, media)}\n", markup=False, soft_wrap=True)
        return
    columns = (Column("First (UTC)"), Column("Times"), Column("Alert", "text"), Column("Sent", "text", below=True))
    rows = [(each.first_at, each.count, each.title, _state_of(each, media)) for each in found]
    console.print(display.table(columns, rows))
    if len(found) == limit:
        console.print(f"There may be more: add [bold]--after {found[-1].id}[/].")


@alerts.command("send")
@display.json_option
@click.pass_obj
def send_alerts(media: MediaJobs, as_json: bool) -> None:
    """Send what waits and is due, once.

    `mediajobs up`, `daemon`, `web` and `work` do so by themselves. Exit code 1: a target did not take a message, which
    is tried again later.
    """
    done = media.alerts.deliver()
    if as_json:
        display.print_json(done)
    else:
        failed = f" {display.counted(done.failed, 'message')} will be tried again." if done.failed else ""
        display.console().print(f"{display.counted(done.sent, 'alert')} sent.{failed}")
    if done.failed:
        raise click.exceptions.Exit(1)


@alerts.command("test")
@display.json_option
@click.pass_obj
def test_alerts(media: MediaJobs, as_json: bool) -> None:
    """Send a test message to each address, and say whether it arrived. Exit code 1: at one it did not."""
    trials = media.alerts.test()
    if as_json:
        display.print_json({"targets": trials})
    else:
        columns = ("Target", "Arrived", Column("Reason", "text"))
        rows = [(each.target, "ok" if each.arrived else "failed", each.reason) for each in trials]
        display.console().print(display.table(columns, rows))
    if not all(each.arrived for each in trials):
        raise click.exceptions.Exit(1)


def _state_of(alert: Alert, media: MediaJobs) -> str:
    if alert.sent_at:
        return f"{alert.sent_at:%Y-%m-%d %H:%M:%S}"
    if not media.alerts.has_addresses:
        return "no: no address is set"
    if alert.error:
        return f"not yet: {alert.error}"
    return "not yet" if user_of(media.settings.home) else "not yet: nothing is up; `mediajobs alerts send` sends it"
