"""Notices: webhooks of ours that report ended batches. Ending a batch enqueues them in the same
step.
"""
