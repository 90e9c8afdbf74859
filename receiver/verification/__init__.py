"""Webhook deliveries: their signatures, keys and events. What `verify` proves is in `workers`."""
