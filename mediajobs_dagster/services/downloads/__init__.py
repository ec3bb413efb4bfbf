"""Fetches videos from their sites, by yt-dlp behind a proxy that leads to public addresses only."""
