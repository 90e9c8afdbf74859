"""Embeds an uploaded input file and two texts, `submit_embeddings.py files/ID`.

Prints the names of the two batches.
"""

import sys

from google import genai
from google.genai import types

MODEL = "gemini-embedding-2"
TEXTS: list[types.PartUnion] = ["The harbour at dawn", "A market hall at noon"]


def main(input_file: str) -> None:
    texts = types.EmbedContentBatch(
        contents=TEXTS,
        config=types.EmbedContentConfig(output_dimensionality=256),
    )
    sources = {
        "embeddings of a file": types.EmbeddingsBatchJobSource(file_name=input_file),
        "embeddings of two texts": types.EmbeddingsBatchJobSource(inlined_requests=texts),
    }
    with genai.Client() as client:
        for title, source in sources.items():
            config = types.CreateEmbeddingsBatchJobConfig(display_name=title)
            batch = client.batches.create_embeddings(model=MODEL, src=source, config=config)
            print(batch.name)


if __name__ == "__main__":
    main(sys.argv[1])
