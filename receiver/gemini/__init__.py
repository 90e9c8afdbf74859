"""Gemini's API: batches, files, models and webhooks of a project."""
