"""Asks two questions about one cached document, `cached_content.py cachedContents/ID`.

Prints the batch's name.
"""

import sys

from google import genai
from google.genai import types

QUESTIONS = {"who": "Who signed the document?", "when": "On which day was it signed?"}


def main(cache: str) -> None:
    config = types.GenerateContentConfig(cached_content=cache)
    requests = [
        types.InlinedRequest(contents=question, metadata={"key": key}, config=config)
        for key, question in QUESTIONS.items()
    ]
    with genai.Client() as client:
        batch = client.batches.create(model="gemini-3.8-flash", src=requests)
    print(batch.name)


if __name__ == "__main__":
    main(sys.argv[1])
