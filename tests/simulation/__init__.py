"""A seeded simulation of the whole system in one process: see `tests/README.md`."""
