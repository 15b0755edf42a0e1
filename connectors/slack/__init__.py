"""Slack, through slack-sdk: Socket Mode in, Web API out."""
