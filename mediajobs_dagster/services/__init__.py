"""Outside services: the only folder that speaks to the outside world. A step of a job asks its bench for a client."""

from mediajobs_dagster.services.answers import Download, HttpAnswer
from mediajobs_dagster.services.base import ServiceClient, ServiceContext
from mediajobs_dagster.services.http import HttpClient

__all__ = ["Download", "HttpAnswer", "HttpClient", "ServiceClient", "ServiceContext"]
