"""A Telegram to test against: `python -m connectors.testing.telegram`."""
