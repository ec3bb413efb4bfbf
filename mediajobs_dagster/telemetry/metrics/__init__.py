"""The metrics of an installation: which there are, what they read now, and the two forms in which they go out.

The catalogue is data. What attempts and jobs count is summed up in the history (`history/series.py`); what one serving
process measures of itself is in its memory (`readings.py`).
"""
