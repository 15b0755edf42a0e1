"""A Slack to test against: `python -m connectors.testing.slack`."""
