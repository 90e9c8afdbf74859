"""Batches on their way to Gemini: an input is checked, split, uploaded and created, each step once."""
