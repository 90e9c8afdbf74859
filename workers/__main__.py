"""`python -m workers` is `gemini-batch-receiver`."""

from workers.cli import main

main(prog_name="gemini-batch-receiver")
