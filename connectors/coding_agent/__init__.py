"""The lifecycle of coding agents' sessions, as their hooks tell it."""
