"""Sends two questions within the call that creates the batch; prints the batch's name."""

from google import genai
from google.genai import types

QUESTIONS = {
    "tides": "What causes the tides? Two sentences, please.",
    "rust": "How does iron turn into rust?",
}


def main() -> None:
    requests = [
        types.InlinedRequest(
            contents=question,
            metadata={"key": key},
        )
        for key, question in QUESTIONS.items()
    ]
    config = types.CreateBatchJobConfig(display_name="two questions")
    with genai.Client() as client:
        batch = client.batches.create(model="gemini-3.8-flash", src=requests, config=config)
    print(batch.name)


if __name__ == "__main__":
    main()
