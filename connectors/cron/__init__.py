"""Schedules as a source: events at the times that a person wrote down."""
