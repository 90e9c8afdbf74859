"""Notices: what we tell others when a batch has ended. The step that ends it owes them."""
