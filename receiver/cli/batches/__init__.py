"""`batches …`, but for `errors`, `results` and `merged`, which are in `workers.cli`."""
