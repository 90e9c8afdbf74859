"""A line of a result file: its key, its outcome, its tokens. All pure."""
