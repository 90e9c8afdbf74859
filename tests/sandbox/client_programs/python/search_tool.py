"""Asks one question twice, once with Google Search at hand; prints the batch's name."""

from google import genai
from google.genai import types

QUESTION = "Which comets can be seen without a telescope this month?"
SEARCH = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])


def main() -> None:
    requests = [
        types.InlinedRequest(contents=QUESTION, metadata={"key": "from memory"}),
        types.InlinedRequest(contents=QUESTION, metadata={"key": "searched"}, config=SEARCH),
    ]
    with genai.Client() as client:
        batch = client.batches.create(model="gemini-3.8-flash", src=requests)
    print(batch.name)


if __name__ == "__main__":
    main()
