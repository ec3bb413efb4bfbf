"""Whether the server lives, and whether it can work."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def lives() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "ok"}
