"""What each command prints with `--json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from mediajobs_dagster.capacity.planning import CapacityReport
from mediajobs_dagster.cli.main import commands as mediajobs
from mediajobs_dagster.history import StatisticsReport
from mediajobs_dagster.history.job_log_entry import JobLogEntry, TranscriptMetadata
from mediajobs_dagster.models import Attempt, Job, Upload, WebhookDelivery
from tools.reference import samples
from tools.reference.markdown import section
from tools.reference.schemas import Places, fields_of


@dataclass(frozen=True)
class Printed:
    """What a command prints, in words, and documents that show it."""

    words: str
    documents: tuple[object, ...] = ()


PRINTED: dict[str, Printed] = {
    "actions list": Printed(
        "A list of actions, the newest first (`MediaJobs.history.actions`): `id`, `at`, `action`, `target`, "
        "`count`, `reason`, `who` and `details`."
    ),
    "add": Printed(
        "What was taken in (`MediaJobs.add`), and with `--dry-run` what would be (`MediaJobs.inspect`). `created` is "
        "false for what was there before. The `code` of something skipped is that of an [error](errors.md), or HIDDEN, "
        "NOT_A_FILE or OURS.",
        (samples.ADDED, samples.INSPECTION),
    ),
    "alerts list": Printed(
        "A list of alerts, the newest first (`MediaJobs.alerts`): kind, cause, title, body, count, and when it "
        "was sent."
    ),
    "alerts send": Printed("What was sent of what is due (`MediaJobs.alerts`)."),
    "alerts test": Printed("`targets`: what became of a test message at each target; their addresses are not shown."),
    "attempt": Printed(
        "The [manifest](manifest.md) of the attempt (`MediaJobs.attempt`). Of one that is running, the "
        "[Attempt](#attempt) with its `progress`."
    ),
    "breaker close": Printed("The breaker as it stands now, as in `breaker list`."),
    "breaker list": Printed(
        "A list of breakers of job types and machines (`MediaJobs.breakers`): `scope`, `name`, `state`, "
        "`failures`, `errorCodes`, `since`, `retryAt`, `switch` (who set it, and why) and `reason`."
    ),
    "breaker open": Printed("The breaker as it stands now, as in `breaker list`."),
    "capacity": Printed("A [CapacityReport](#capacityreport) (`MediaJobs.capacity`)."),
    "cleanup": Printed("What was removed, by kind, and with `--dry-run` what would be (`MediaJobs.retention`)."),
    "demo": Printed("What became of every job of the trace (`MediaJobs.trace`).", (samples.TRACE,)),
    "doctor": Printed("A list of findings (`MediaJobs.doctor`).", (samples.FINDINGS,)),
    "events list": Printed("A list of events, by their beginning (`MediaJobs.events.list`)."),
    "events show": Printed("The event, with all that its source said of it (`MediaJobs.events.show`)."),
    "export": Printed(
        "What became of the request (`MediaJobs.export`); with `--plan` what would be run (`MediaJobs.plan_export`); "
        "with `--to-otio` what was written (`MediaJobs.write_otio`); and of a timeline with faults, all of them.",
        (samples.REQUESTED, samples.PLAN, samples.WRITTEN, samples.FAULTS),
    ),
    "history stats": Printed("A [StatisticsReport](#statisticsreport) (`MediaJobs.statistics`)."),
    "ingest": Printed(
        "The videos that were asked for, all in one trace (`MediaJobs.ingest`): of each, `video`, `job` (null in a dry "
        "run) and `new` (false: it was asked for before); and `refused`: addresses of which nothing can be fetched, "
        "each with its `code`, that of an [error](errors.md), and `message`."
    ),
    "jobs cancel": Printed("The [Job](#job) as it is now (`MediaJobs.cancel`)."),
    "jobs list": Printed(
        "A list of [Job](#job), the newest first (`MediaJobs.jobs`), each with its `subjectName`: a file name or a "
        "title."
    ),
    "jobs retry": Printed("The [Job](#job) as it is now (`MediaJobs.retry`)."),
    "jobs show": Printed("The job, its attempts, its children (`MediaJobs.job`).", (samples.JOB_DETAILS,)),
    "jobs watch": Printed("A [Job](#job) with its `subjectName` a line, whenever it has changed."),
    "metrics": Printed(
        "The `timestamp`, `counters` and `gauges` by `name|label=value,…`, `histograms` with `count`, `sum` and the "
        "estimated quantiles 50, 90 and 99 (`buckets`), and the `queue` (`MediaJobs.metrics`). Every name is on the "
        "page of [metrics](../how-to/metrics.md)."
    ),
    "quota": Printed(
        "A list of buckets (`MediaJobs.quota.standings`): `bucket`, `unit`, `limit`, `used`, `left`, `calls`, the rate "
        "`anHour`, `resetsAt`, `runsOutAt` (null: it lasts) and `exhaustedAt` (since when the service itself refuses)."
    ),
    "run": Printed("The job with its attempts, as `jobs show`."),
    "schedules list": Printed(
        "A list of schedules: times, time zone, whether each is on, its last and next moment, and what was missed."
    ),
    "status": Printed("How everything stands (`MediaJobs.overview`), and who is `up`.", (samples.OVERVIEW,)),
    "storage gc": Printed(
        "What could go, or went with `--delete`, and why (`MediaJobs.inventory`); with `--restore` what came back."
    ),
    "storage map": Printed("The storage map: the prefixes, what is below each, who makes it, and how long it is kept."),
    "storage report": Printed(
        "The latest report of the storage, or the one taken now with `--now` (`MediaJobs.inventory`)."
    ),
    "study": Printed(
        "The first job of each talk, all in one trace (`MediaJobs.studies.ask`), with what comes after it in its "
        "`followUp`; and `skipped`: what cannot be studied, each with its `code`. With `--wait`, `guides` too: of each "
        "talk its `title`, the job that makes the guide (until there is one, the job before it) with `status` and "
        "`errorCode`, and the keys of its files. With `--dry-run` (`MediaJobs.studies.plan`), `talks` in place of all "
        "this: of each its `title`, and `makes`, the job types that would make something; none: it is up to date."
    ),
    "token create": Printed(
        "The token, as in `token list`, and its `secret`, which is shown this once (`MediaJobs.tokens.create`)."
    ),
    "token list": Printed(
        "A list of tokens, the newest first (`MediaJobs.tokens.list`): `id`, `name`, `scope`, `userName`, `createdBy`, "
        "`createdAt`, `expiresAt`, `lastUsedAt` and `revokedAt`."
    ),
    "token revoke": Printed("The token as it stands now, as in `token list`."),
    "uploads delete": Printed("What was deleted (`MediaJobs.delete_upload`).", (samples.REMOVED,)),
    "uploads list": Printed("A list of [Upload](#upload), the newest first (`MediaJobs.uploads`)."),
    "uploads show": Printed(
        "The upload, its jobs, and where things are (`MediaJobs.upload`).", (samples.UPLOAD_DETAILS,)
    ),
    "user add": Printed("The user, as in `user list` (`MediaJobs.users.add`)."),
    "user disable": Printed("The user as it stands now, as in `user list`."),
    "user enable": Printed("The user as it stands now, as in `user list`."),
    "user list": Printed(
        "A list of users, by name (`MediaJobs.users.list`): `name`, `role`, `hasPassword`, `createdAt`, "
        "`passwordChangedAt` and `disabledAt`."
    ),
    "user password": Printed("The user as it stands now, as in `user list`."),
    "user remove": Printed("The `name`, and that it was `removed`."),
    "user role": Printed("The user as it stands now, as in `user list`."),
    "videos link": Printed("As `videos show`, after the change (`MediaJobs.videos.link`)."),
    "videos list": Printed(
        "A list of videos, the newest found first (`MediaJobs.videos.list`), each with its `eventTitle`; with `--for`, "
        "of candidates, the best first (`MediaJobs.videos.candidates`)."
    ),
    "videos show": Printed(
        "The `video`, and its `candidates`: the events that it was compared with, each with `score` and `reasons` "
        "(`MediaJobs.videos.show`)."
    ),
    "videos unlink": Printed("As `videos show`, after the change (`MediaJobs.videos.unlink`)."),
    "webhooks list": Printed(
        "A list of [WebhookDelivery](#webhookdelivery), the newest first (`MediaJobs.webhooks.deliveries`)."
    ),
    "webhooks send": Printed(
        "With an id the [WebhookDelivery](#webhookdelivery) as it is after that; without one how many of those that "
        "were due were `delivered`, and how many tries `failed`."
    ),
    "webhooks show": Printed("A [WebhookDelivery](#webhookdelivery) (`MediaJobs.webhooks.get`)."),
    "webhooks test": Printed(
        "Whether a test webhook `arrived` at the `url`, the `status` of the answer, the `error`, and how long it took "
        "(`tookMs`)."
    ),
    "why": Printed(
        "`status`, the `causes` (`kind`, `text`, `until`) for which the job waits or ended, whether it is tried "
        "`again`, and a sentence `forUploader` (`MediaJobs.why`). A name that several jobs have means the one that is "
        "not done; where there are several of these, it is refused (`AMBIGUOUS`), with those listed first."
    ),
    "work": Printed(
        "What was done; `attempts` holds the [manifest](manifest.md) of each attempt.", (samples.WORKED_OFF,)
    ),
}
"""Every command that has the option; a test compares."""


def commands(elsewhere: Places) -> Iterator[str]:
    """The sections of the page."""
    yield section(
        "A failure",
        "With `--json`, a command that fails or is refused prints why on standard output, and as a line for people on "
        "standard error. The exit code is 2 where it was refused as it was given, 1 where it failed, 130 where it was "
        "interrupted. `code` is that of an [error](errors.md); what the command line itself refuses, such as an option "
        "that there is not, is REQUEST_INVALID.",
        samples.shown(samples.FAILURE),
    )
    for name, printed in PRINTED.items():
        yield section(f"mediajobs {name}", printed.words, *map(samples.shown, printed.documents))
    yield section(
        "mediajobs history export",
        "It takes `--format` in place of `--json`: an array (`json`), an object a line (`jsonl`) of "
        "[Attempt](#attempt), or a table (`csv`, `parquet`). `manifest` is there with `--manifests` only. `job-log` "
        "writes an array of [JobLogEntry](#joblogentry), as the [job log](../how-to/job-log.md) has them.",
    )
    yield fields_of(
        *(Job, Attempt, Upload, StatisticsReport, CapacityReport, WebhookDelivery, JobLogEntry, TranscriptMetadata),
        elsewhere=elsewhere,
    )


def with_json(group: click.Group = mediajobs, before: str = "") -> set[str]:
    """The names of all commands that take `--json`."""
    found: set[str] = set()
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= with_json(command, f"{before}{name} ")
        elif any(parameter.name == "as_json" for parameter in command.params):
            found.add(before + name)
    return found
