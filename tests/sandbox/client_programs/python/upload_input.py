"""Uploads an input file of two requests; prints the file's name, which submit_file.py takes."""

import io
import json

from google import genai
from google.genai import types

QUESTIONS = {
    "volcano": "Why do some volcanoes explode while others flow?",
    "bridge": "Which forces does an arch bridge carry?",
}


def input_line(key: str, question: str) -> bytes:
    request = {
        "contents": [{"role": "user", "parts": [{"text": question}]}],
        "generation_config": {"max_output_tokens": 500},
    }
    return json.dumps({"key": key, "request": request}).encode() + b"\n"


def main() -> None:
    lines = b"".join(input_line(key, question) for key, question in QUESTIONS.items())
    config = types.UploadFileConfig(display_name="questions", mime_type="application/jsonl")
    with genai.Client() as client:
        uploaded = client.files.upload(file=io.BytesIO(lines), config=config)
    print(uploaded.name)


if __name__ == "__main__":
    main()
