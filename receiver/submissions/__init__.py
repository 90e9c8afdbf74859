"""Submitting batches: an input is checked, split, uploaded and created, each step once."""
