"""Keeps the long-lived processes of one machine running: starts them, restarts what dies, stops them in good order."""
