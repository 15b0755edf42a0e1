"""Telegram, through python-telegram-bot: get_updates or a webhook in, the Bot API out."""
