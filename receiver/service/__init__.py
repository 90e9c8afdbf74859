"""One machine: `up` runs the web process, the workers and a Valkey, and keeps them running."""
