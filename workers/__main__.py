"""`python -m workers` is `gemini-batch-receiver`."""

from receiver.cli import main

main(prog_name="gemini-batch-receiver")
