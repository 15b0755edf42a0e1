"""Supervised processes that are no platform."""
