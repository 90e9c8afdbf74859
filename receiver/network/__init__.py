"""The way of calls to other machines."""
