"""Adds media files, and takes requests for exports."""
