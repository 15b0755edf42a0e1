"""Events to outboxes by the rules of connectors.yml, without an agent."""
