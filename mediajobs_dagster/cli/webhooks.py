"""`mediajobs webhooks`: what callback addresses were told, and whether it arrived."""

from __future__ import annotations

import json
from datetime import datetime

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.callbacks import EVENTS
from mediajobs_dagster.cli.choices import checked_deliveries
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.history import DeliveryFilter
from mediajobs_dagster.models import DeliveryStatus, WebhookDelivery, WebhookEvent
from mediajobs_dagster.system import MediaJobs

_STATUSES = click.Choice([each.value for each in DeliveryStatus])


@click.group(short_help="List, show, send and try out what callback addresses are told.")
def webhooks() -> None:
    """What callback addresses are told: list it, show it, send it again, and test whether it arrives.

    Name an address when you ask for jobs: `mediajobs add VIDEO --callback https://example.com/hooks`.
    """


@webhooks.command("list")
@click.option("--status", "statuses", multiple=True, type=_STATUSES, help="Only these; can be repeated.")
@click.option("--event", "events", multiple=True, type=EVENTS, help="Only these events; can be repeated.")
@click.option("--trace", "trace_id", metavar="TRACE", help="Only of this trace.")
@click.option("--job", "job_id", metavar="JOB", help="Only of this job.")
@click.option("--since", type=display.Moment(), help="Happened at this time or later (UTC).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many to list at most.")
@click.option("--after", metavar="DELIVERY_ID", help="List the deliveries that follow this one: the next page.")
@display.json_option
@click.pass_obj
def list_deliveries(
    media: MediaJobs,
    statuses: tuple[str, ...],
    events: tuple[str, ...],
    trace_id: str | None,
    job_id: str | None,
    since: datetime | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """List deliveries, newest first."""
    chosen = DeliveryFilter(
        statuses=tuple(map(DeliveryStatus, statuses)),
        events=tuple(map(WebhookEvent, events)),
        trace_id=trace_id,
        job_id=job_id,
        since=since,
    )
    found = media.webhooks.deliveries(checked_deliveries(media, chosen), limit=limit, after=after)
    if as_json:
        display.print_json(found)
        return
    console = display.console()
    if not found:
        console.print("There is no delivery.")
        return
    columns = ("Id", Column("When (UTC)"), "Event", "Status", Column("Tries"), Column("To", "text", below=True))
    rows = [(each.id, each.created_at, each.event, each.status, each.tries, each.url) for each in found]
    console.print(display.table(columns, rows))
    if len(found) == limit:
        console.print(f"There may be more: add [bold]--after {found[-1].id}[/].")


@webhooks.command("show")
@click.argument("delivery_id", metavar="DELIVERY_ID")
@display.json_option
@click.pass_obj
def show_delivery(media: MediaJobs, delivery_id: str, as_json: bool) -> None:
    """Show a delivery: where it goes, what it tells, and what came of its tries."""
    delivery = media.webhooks.get(delivery_id)
    display.print_json(delivery) if as_json else _print(delivery)


@webhooks.command("send")
@click.argument("delivery_id", metavar="[DELIVERY_ID]", required=False)
@display.json_option
@click.pass_obj
def send(media: MediaJobs, delivery_id: str | None, as_json: bool) -> None:
    """Send a delivery again, whether it arrived or not; without an id, send what waits and is due, once.

    Its id stays the same, so a receiver knows it again. `mediajobs up`, `daemon`, `web` and `work` send by themselves.
    Exit code 1: it did not arrive.
    """
    if delivery_id is not None:
        media.webhooks.send_again(delivery_id)
    done = media.webhooks.deliver()
    if delivery_id is not None:
        delivery = media.webhooks.get(delivery_id)
        display.print_json(delivery) if as_json else _print(delivery)
        has_failed = delivery.status is not DeliveryStatus.DELIVERED
    else:
        told = f"{display.counted(done.delivered, 'delivery', 'deliveries')} arrived, {done.failed} did not."
        display.print_json(done) if as_json else display.console().print(told)
        has_failed = bool(done.failed)
    if has_failed:
        raise click.exceptions.Exit(1)


@webhooks.command("test")
@click.argument("url")
@display.json_option
@click.pass_obj
def test_address(media: MediaJobs, url: str, as_json: bool) -> None:
    """Send a test webhook to URL, signed as all are, and say whether it arrived. Exit code 1: it did not."""
    trial = media.webhooks.test(url)
    if as_json:
        display.print_json(trial)
    else:
        said = f"It arrived: {trial.status}, after {trial.took_ms:,} ms." if trial.arrived else trial.error
        display.console().print(said, markup=False, soft_wrap=True)
    if not trial.arrived:
        raise click.exceptions.Exit(1)


def _print(delivery: WebhookDelivery) -> None:
    console = display.console()
    console.print(f"{delivery.event} to {delivery.url}: {delivery.status}", style="bold", markup=False, soft_wrap=True)
    if delivery.tried:
        columns = (Column("Tried (UTC)"), Column("Took (ms)"), "Answer", Column("Reason", "text"))
        rows = [(each.at, each.took_ms, each.status or "none", each.error) for each in delivery.tried]
        console.print(display.table(columns, rows))
    if delivery.status is DeliveryStatus.PENDING:
        console.print(f"It is due at {delivery.due_at:%Y-%m-%d %H:%M:%S} UTC.")
    console.print(json.dumps(delivery.body, indent=2), markup=False, soft_wrap=True)
