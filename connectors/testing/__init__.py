"""The kit for authors of connectors."""
