"""`submissions …`, but for `verify`, which is in `workers.cli`."""
