"""Traces for a collector of OpenTelemetry, made from the record of what has ended.

Workers send nothing. One long-lived process reads what they recorded, so one that dies loses no span.
"""
