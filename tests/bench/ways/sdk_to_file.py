"""What a careful user does: the SDK streams the file to the disk, then `json.loads` reads it line by line."""

import json
import sys
from pathlib import Path

from google import genai


def main(url: str, name: str, destination: str) -> None:
    client = genai.Client(api_key="bench", http_options=genai.types.HttpOptions(base_url=url))
    client.files.download(file=name, destination=destination)
    lines = 0
    with Path(destination).open("rb") as file:
        for line in file:
            json.loads(line)
            lines += 1
    sys.stdout.write(json.dumps({"lines": lines}))


if __name__ == "__main__":
    main(*sys.argv[1:])
