"""Keeps the long-lived processes of one machine running: starts them, restarts those that die, stops them in order."""
