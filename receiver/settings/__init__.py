"""Settings: environment variables, `.env` and secret files, read once at the start."""
