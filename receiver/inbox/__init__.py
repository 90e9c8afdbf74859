"""The inbox in Redis: batches that are still to be processed, and the jobs for them."""
