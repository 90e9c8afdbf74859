"""The commands that read or process results: `worker`, `verify`, `resubmit`, `batches errors`."""
