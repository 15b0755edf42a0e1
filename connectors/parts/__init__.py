"""Building blocks that a connector may use. Each imports the base only, and names no platform."""
