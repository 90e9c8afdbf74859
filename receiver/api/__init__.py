"""The HTTP API for programs: the JSON of the commands, for whoever holds API_TOKEN."""
