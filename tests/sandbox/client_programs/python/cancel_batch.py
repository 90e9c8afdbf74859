"""Cancels a batch, `cancel_batch.py batches/ID`, and prints its state after that."""

import sys

from google import genai


def main(name: str) -> None:
    with genai.Client() as client:
        client.batches.cancel(name=name)
        batch = client.batches.get(name=name)
    print(batch.state.name.removeprefix("JOB_STATE_") if batch.state else "UNKNOWN")


if __name__ == "__main__":
    main(sys.argv[1])
