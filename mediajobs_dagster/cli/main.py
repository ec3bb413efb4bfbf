"""The command and its sub-commands. Here every error becomes a sentence and an exit code."""

from __future__ import annotations

import io
import os
import sys
from typing import NoReturn

import click
from rich.text import Text

from mediajobs_dagster import __version__
from mediajobs_dagster.cli.acting import actions, cancel_jobs, retry_jobs
from mediajobs_dagster.cli.add import add
from mediajobs_dagster.cli.alerts import alerts
from mediajobs_dagster.cli.attempt import attempt
from mediajobs_dagster.cli.breaker import breaker
from mediajobs_dagster.cli.capacity import capacity
from mediajobs_dagster.cli.cleanup import cleanup
from mediajobs_dagster.cli.demo import demo
from mediajobs_dagster.cli.display import Terminal, print_json
from mediajobs_dagster.cli.doctor import doctor
from mediajobs_dagster.cli.events import events
from mediajobs_dagster.cli.export import export
from mediajobs_dagster.cli.faults import fault_of_machine
from mediajobs_dagster.cli.history import history
from mediajobs_dagster.cli.ingest import ingest
from mediajobs_dagster.cli.jobs import jobs
from mediajobs_dagster.cli.log_format import is_json_wanted
from mediajobs_dagster.cli.metrics import metrics
from mediajobs_dagster.cli.quota import quota
from mediajobs_dagster.cli.run_job import run_job
from mediajobs_dagster.cli.schedules import schedules
from mediajobs_dagster.cli.sections import SectionedGroup
from mediajobs_dagster.cli.serve import code_server, daemon, web
from mediajobs_dagster.cli.status import status
from mediajobs_dagster.cli.storage import storage
from mediajobs_dagster.cli.study import study
from mediajobs_dagster.cli.tokens import token
from mediajobs_dagster.cli.up import up
from mediajobs_dagster.cli.uploads import uploads
from mediajobs_dagster.cli.users import user
from mediajobs_dagster.cli.videos import videos
from mediajobs_dagster.cli.watch import watch_jobs
from mediajobs_dagster.cli.webhooks import webhooks
from mediajobs_dagster.cli.why import why
from mediajobs_dagster.cli.work import work
from mediajobs_dagster.cli.worker import worker
from mediajobs_dagster.errors import CancelledError, InternalError, MediaJobsError, RequestError, TimelineError
from mediajobs_dagster.printable import in_a_list, printable
from mediajobs_dagster.redacted_logs import redact_output
from mediajobs_dagster.settings import unknown_variables
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import json_line

FAILED = 1
"""The command ran, and something failed."""
REFUSED = 2
"""The command could not run as it was given."""

_CONTEXT = "cli"


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mediajobs")
@click.pass_context
def commands(context: click.Context) -> None:
    """Run a video product's media jobs on Dagster, and see what each of them did and why.

    \b
    A first look:    mediajobs demo
    Your own video:  mediajobs add some.mp4, then mediajobs work
    What happened:   mediajobs jobs list, then mediajobs jobs show ID

    Settings are environment variables that start with MEDIAJOBS_ (a .env file is read too); by default everything is
    kept below .mediajobs in the working folder. Exit codes: 0 done, 1 something failed, 2 the command was refused.
    """
    context.obj = context.with_resource(MediaJobs())
    if "--supervised" not in sys.argv:  # `up` has said so already
        for doubt in unknown_variables():
            _complain("[yellow]Warning[/]: ", doubt, level="warning")


for command in (watch_jobs, retry_jobs, cancel_jobs):
    jobs.add_command(command)
commands.add_section("Make", demo, add, ingest, export, study, work, up)
commands.add_section("See and decide", status, jobs, attempt, why, uploads, history, capacity)
commands.add_section("Look out for videos", events, videos, quota)
commands.add_section("Run unattended", schedules, run_job, breaker, alerts, webhooks, metrics, actions)
commands.add_section("Let people and programs in", user, token)
commands.add_section("Keep in order", doctor, storage, cleanup)
commands.add_section("Single parts, for clusters", code_server, daemon, web, worker)


def main() -> None:
    """Run the command line."""
    redact_output()
    try:
        # In this mode click returns the exit code of the command instead of ending the process; None is 0.
        sys.exit(commands(standalone_mode=False))
    except click.ClickException as error:
        _show(error)
        sys.exit(REFUSED)
    except (click.Abort, KeyboardInterrupt):
        _complain("Interrupted.")
        _print_for_scripts(CancelledError.code, "Interrupted.")
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output has stopped, as `head` does. Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except MediaJobsError as error:
        _end_with(error)
    except Exception as error:
        # The edge: what a disk or a database refuses is no bug, wherever it was met. All else keeps its traceback.
        if (fault := fault_of_machine(error)) is None:
            _print_for_scripts(InternalError.code, f"{type(error).__name__}: {error}")
            raise
        _end_with(fault)


def _end_with(error: MediaJobsError) -> NoReturn:
    _complain(f"[bold red]{error.code}[/]: ", error.message)
    faults = {"faults": list(error.faults), "more": error.more_faults} if isinstance(error, TimelineError) else {}
    _print_for_scripts(error.code, error.message, blame=error.blame.value, retryable=error.retryable, **faults)
    sys.exit(REFUSED if isinstance(error, RequestError) else FAILED)


def _show(error: click.ClickException) -> None:
    if is_json_wanted(sys.argv):
        _complain("", error.format_message())
    else:
        told = io.StringIO()
        error.show(told)
        click.echo(printable(redact(told.getvalue())), err=True, nl=False)
    _print_for_scripts(RequestError.code, error.format_message(), blame=RequestError.blame.value, retryable=False)


def _print_for_scripts(code: str, message: str, **more: object) -> None:
    """With `--json`, the failure on standard output, too: whoever reads JSON there always gets some."""
    given = sys.argv[1:]
    if "--json" in given[: given.index("--") if "--" in given else None]:
        print_json({"error": {"code": code, "message": message, **more}})


def _complain(head: str, message: str = "", *, level: str = "error") -> None:
    if is_json_wanted(sys.argv):
        click.echo(json_line(level, _CONTEXT, Text.from_markup(head).plain + message), err=True)
        return
    console = Terminal(stderr=True, highlight=False)
    console.print(head, end="")
    # Scripts search it, so it gets no line breaks of ours.
    console.print(in_a_list(message), markup=False, soft_wrap=True)
