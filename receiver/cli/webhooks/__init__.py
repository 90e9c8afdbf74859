"""`webhooks`: registers the web process with Gemini, and keeps what is registered right."""

from receiver.cli.webhooks import doctor, new_secrets, registered  # noqa: F401 - they add their commands to the group
