"""Logs and traces; `metrics` has a folder of its own."""
