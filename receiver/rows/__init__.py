"""Rows in: from a table and a prompt to requests, and which row each answer belongs to."""
