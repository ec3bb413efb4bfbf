"""Job type `video_discovery`: looks for videos at each tick of its schedule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.errors import JobSettingsError
from mediajobs_dagster.job_types.base import JobType, Lane, Params, Schedule
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.job_types.video_discovery.discovery import discover
from mediajobs_dagster.models import SubjectKind
from mediajobs_dagster.resilience.quota import YOUTUBE_SEARCH, YOUTUBE_UNITS
from mediajobs_dagster.services.channel_feeds import FEED
from mediajobs_dagster.services.youtube import METHODS, SERVICE
from mediajobs_dagster.settings import Settings


class VideoDiscovery(JobType):
    """Videos that channels, playlists and searches have, each linked to the event that it is of."""

    name: ClassVar[str] = "video_discovery"
    asset: ClassVar[str] = "videos"
    lane: ClassVar[Lane] = Lane.NETWORK
    subject: ClassVar[SubjectKind] = SubjectKind.TICK
    schedule: ClassVar[Schedule | None] = Schedule("20 * * * *")

    @override
    def is_configured(self, settings: Settings) -> bool:
        sources = settings.youtube_channels, settings.youtube_playlists, settings.youtube_queries
        return any(sources) or settings.youtube_api_key is not None

    @override
    def check_settings(self, settings: Settings) -> None:
        named = [name for name in settings.youtube_channels if name.startswith("@")]
        needing = (*named, *settings.youtube_playlists, *settings.youtube_queries)
        if needing and settings.youtube_api_key is None:
            raise JobSettingsError(
                f"{needing[0]} cannot be looked up without a key of the YouTube Data API. Set "
                "MEDIAJOBS_YOUTUBE_API_KEY, or name channels by their ids (UC…) alone."
            )

    @override
    def quota_needed(self, settings: Settings) -> Mapping[str, int]:
        if settings.youtube_channels or settings.youtube_api_key is None:
            return {}  # their feeds cost nothing, so a job is of use without any quota
        if settings.youtube_playlists:
            return {YOUTUBE_UNITS: len(settings.youtube_playlists) + 1}  # a page of each, and details
        return {YOUTUBE_SEARCH: max(1, len(settings.youtube_queries))}

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        del settings
        return ("discover", SERVICE, FEED, *METHODS)

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        del params
        return Plan(steps=(Call("discover", partial(discover, material.job.trace_id)),))
