"""The worker process: takes jobs from RQ, and runs each in a child process."""
