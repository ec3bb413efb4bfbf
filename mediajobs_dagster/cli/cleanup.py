"""`mediajobs cleanup`: remove what is older than it has to be."""

from __future__ import annotations

import click
from rich.status import Status

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.display import Terminal
from mediajobs_dagster.history import Action
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.resilience.retention import CleanUp, Removed
from mediajobs_dagster.system import MediaJobs


@click.command(short_help="Remove attempts, jobs and runs that are old.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@display.json_option
@click.pass_obj
def cleanup(media: MediaJobs, dry_run: bool, as_json: bool) -> None:
    """Remove attempts, finished jobs, Dagster runs and other records that are older than they have to be.

    Kept are 30 days (MEDIAJOBS_RETENTION_DAYS; for single job types MEDIAJOBS_RETENTION; 0 keeps for ever). Whatever
    belongs to an unfinished job stays, and so do current outputs with the attempts that made them, and all totals: the
    figures of `mediajobs history stats` stay right. The job history_cleanup does the same every week. It can run beside
    everything else, and be interrupted: call it again, and it goes on.
    """
    # Dagster takes more than a second to import, so only the commands that need it import it.
    from mediajobs_dagster.attempts.scratch import ScratchSweeper
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.old_runs import OldRuns

    media.registry.check_retention(media.settings)
    media.check()  # before Dagster makes its own databases in the same folder
    with open_instance(media.settings) as instance, _Progress(quiet=as_json) as progress:
        sweepers = (OldRuns(instance, media.registry), ScratchSweeper(media.settings.scratch))
        done = media.retention(*sweepers).clean_up(now=utc_now(), dry_run=dry_run, on_progress=progress.tell)
    if not dry_run:
        gone = sum(each.rows for each in done.removed)
        media.history.actions.record(Action(action="cleanup", target="what is past its retention", count=gone))
    if as_json:
        display.print_json(done)
    else:
        _print(done)


def _print(done: CleanUp) -> None:
    console = display.console()
    found = [each for each in done.removed if each.rows]
    if not found:
        console.print("Nothing to remove: nothing is older than MEDIAJOBS_RETENTION_DAYS and MEDIAJOBS_RETENTION say.")
        return
    rows = [(each.kind, f"{each.rows:,}", display.size(each.bytes) if each.bytes else None) for each in found]
    console.print(
        display.table(
            ("Kind", "Number", "Size"), rows, title=f"What {'would be' if done.is_dry_run else 'was'} removed"
        )
    )
    if not done.is_dry_run:
        before, after = display.size(done.bytes_before), display.size(done.bytes_after)
        console.print(display.line(f"Database: {before} before, {after} now. {done.space} Took {done.took_s:.1f} s."))


class _Progress:
    """A line on a terminal that says what is being removed."""

    def __init__(self, *, quiet: bool) -> None:
        console = Terminal(stderr=True, highlight=False)
        console.quiet = quiet or not console.is_terminal
        self._status = Status("Looking", console=console)

    def __enter__(self) -> _Progress:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def tell(self, removed: Removed) -> None:
        """Show how many of a kind are gone."""
        self._status.update(f"{removed.kind}: {removed.rows:,}")
