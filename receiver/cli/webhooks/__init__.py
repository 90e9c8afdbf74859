"""`webhooks …`: registered webhooks and their secrets."""
