"""Runs on Celery workers of many machines: the launcher sends them, `mediajobs worker` carries them out."""
