"""Finds what no webhook told: replay, reconcile runs and actions by hand."""
