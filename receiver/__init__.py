"""The web process, and what both sides share."""
