"""Dagster's daemon; dear to import."""

# It has no public interface in Python, and is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.utils import DaemonErrorCapture

__all__ = [
    "DaemonErrorCapture",  # shows an error of our loop on Dagster's page of daemons
    "DaemonIterator",  # the type of what a daemon's loop yields
    "DagsterDaemon",  # the type of a daemon
    "QueuedRunCoordinatorDaemon",  # starts queued runs; ours looks into our queue first
    "create_daemons_from_instance",  # the daemons of an instance, of which ours replaces one
    "daemon_controller_from_instance",  # runs them
]
