"""Lists all batches, the newest first: name, state, display name. `list_batches.py [PAGE_SIZE]`."""

import sys

from google import genai
from google.genai import types


def main(page_size: int = 50) -> None:
    config = types.ListBatchJobsConfig(page_size=page_size)
    with genai.Client() as client:
        for batch in client.batches.list(config=config):  # it asks for further pages by itself
            state = batch.state.name.removeprefix("JOB_STATE_") if batch.state else "UNKNOWN"
            print(batch.name, state, batch.display_name or "-", sep="\t")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
