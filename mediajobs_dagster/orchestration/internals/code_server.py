"""The code server; dear to import."""

from __future__ import annotations

from dagster._grpc.__generated__.dagster_api_pb2 import ReloadCodeReply
from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer

__all__ = [
    "DagsterApiServer",  # answers what is asked of the definitions and starts runs; ours reloads
    "DagsterGrpcServer",  # listens for it
    "ReloadCodeReply",  # the answer to the reload button
]
