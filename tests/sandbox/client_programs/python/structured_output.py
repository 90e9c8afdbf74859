"""Asks for birds as JSON of a given shape, waits, and prints a line per bird."""

import os
import time

import pydantic
from google import genai
from google.genai import types

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "30"))
PLACES = ["the Alps", "the North Sea"]


class Bird(pydantic.BaseModel):
    name: str
    wingspan_cm: int


def main() -> None:
    as_birds = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_schema=list[Bird],
    )
    requests = [
        types.InlinedRequest(
            contents=f"Which large birds live in {place}?",
            metadata={"key": place},
            config=as_birds,
        )
        for place in PLACES
    ]
    with genai.Client() as client:
        batch = client.batches.create(model="gemini-3.8-flash", src=requests)
        while not batch.done:
            time.sleep(POLL_SECONDS)
            batch = client.batches.get(name=batch.name or "")
    rows = batch.dest.inlined_responses if batch.dest else None
    for row in rows or []:
        show_birds(row)


def show_birds(row: types.InlinedResponse) -> None:
    place = (row.metadata or {}).get("key")
    if row.response is None or row.response.text is None:
        print(f"{place}: no answer")
        return
    for bird in pydantic.TypeAdapter(list[Bird]).validate_json(row.response.text):
        print(f"{place}: {bird.name}, {bird.wingspan_cm} cm")


if __name__ == "__main__":
    main()
