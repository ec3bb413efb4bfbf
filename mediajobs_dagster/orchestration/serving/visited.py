"""A workspace that is read-only for some requests: Dagster asks it for each what its visitor may do."""

# It is typed in part:
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownParameterType=false
from __future__ import annotations

from typing_extensions import override

from mediajobs_dagster.access.visitor import visitor_in
from mediajobs_dagster.orchestration.internals.workspace import WorkspaceProcessContext, WorkspaceRequestContext


class VisitedWorkspace(WorkspaceProcessContext):
    """The workspace of the web server. Only for visitors who may change something, Dagster permits it too.

    It permits nothing to a viewer, and its pages show that. What refuses a viewer's mutations is
    `dagster_changes.py`, for Dagster does not ask for a permission in all of them.
    """

    @override
    def create_request_context(self, source: object | None = None) -> WorkspaceRequestContext:
        visitor = visitor_in(getattr(source, "scope", {}))  # of the request, or of the WebSocket
        return WorkspaceRequestContext(
            instance=self.instance,
            current_workspace=self.get_current_workspace(),
            process_context=self,
            version=self.version,
            source=source,
            read_only=visitor is None or not visitor.may_change,
        )
