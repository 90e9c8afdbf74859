"""The metrics: defined, counted in Redis, and shown to Prometheus."""
