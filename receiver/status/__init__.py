"""The status page: how things stand, for whoever holds STATUS_TOKEN and a browser."""
