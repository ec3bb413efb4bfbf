"""`mediajobs storage`: what lies in the storage, what is odd about it, and what may go."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
from rich.console import Console
from typing_extensions import override

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.inventory.collecting import Collected
from mediajobs_dagster.inventory.report import Amount, Finding, StorageReport
from mediajobs_dagster.inventory.taking import OnProgress
from mediajobs_dagster.printable import counted
from mediajobs_dagster.storage import Undo
from mediajobs_dagster.system import MediaJobs

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_UNDO = {
    Undo.VERSIONS: "The bucket keeps versions: to bring an object back, delete its delete marker.",
    Undo.NEVER: "The bucket keeps no versions: what is deleted is gone.",
    Undo.UNKNOWN: "The server does not say whether it keeps versions. Take what is deleted for gone.",
}


class Age(click.ParamType[timedelta]):
    """A number of hours, days or weeks: 36h, 30d, 2w."""

    name = "age"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,5})([hdw])", value.strip())
        if not found:
            self.fail(f"{value!r} is no age such as 36h, 30d or 2w.", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.group(short_help="See what lies in the storage, and tidy it up.")
def storage() -> None:
    """See what lies in the storage, what is odd about it, and remove what nobody needs."""


@storage.command("map")
@display.verbose_option
@display.json_option
@click.pass_obj
def show_map(media: MediaJobs, verbose: bool, as_json: bool) -> None:
    """Show what lies under which prefix, who makes it, and for how long it is kept."""
    found = media.inventory.map
    if as_json:
        display.print_json(found)
        return
    columns = ("Prefix", Column("Holds", "text"), Column("Made by", "name", rank=1), "Kept")
    rows = [
        (each.prefix, each.purpose, each.job_type and media.registry.noun(each.job_type), _kept(each.retention_days))
        for each in found.entries
    ]
    console = display.console()
    console.print(display.table(columns, rows, whole=verbose))
    if verbose:
        console.print(display.table(("Prefix", Column("", "text")), [(e.prefix, e.retention) for e in found.entries]))


@storage.command("report")
@click.option("--now", is_flag=True, help="Walk through the storage now, instead of showing the latest report.")
@display.verbose_option
@display.json_option
@click.pass_obj
def report(media: MediaJobs, now: bool, verbose: bool, as_json: bool) -> None:
    """Show how much lies under each prefix, how it grows, and what is missing, left over or unknown.

    Without --now it is the latest report; the job storage_report makes one every night.
    """
    inventory = media.inventory
    if now:
        with _progress(quiet=as_json) as progress:
            found = inventory.take(progress=progress)
    elif (latest := inventory.latest()) is None:
        raise RequestError("There is no report on this storage yet. Make one: mediajobs storage report --now.")
    else:
        found = latest
    if as_json:
        display.print_json(found)
        return
    _print_report(display.console(), found, whole=verbose)


@storage.command("gc")
@click.option("--delete", is_flag=True, help="Remove them; without it, they are only listed.")
@click.option("--prefix", default="", help="Only keys that begin so, such as thumbs/.")
@click.option("--older-than", type=Age(), default="1d", show_default=True, help="Only what is older: 36h, 30d, 2w.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(0), help="How many to list at most.")
@click.option("--restore", metavar="REMOVAL", help="Bring back what a removal put into the trash of a local folder.")
@display.verbose_option
@display.json_option
@click.pass_obj
def gc(
    media: MediaJobs,
    delete: bool,
    prefix: str,
    older_than: timedelta,
    limit: int,
    restore: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """List the objects that nobody needs, each with the reason; --delete removes them.

    They are outputs of attempts that failed or were replaced, parts that dead writers left, and what is past the
    retention of its prefix in the storage map. Left alone is all that an upload or a current output names, that a
    running attempt writes, that is younger than a day, or that the history does not know.

    In a local folder, what is removed lies in the trash for a week: --restore brings it back. In a bucket that keeps
    versions, it is back once its delete marker is deleted.
    """
    if restore is not None:
        _restore(media, restore, as_json=as_json)
        return
    with _progress(quiet=as_json) as progress:
        found = media.inventory.collect(
            delete=delete, prefix=prefix, older_than=older_than, limit=limit, progress=progress
        )
    if as_json:
        display.print_json(found)
    else:
        _print_collected(display.console(), found, whole=verbose)
    if found.failed:
        raise SystemExit(1)


# --- the report ------------------------------------------------------------------------------------------------------


def _print_report(console: Console, found: StorageReport, *, whole: bool) -> None:
    console.print(display.line(f"{found.storage}, seen {found.taken_at:%Y-%m-%d %H:%M:%S} UTC"), soft_wrap=True)
    growth = ""
    if found.growth and found.since:
        more = f"{found.growth.objects:+,} objects, {display.growth(found.growth.bytes)}"
        growth = f"; since {found.since:%Y-%m-%d %H:%M} {more}"
    console.print(f"{counted(found.objects, 'object')}, {display.size(found.bytes)}{growth}")
    if found.cost_month is not None:
        console.print(f"{found.cost_month:,.2f} a month, at {found.price_gb_month:g} a GB")
    console.print()
    rows = [
        (
            each.prefix,
            f"{each.objects:,}",
            display.size(each.bytes),
            display.growth(each.growth.bytes) if each.growth else None,
            *map(_figure, (each.missing, each.left_over.objects, each.past_retention.objects)),
            *map(_figure, (each.not_in_history.objects, each.misfit.objects, each.unfinished)),
        )
        for each in found.prefixes
    ]
    columns = ("Prefix", "Objects", "Size", Column("Growth", rank=4), "Missing", "Left over", Column("Old", rank=1))
    more = (Column("Unknown", rank=2), Column("Misfit", rank=3), Column("Unfinished", rank=5))
    console.print(display.table((*columns, *more), rows, whole=whole))
    for sentence in _findings(found):
        console.print(sentence, markup=False)
    if found.examples:
        console.print()
        shown = [each for each in found.examples if whole or each.finding in (Finding.MISSING, Finding.LEFT_OVER)]
        rows = [(_WORDS[each.finding], each.key, each.reason) for each in shown]
        columns = ("Is", Column("Object", "name"), Column("Because", "text", rank=1, below=True))
        if rows:
            console.print(display.table(columns, rows, title="Some of them", whole=whole))


_WORDS = {
    Finding.MISSING: "missing",
    Finding.LEFT_OVER: "left over",
    Finding.PAST_RETENTION: "old",
    Finding.NOT_IN_HISTORY: "unknown",
    Finding.MISFIT: "misfit",
    Finding.UNFINISHED: "unfinished",
}


def _findings(found: StorageReport) -> Generator[str]:
    about = "" if found.is_missing_checked else " at most"
    if found.missing:
        yield f"Missing: {counted(found.missing, 'object')}{about} that the history names. Add the files again."
    if found.left_over.objects:
        yield f"Left over: {_amount(found.left_over)} of attempts that came to nothing: mediajobs storage gc."
    if found.past_retention.objects:
        named = found.past_retention_named.objects
        stay = f"; {named:,} of them are in use and stay" if named else ""
        yield f"Old: {_amount(found.past_retention)} past the retention of the storage map{stay}: mediajobs storage gc."
    if found.not_in_history.objects:
        yield f"Unknown: {_amount(found.not_in_history)} that this history does not know. They stay."
    if found.misfit.objects:
        yield f"Misfit: {_amount(found.misfit)} with keys that fit no pattern of the storage map."
    if found.unfinished and found.oldest_unfinished:
        since = f"{found.oldest_unfinished:%Y-%m-%d %H:%M}"
        yield f"Unfinished: {counted(found.unfinished, 'object')} being written or left behind, since {since} UTC."
    if found.unknown_prefixes:
        names = ", ".join(each.prefix for each in found.prefixes if not each.is_known)
        yield f"Not in the storage map: {names}."


def _figure(number: int) -> str | None:
    return f"{number:,}" if number else None


def _amount(amount: Amount) -> str:
    return f"{counted(amount.objects, 'object')} ({display.size(amount.bytes)})"


def _kept(days: int | None) -> str:
    return "for good" if days is None else "not at all" if days == 0 else counted(days, "day")


# --- what goes -------------------------------------------------------------------------------------------------------


def _print_collected(console: Console, found: Collected, *, whole: bool) -> None:
    rows = [(each.key, display.size(each.bytes), each.at, each.fault or each.reason) for each in found.objects]
    if rows:
        columns = (Column("Object", "name"), "Size", Column("Written (UTC)", rank=2))
        reason = Column("Because", "text", rank=1, below=True)
        console.print(display.table((*columns, reason), rows, whole=whole))
    going = found.gone.objects + found.unfinished
    if going > len(rows):
        console.print(f"and {going - len(rows):,} more: --limit lists more")
    parts = f", and the parts of {counted(found.unfinished, 'unfinished object')}" if found.unfinished else ""
    looked = f" {counted(found.looked_at, 'object')} looked at."
    if not going and not found.failed:
        console.print(f"Nothing is left over.{looked}")
        return
    verb = "would be" if found.is_dry else "were"
    console.print(f"{_amount(found.gone)}{parts} {verb} removed.{looked}")
    for reason, amount in sorted(found.reasons.items()):
        console.print(f"  {amount.objects:,}: {reason}", markup=False)
    if found.kept:
        console.print(f"{counted(found.kept, 'object')} changed meanwhile, and stayed.")
    if found.failed:
        console.print(f"[red]{counted(found.failed, 'object')} could not be removed.[/]")
    if found.is_dry:
        console.print("Nothing was removed yet: --delete removes them.")
    if found.undo is not Undo.TRASH:
        console.print(_UNDO[found.undo])
    elif found.removal_id:
        console.print(f"For a week, [bold]mediajobs storage gc --restore {found.removal_id}[/] brings them back.")


def _restore(media: MediaJobs, removal_id: str, *, as_json: bool) -> None:
    done = media.inventory.restore(removal_id)
    if as_json:
        display.print_json(done)
        return
    console = display.console()
    console.print(f"{counted(done.back, 'object')} back in place.")
    for key in done.taken:
        console.print(f"  {key} stays in the trash: another object has its key.", markup=False, soft_wrap=True)


@contextmanager
def _progress(*, quiet: bool) -> Generator[OnProgress]:
    """A line on a terminal that says how far the walk is."""
    console = display.Terminal(stderr=True, highlight=False)
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("Looking through the storage") as status:
        yield lambda share: status.update(
            "Looking through the storage" + (f", {share:.0%}" if share is not None else "")
        )
