"""The web process: the webhook endpoint, health and metrics over HTTP."""
