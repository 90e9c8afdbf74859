"""What stored batches hold: rows of the index, the answer of a line, and its request."""
