"""Exports held to the frame and to the sample: timelines go through the real attempt, and the result is decoded."""
