"""Asks one question twice, once of a pirate; prints the batch's name."""

from google import genai
from google.genai import types

QUESTION = "Where should I look for shells?"
PIRATE = types.GenerateContentConfig(system_instruction="Answer as an old pirate would.")


def main() -> None:
    requests = [
        types.InlinedRequest(contents=QUESTION, metadata={"key": "plain"}),
        types.InlinedRequest(contents=QUESTION, metadata={"key": "pirate"}, config=PIRATE),
    ]
    with genai.Client() as client:
        batch = client.batches.create(model="gemini-3.8-flash", src=requests)
    print(batch.name)


if __name__ == "__main__":
    main()
