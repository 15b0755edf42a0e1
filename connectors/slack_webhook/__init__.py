"""Posts to Slack through an incoming webhook, which needs no app of one's own."""
