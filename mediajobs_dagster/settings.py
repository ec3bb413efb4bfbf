"""All settings, typed. They are read once from the environment and `.env`, and passed to the code that needs them."""

from __future__ import annotations

import base64
import math
import os
import re
import socket
from datetime import date
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, IPvAnyNetwork, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mediajobs_dagster.cron import ScheduleChange, change_of, checked_zone
from mediajobs_dagster.errors import RequestError, SettingsError
from mediajobs_dagster.fault_lists import listed, plain_words
from mediajobs_dagster.small_files import read_small

_PREFIX = "MEDIAJOBS_"
_SCHEMES = {
    "s3_endpoint_url": ("https", "http"),
    "console_url": ("https", "http"),
    "traces_url": ("https", "http"),
    "traces_page": ("https", "http"),
    "youtube_url": ("https", "http"),
    "youtube_feed_url": ("https", "http"),
    "llm_url": ("https", "http"),
    "celery_url": ("redis", "rediss", "redis+socket", "unix", "sentinel"),
}
"""How the addresses among the settings may begin; those of database and storage are checked when they are opened."""
MATCH_FEATURES = ("title", "participants", "date", "duration", "channel")
"""What a video and an event are compared by."""
_MOST_S = 10**10
"""The longest time of any setting, seconds: three hundred years. A longer one would lead beyond the last date."""
_BETWEEN_ADDRESSES = re.compile(r"[\s,]+(?=[A-Za-z][\w+-]*://)")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=[\x20-\x7e]*")
_MAX_FILE = 1 << 20
_MOST_UNITS = 10**12
"""Far more than any quota, and what every database can count."""
_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_SECRET, _SECRET_BYTES, _MOST_SECRETS = "whsec_", (24, 64), 2
"""How secrets of webhooks begin, and how long their keys are: https://www.standardwebhooks.com."""
_NAMES_SECRET = re.compile("secret|access_key")
_MOST_MIB = 1 << 40
"""In bytes it is a number that the kernel takes for a limit."""


KEPT_KINDS = (
    *("timelines", "alerts", "actions", "events", "snapshots", "webhooks", "quota"),
    *("runs", "ticks", "scratch"),
)
"""What `retention` can name beside job types."""


class Settings(BaseSettings):
    """What an operator can set. A field is read from the variable `MEDIAJOBS_` + its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # some are secrets
    )

    home: Path = Field(
        default=Path(".mediajobs"),
        description="Folder for all data that no other setting puts elsewhere.",
    )

    database_url: str = Field(
        default="", description="SQLAlchemy URL of the history database; default: SQLite in MEDIAJOBS_HOME."
    )
    database_timeout_s: float = Field(
        default=10.0, gt=0, description="How long to wait for a lock or a connection, seconds."
    )

    storage_url: str = Field(
        default="", description="file:///folder or s3://bucket/prefix; default: a folder in MEDIAJOBS_HOME."
    )
    storage_map: Path | None = Field(
        default=None, description="What lies under which prefix, and for how long; default: the map of mediajobs."
    )
    storage_price_gb_month: float | None = Field(
        default=None,
        ge=0,
        description="Price of keeping a GB (2^30 bytes) for a month, for the cost in storage reports; default: no cost "
        "is told.",
    )
    s3_endpoint_url: str | None = Field(default=None, description="Address of an S3 server other than AWS.")
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")
    s3_path_style: bool = Field(
        default=False, description="Name the bucket in the path of an address rather than in its host."
    )
    s3_access_key_id: str | None = Field(
        default=None, description="Access key; default: the SDK looks in its usual sources."
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="Secret key that belongs to the access key."
    )
    s3_max_attempts: int = Field(default=5, ge=1, description="Tries the SDK makes at one S3 request (adaptive mode).")
    s3_timeout_s: float = Field(default=20.0, gt=0, description="Connect and read timeout of one S3 request, seconds.")

    ffmpeg_path: Path | None = Field(
        default=None, description="ffmpeg to use; default: the one on PATH, else the bundled one."
    )
    ffprobe_path: Path | None = Field(default=None, description="ffprobe to use; default as for ffmpeg.")
    ffmpeg_threads: int = Field(
        default=0, ge=0, description="Threads one ffmpeg may use; 0: as many as the worker's cores allow."
    )
    concurrency: int = Field(
        default=0, ge=0, description="Light jobs that one run works on side by side; 0: as many as suit the machine."
    )
    ffmpeg_memory_mb: int = Field(
        default=0,
        ge=0,
        le=_MOST_MIB,
        description="Memory one ffmpeg may use, MiB; 0: what its input takes by reckoning, within this machine's.",
    )
    stall_timeout_s: float = Field(
        60.0, gt=0, description="Stop an ffmpeg that made no progress for this long, seconds."
    )
    base_timeout_s: float = Field(
        default=300.0,
        gt=0,
        description="Stop an ffmpeg that runs longer than this plus what its input's size and length allow, seconds. "
        "In the light lane both are a fifth.",
    )
    job_timeout_s: float = Field(
        default=6 * 3600.0, gt=0, description="Stop an ffmpeg that runs longer than this in any case, seconds."
    )
    max_pixels: int = Field(
        default=8192 * 8192, gt=0, description="Largest declared picture (width × height) to decode."
    )
    max_media_s: float = Field(default=24 * 3600.0, gt=0, description="Longest media to work on, seconds.")
    max_output_mb: int = Field(
        default=100 * 1024, gt=0, le=_MOST_MIB, description="Largest file that an ffmpeg may write, MiB."
    )

    scratch_dir: Path | None = Field(default=None, description="Folder for working files; default: in MEDIAJOBS_HOME.")
    scratch_reserve_mb: int = Field(
        default=512, ge=0, description="Disk space to leave free on top of what a job needs, MiB."
    )
    scratch_idle_mb: int = Field(
        default=1024, ge=0, description="Most fetched sources that a worker keeps for its next attempts, MiB."
    )

    lease_s: float = Field(
        default=60.0, gt=0, description="A worker without a heartbeat for this long loses its jobs, seconds."
    )
    sweep_interval_s: float = Field(
        default=3600.0,
        ge=0,
        description="Pause between two searches of the storage for what dead workers left, seconds; 0: no search.",
    )
    max_attempts: int = Field(default=3, ge=1, description="Attempts a job gets before it is dead.")
    retry_base_s: float = Field(
        5.0, ge=0, description="First retry waits between 0 and this, seconds; doubles each time."
    )
    retry_cap_s: float = Field(
        default=300.0, ge=0, description="No retry waits longer than this, seconds, unless a service asks for more."
    )
    retry_attempts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Attempts that a job gets if it fails by some error codes, for all job types or one, separated by "
        "commas, such as TIMEOUT=1,upload_thumb_v1/STALLED=2; default: MEDIAJOBS_MAX_ATTEMPTS.",
    )
    outage_base_s: float = Field(
        default=30.0,
        gt=0,
        description="First pause of a job after an outage, such as a full disk or a storage that is down, seconds; "
        "doubles each time.",
    )
    outage_cap_s: float = Field(default=900.0, gt=0, description="Longest pause of a job in an outage, seconds.")
    outage_limit_s: float = Field(
        default=12 * 3600.0,
        ge=0,
        description="A job is dead once an outage has lasted for so long, seconds; until then its attempts do not "
        "count. 0: an outage is as any other fault.",
    )
    breaker_failures: int = Field(
        default=3, ge=1, description="Jobs that have to fail by system or external faults to open a job type's breaker."
    )
    breaker_window_s: float = Field(default=3600.0, gt=0, description="How far back the breaker looks, seconds.")
    breaker_cooldown_s: float = Field(
        300.0, gt=0, description="How long an open breaker waits before it lets one job try."
    )

    service_connect_timeout_s: float = Field(
        default=10.0, gt=0, description="How long connecting to an outside service may take, seconds."
    )
    service_timeout_s: float = Field(
        default=60.0, gt=0, description="How long one call to an outside service may take, retries included, seconds."
    )
    service_tries: int = Field(
        default=4,
        ge=1,
        description="Tries one call makes at a busy outside service, where trying again is safe.",
    )
    service_retry_base_s: float = Field(
        default=0.5, ge=0, description="The second try of a call waits between 0 and this, seconds; doubles each time."
    )

    calendars: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="iCalendar feeds whose events are stored, as name=address, separated by blanks or line breaks.",
    )
    event_sources: Path | None = Field(
        default=None, description="TOML or JSON file that describes further sources of events, such as an API."
    )
    events_days_back: float = Field(
        default=3.0, ge=0, le=366, description="How far back sources are asked for events, days."
    )
    events_days_ahead: float = Field(
        default=30.0, ge=0, le=366, description="How far ahead sources are asked for events, days."
    )
    events_timezone: str = Field(
        default="UTC", description="Time zone of events whose source names none, such as Europe/Berlin."
    )

    private_addresses: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        default=(),
        description="Private networks that addresses from users, feeds and redirects may lead to, separated by commas, "
        "such as 10.1.0.0/16; 127.0.0.0/8 is this machine. Any other private address is refused.",
    )
    schedules: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Changes to scheduled jobs, separated by semicolons: NAME=off, NAME=on, NAME=CRON or NAME=CRON "
        "ZONE, such as history_cleanup=30 3 * * sun Europe/Berlin; storage_report=off.",
    )
    timezone: str = Field(
        default="",
        description="Time zone of all schedules, such as Europe/Berlin; default: that of each job type, mostly UTC.",
    )
    retention_days: float = Field(
        default=30.0,
        ge=0,
        description="Days that attempts, finished jobs and Dagster's runs are kept; 0: for ever.",
    )
    retention: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Other days for single job types, or for timelines, alerts, actions, events, snapshots, "
        "webhooks, quota, runs or ticks, separated by commas, such as upload_thumb_v1=7,create_video_export_v1=0.",
    )

    youtube_api_key: SecretStr | None = Field(
        default=None, description="Key of the YouTube Data API; without one, only the feeds of channels are read."
    )
    youtube_url: str = Field(
        default="https://www.googleapis.com/youtube/v3", description="Address of the YouTube Data API."
    )
    youtube_feed_url: str = Field(
        default="https://www.youtube.com/feeds/videos.xml", description="Address of the feeds of YouTube channels."
    )
    youtube_channels: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="YouTube channels to look for videos in, separated by commas: ids (UC…), or names such as @name, "
        "which need the key.",
    )
    youtube_playlists: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Ids of YouTube playlists to look for videos in, separated by commas; they need the key.",
    )
    youtube_queries: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="What to search YouTube for each time, separated by commas; one call of the search each.",
    )
    youtube_search_limit: int = Field(
        default=100, ge=0, le=_MOST_UNITS, description="Calls of YouTube's search a day (Pacific time)."
    )
    youtube_unit_limit: int = Field(
        default=10_000, ge=0, le=_MOST_UNITS, description="Units of YouTube's other methods a day (Pacific time)."
    )
    discovery_days: float = Field(
        default=7.0, gt=0, le=3650, description="How long after an event videos of it are looked for, days."
    )
    match_weights: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("title=3", "participants=4", "date=3", "duration=1", "channel=1"),
        description="How much each thing counts in a match of a video with an event, separated by commas.",
    )
    match_threshold: float = Field(
        default=0.7, ge=0, le=1, description="A video is linked to an event only if their match reaches this, 0 to 1."
    )
    match_lead: float = Field(
        default=0.1, ge=0, le=1, description="And only if the match is so much better than the second best, 0 to 1."
    )
    match_duration_s: float = Field(
        default=0.0, ge=0, description="Length that videos of events have, seconds; 0: as long as the event."
    )

    ingest_max_height: int = Field(
        default=1080, ge=1, le=16_384, description="Height of the picture that is fetched at most, pixels."
    )
    ingest_max_mb: int = Field(
        default=20 * 1024, gt=0, le=_MOST_MIB, description="Largest video that is fetched, MiB, whatever its site says."
    )
    ingest_per_minute: float = Field(
        default=12.0, gt=0, description="Videos that one site is asked for a minute, by all workers together."
    )
    ingest_pause_s: float = Field(
        default=900.0,
        ge=0,
        description="How long nobody asks a site that takes us for a robot, seconds; each time in a row twice as long.",
    )
    ingest_languages: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("en",),
        description="Languages of subtitles that are fetched beside the video's own, separated by commas, such as "
        "en,de.",
    )
    ingest_cookies: Path | None = Field(
        default=None, description="File of cookies (Netscape format) for video sites; default: none are sent."
    )
    speech_model: str = Field(
        default="tiny.en",
        min_length=1,
        description="Model that recognises speech: the folder of a Whisper model in the form of CTranslate2, or "
        "tiny.en, a small one for English that the extra speech brings. Nothing is downloaded.",
    )
    speech_threads: int = Field(
        default=0, ge=0, description="Threads that recognise speech; 0: as many as the worker's cores allow."
    )
    study_writer: str = Field(
        default="extractive",
        description="Who writes study guides: extractive, which needs no service; openai, a language model behind "
        "MEDIAJOBS_LLM_URL; or a writer of another package.",
    )
    llm_url: str = Field(
        default="",
        description="Address of a language model, of any service that answers as OpenAI's does, such as "
        "http://127.0.0.1:11434/v1.",
    )
    llm_model: str = Field(default="", description="Name of the language model there.")
    llm_api_key: SecretStr | None = Field(default=None, description="Key of that service; default: none is sent.")
    llm_timeout_s: float = Field(default=300.0, gt=0, description="How long one answer of it may take, seconds.")
    llm_context_tokens: int = Field(
        default=8192,
        ge=2048,
        le=_MOST_UNITS,
        description="How many tokens question and answer may have together; a longer talk is asked about in parts.",
    )
    llm_answer_tokens: int = Field(default=2048, ge=256, le=_MOST_UNITS, description="How many an answer may have.")
    llm_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="How the service calls that limit; newer models of OpenAI: the second."
    )
    llm_most_requests: int = Field(
        default=200, ge=1, le=_MOST_UNITS, description="A talk that takes more questions to the model is refused."
    )
    llm_price_input: float | None = Field(
        default=None, ge=0, description="Price of a million tokens of questions, for the record; default: none is told."
    )
    llm_price_output: float | None = Field(default=None, ge=0, description="Price of a million tokens of answers.")

    offers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="What this machine offers to job types, separated by commas, such as ffmpeg,speech; default: "
        "ffmpeg, and what the installed extras bring: ingest, speech, study.",
    )
    celery_url: str = Field(
        default="", description="Redis that hands runs to `mediajobs worker`, such as redis://host:6379/0."
    )
    shutdown_grace_s: float = Field(
        default=20.0, gt=0, description="How long a stopping worker may take to return its jobs to the queue, seconds."
    )

    first_day: date | None = Field(
        default=None,
        description="Day on which Dagster's partitions begin at the latest, such as 2026-03-01; default: the day of "
        "the first upload.",
    )
    max_upload_mb: int = Field(
        default=100 * 1024, gt=0, le=_MOST_MIB, description="Largest file that may be sent to the HTTP API, MiB."
    )
    web_names: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names by which browsers reach the web server, beside localhost and its --host, separated by "
        "commas, such as media.example.com; with the port where it is neither 80 nor 443.",
    )
    login: bool | None = Field(
        default=None,
        description="Whether the console asks for a login; default: yes, unless it listens on loopback only. With "
        "false, whoever reaches its address can do everything.",
    )
    session_idle_s: float = Field(
        default=12 * 3600.0, gt=0, description="A login ends when it was not used for so long, seconds."
    )
    session_s: float = Field(
        default=7 * 86400.0, gt=0, description="A login ends after this time, however much it is used, seconds."
    )
    web_insecure_cookies: bool = Field(
        default=False,
        description="Send the cookie of a login without encryption too. Whoever can listen on the network can take "
        "the login over. Browsers need it where the console is reached by http:// and not by localhost.",
    )
    trusted_proxy: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        default=(),
        description="Proxies whose word counts (X-Forwarded-For, and MEDIAJOBS_USER_HEADER), as addresses or networks "
        "separated by commas, such as 10.0.0.7.",
    )
    user_header: str = Field(
        default="",
        description="Header in which these proxies say who has logged in, such as X-Forwarded-User; default: they do "
        "not say it, and people log in at the console.",
    )
    role_header: str = Field(
        default="",
        description="Header in which they say the roles, or groups, of that user; viewer and operator count; default: "
        "roles are those of `mediajobs user`.",
    )
    proxy_role: Literal["viewer", "operator"] = Field(
        default="viewer", description="Role of who comes by such a proxy and has no other."
    )

    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Where alerts go: addresses as Apprise writes them, such as mailto://… or slack://…, separated by "
        "blanks or commas. They are secrets, and shown nowhere.",
    )
    alert_input_faults: bool = Field(
        default=False, description="Alert of jobs too that are dead because their input is at fault."
    )
    alert_disk_percent: float = Field(
        default=95.0, ge=0, le=100, description="Alert when a disk of ours is fuller than this, percent; 0: never."
    )
    alert_storage_gib: float = Field(
        default=0.0, ge=0, description="Alert when a storage report finds more than this in the storage, GiB; 0: never."
    )
    alert_quota_percent: float = Field(
        default=90.0, ge=0, le=100, description="Alert when so much of a quota is used, percent; 0: never."
    )
    alert_daemon_silent_s: float = Field(
        default=300.0, gt=0, description="Alert when the daemon has given no sign of life for so long, seconds."
    )

    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Secret that webhooks are signed with, as Standard Webhooks writes it: whsec_ and 24 to 64 bytes "
        "in base64. Two, separated by a comma, while it is changed: each webhook is signed with both. Without one, no "
        "callback address is taken.",
    )

    log_format: Literal["text", "json"] = Field(
        default="text",
        description="How long-running commands log: text for people, or json: one object a line.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="The least level that is logged; debug also tells each step of each job as text.",
    )
    hostname: str | None = Field(default=None, description="Name of this machine in records; default: its hostname.")
    instance_type: str | None = Field(
        default=None, description="Machine type in records; default: what the machine reports."
    )
    imds_enabled: bool = Field(
        False, description="Ask the EC2 instance metadata service (IMDSv2) for the machine type."
    )
    machine_prices: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Prices of a machine an hour, by its type, separated by commas, such as c7i.large=0.0892; "
        "`unknown` is for machines whose type is not on record. Default: capacity reports tell no cost.",
    )
    listeners: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Functions that return further listeners, as module:function, separated by commas."
    )
    job_log: Path | None = Field(
        default=None,
        description="Job log, a JSON file to which each job is added as it ends, such as notes/processing_log.json; "
        "default: there is none.",
    )
    metrics: bool = Field(
        default=True,
        description="Whether attempts count for metrics, their commands are sampled, and /metrics answers.",
    )
    traces_url: str | None = Field(
        default=None,
        description="Where traces go: an OTLP/HTTP address, such as http://127.0.0.1:4318/v1/traces; default: there "
        "are none.",
    )
    traces_headers: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        description="Headers for that address, as name=value, separated by commas, such as a key. They are secrets, "
        "and shown nowhere.",
    )
    traces_page: str | None = Field(
        default=None,
        description="Page of a trace in the viewer, for links from the console, with {traceId} where the id belongs.",
    )
    sample_interval_s: float = Field(
        default=2.0, gt=0, description="How often a running ffmpeg's CPU and memory are sampled."
    )
    console_url: str | None = Field(
        default=None, description="Address of the console, for links from Dagster to an attempt."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_flag(cls, value: object, info: ValidationInfo) -> object:
        # Left to itself, pydantic takes True for the number 1.
        kind: object = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and (kind is int or kind is float):
            raise ValueError("Input should be a number, not true or false")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _is_sensible(cls, value: object) -> object:
        if isinstance(value, float) and abs(value) > _MOST_S:
            raise ValueError(f"Input should be {_MOST_S:,} at most")
        return value

    @field_validator(
        *("listeners", "machine_prices", "offers", "private_addresses", "retention", "retry_attempts"),
        *("trusted_proxy", "web_names"),
        *("youtube_channels", "youtube_playlists", "youtube_queries", "match_weights", "ingest_languages"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("retry_attempts", mode="after")
    @classmethod
    def _are_counts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            code, _, number = each.partition("=")
            if not (code.strip() and number.strip().isdecimal() and int(number)):
                raise ValueError(f"{each!r} is not a code with a number from 1, such as TIMEOUT=1")
        return value

    @field_validator("machine_prices", mode="after")
    @classmethod
    def _are_prices(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            machine_price_of(each)
        return value

    @field_validator("schedules", mode="before")
    @classmethod
    def _split_schedules(cls, value: object) -> object:
        # Crons have commas in them.
        return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value

    @field_validator("schedules", mode="after")
    @classmethod
    def _are_changes(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        names = [change_of(entry).name for entry in entries]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{double} is named twice")
        return entries

    @field_validator("retention", mode="after")
    @classmethod
    def _are_days(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            _days_of(entry)
        return entries

    @field_validator("timezone", "events_timezone", mode="after")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        return checked_zone(name) if name else name

    @field_validator("youtube_api_key", "llm_api_key", mode="before")
    @classmethod
    def _is_no_key(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("match_weights")
    @classmethod
    def _are_weights(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            name, _, number = each.partition("=")
            if name not in MATCH_FEATURES or not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", number, re.ASCII):
                raise ValueError(f"{each} is no weight such as title=3; there are {', '.join(MATCH_FEATURES)}")
        return value

    @field_validator("traces_headers", mode="before")
    @classmethod
    def _split_headers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(each.strip() for each in value.split(",") if each.strip())

    @field_validator("traces_headers")
    @classmethod
    def _are_headers(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        # Without the value in the message: it is a secret.
        if not all(_HEADER.fullmatch(each.get_secret_value()) for each in value):
            raise ValueError("one of them is no header such as api-key=…: name=value, separated by commas")
        return value

    @field_validator("traces_page")
    @classmethod
    def _has_place(cls, value: str | None) -> str | None:
        if value and "{traceId}" not in value:
            raise ValueError(f"{value!r} has no {{traceId}}, where the id of the trace belongs")
        return value

    @field_validator("alert_urls", mode="before")
    @classmethod
    def _split_addresses(cls, value: object) -> object:
        # A comma may be part of an address; one that separates two is followed by the scheme of the next.
        return tuple(filter(None, _BETWEEN_ADDRESSES.split(value.strip(" ,")))) if isinstance(value, str) else value

    @field_validator("webhook_secret", mode="before")
    @classmethod
    def _split_secrets(cls, value: object) -> object:
        return tuple(filter(None, re.split(r"[\s,]+", value))) if isinstance(value, str) else value

    @field_validator("webhook_secret", mode="after")
    @classmethod
    def _are_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if len(value) > _MOST_SECRETS:
            raise ValueError("there may be two secrets at most: the new one and the one before")
        for each in value:
            key_of_secret(each)
        return value

    @field_validator("calendars", mode="before")
    @classmethod
    def _split_at_blanks(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fill_from_home(self) -> Settings:
        # Absolute, because Dagster's processes do not all start in the folder the settings were read in.
        home = self.home.expanduser().absolute()
        derived = {
            "home": home,
            "database_url": self.database_url or f"sqlite:///{home / 'mediajobs.db'}",
            "storage_url": self.storage_url or (home / "objects").as_uri(),
            "job_log": self.job_log and self.job_log.expanduser().absolute(),
            "scratch_dir": (self.scratch_dir or home / "scratch").expanduser().absolute(),
            "offers": self.offers or _offered(),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        return self

    @classmethod
    def load(cls, **overrides: object) -> Settings:
        """Read the environment and `.env`; `overrides` win over both.

        Raises SettingsError, naming the variable, when a value cannot be used.
        """
        try:
            file = overrides.get("_env_file", cls.model_config.get("env_file"))
            # A folder of that name that nobody pointed at, such as a virtual environment, is no file of settings.
            is_folder = "_env_file" not in overrides and isinstance(file, str | Path) and Path(file).is_dir()
            if isinstance(file, str | Path) and Path(file).exists() and not is_folder:
                check_settings_file(Path(file))
            return cls(**overrides)  # pyright: ignore[reportArgumentType]  # values are checked by pydantic
        except ValidationError as error:
            faults = listed(
                _fault_of("_".join(map(str, fault["loc"])), plain_words(fault["type"], fault["msg"]))
                for fault in error.errors()
            )
            raise SettingsError(f"{faults}. Correct the environment or the .env file.") from error

    @staticmethod
    def log_format_given() -> str:
        """How the environment or `.env` asks to log, although other settings may be wrong; empty: they do not say."""
        name, file = f"{_PREFIX}LOG_FORMAT", Path(".env")
        return os.environ.get(name) or (dotenv_values(file).get(name) if file.is_file() else None) or ""

    def doubts(self) -> list[str]:
        """What looks like a mistake although nothing refuses it: variables of no setting, and addresses that are none.

        One sentence each.
        """
        return [*unknown_variables(), *filter(None, map(self._doubt_of, _SCHEMES))]

    def _doubt_of(self, name: str) -> str | None:
        address, schemes = getattr(self, name), _SCHEMES[name]
        try:
            parts = urlsplit(address or "")
            is_fine = not address or (parts.scheme in schemes and bool(parts.hostname or parts.path.strip("/")))
        except ValueError:  # brackets that do not close
            is_fine = False
        return None if is_fine else f"MEDIAJOBS_{name.upper()} is no address such as {schemes[0]}://host. Correct it."

    @property
    def schedule_changes(self) -> dict[str, ScheduleChange]:
        """What `schedules` says, by the name of the job type."""
        return {change.name: change for change in map(change_of, self.schedules)}

    def retention_of(self, name: str) -> float:
        """How many days things of a job type, or of a kind, are kept; 0: for ever."""
        return self.retention_days_by_name.get(name, self.retention_days)

    @property
    def retention_days_by_name(self) -> dict[str, float]:
        """What `retention` says, by the name of a job type or of a kind."""
        return dict(map(_days_of, self.retention))

    @property
    def scratch(self) -> Path:
        """Folder for working files, always set."""
        assert self.scratch_dir is not None  # filled by the validator
        return self.scratch_dir

    @property
    def attempts_by_code(self) -> dict[str, int]:
        """`retry_attempts`: how many attempts, by the code, or by the job type, a slash and the code."""
        pairs = (each.partition("=") for each in self.retry_attempts)
        return {code.strip(): int(number) for code, _, number in pairs}

    @property
    def prices_of_machines(self) -> dict[str, float]:
        """`machine_prices`: of an hour, by the type of the machine."""
        return dict(map(machine_price_of, self.machine_prices))

    @property
    def host(self) -> str:
        """The name of this machine in records."""
        return self.hostname or socket.gethostname()

    @property
    def logs_operations(self) -> bool:
        """Whether each operation on a job is logged: always for programs, for people when they ask for every step."""
        return self.log_format == "json" or self.log_level == "debug"

    @property
    def unrecorded(self) -> Path:
        """Folder for ends of attempts that the database could not take."""
        return self.home / "unrecorded"

    @property
    def unlogged(self) -> Path:
        """Folder that remembers attempts whose jobs are not in the job log yet."""
        return self.home / "unlogged"


_OF_EXTRAS = {"ingest": "yt_dlp", "speech": "faster_whisper", "study": "typst"}
"""What extras offer, and a module that each of them brings."""


def _offered() -> tuple[str, ...]:
    """What this machine can do, by the extras that are installed. Nothing is imported for it."""
    return ("ffmpeg", *(name for name, module in _OF_EXTRAS.items() if find_spec(module)))


def _fault_of(name: str, words: str) -> str:
    # What follows a secret's name and a colon is taken for the secret wherever the message is shown.
    return f"{_PREFIX}{name.upper()}{' is not right:' if _NAMES_SECRET.search(name) else ':'} {words}"


def key_of_secret(secret: SecretStr) -> bytes:
    """The bytes that a secret of webhooks stands for. Raises ValueError when it is none."""
    prefix, text = secret.get_secret_value()[: len(_SECRET)], secret.get_secret_value()[len(_SECRET) :]
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:  # with its message, a part of the secret would be shown
        key = b""
    if prefix != _SECRET or not _SECRET_BYTES[0] <= len(key) <= _SECRET_BYTES[1]:
        raise ValueError("it has to be whsec_ and 24 to 64 bytes in base64")
    return key


def _days_of(entry: str) -> tuple[str, float]:
    name, equals, days = (part.strip() for part in entry.partition("="))
    if not (name and equals and _NUMBER.fullmatch(days)):
        raise ValueError(f"{entry!r} is no entry such as upload_thumb_v1=7: a name and a number of days")
    return name, float(days)


def machine_price_of(entry: str) -> tuple[str, float]:
    """The type of a machine and its price an hour, of an entry such as c7i.large=0.0892. Raises ValueError."""
    name, _, text = (part.strip() for part in entry.rpartition("="))
    try:
        price = float(text)
    except ValueError:
        price = -1.0
    if not (name and 0 <= price < math.inf):
        raise ValueError(f"{entry!r} is no price such as c7i.large=0.0892: the type of a machine and a number")
    return name, price


def unknown_variables(file: Path = Path(".env")) -> list[str]:
    """A sentence for each variable `MEDIAJOBS_…` of the environment, and of `.env`, that is no setting."""
    names = [*os.environ, *(dotenv_values(file) if file.is_file() else {})]
    known = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields]
    return [
        f"{name} is no setting of mediajobs{_nearest(name, known)}."
        for name in dict.fromkeys(names)
        if name.upper().startswith(_PREFIX) and name.upper() not in known
    ]


def _nearest(name: str, known: list[str]) -> str:
    # Without what all begin with, which would make any two look alike.
    found = get_close_matches(name.upper().removeprefix(_PREFIX), [each.removeprefix(_PREFIX) for each in known], n=1)
    return f"; {_PREFIX}{found[0]} is" if found else ""


def check_settings_file(path: Path) -> None:
    """Raise SettingsError unless `path` is a file that can be read at once, and is no larger than settings are."""
    try:
        read_small(path, _MAX_FILE, "settings")
    except RequestError as error:
        raise SettingsError(error.message) from error
