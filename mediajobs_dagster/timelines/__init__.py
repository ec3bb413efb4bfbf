"""Timelines: their format, faults and layout, typeset texts, and the timelines of other programs."""
