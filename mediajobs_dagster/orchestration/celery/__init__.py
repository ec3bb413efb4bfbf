"""Runs on Celery workers of many machines: the launcher sends them, and `mediajobs worker` executes them."""
