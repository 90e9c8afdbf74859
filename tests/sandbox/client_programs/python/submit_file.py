"""Creates a batch of an uploaded input file, `submit_file.py files/ID`; prints the batch's name."""

import sys

from google import genai
from google.genai import types


def main(input_file: str) -> None:
    config = types.CreateBatchJobConfig(display_name="questions from a file")
    with genai.Client() as client:
        batch = client.batches.create(model="gemini-3.8-flash", src=input_file, config=config)
    print(batch.name)


if __name__ == "__main__":
    main(sys.argv[1])
