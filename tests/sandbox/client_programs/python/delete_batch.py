"""Deletes a batch, so that no list shows it any more: `delete_batch.py batches/ID`."""

import sys

from google import genai


def main(name: str) -> None:
    with genai.Client() as client:
        client.batches.delete(name=name)
    print(f"{name} is deleted")


if __name__ == "__main__":
    main(sys.argv[1])
