"""Webhooks in and out, for everything that can post JSON or take it."""
