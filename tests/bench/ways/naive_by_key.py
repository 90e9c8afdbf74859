"""A script as a user would write it: download, `json.loads` for the key, a file each, one sync."""

import json
import os
import sys
from pathlib import Path

from google import genai


def main(url: str, name: str, destination: str, folder: str) -> None:
    client = genai.Client(api_key="bench", http_options=genai.types.HttpOptions(base_url=url))
    client.files.download(file=name, destination=destination)
    objects = 0
    with Path(destination).open("rb") as file:
        for line in file:
            key = json.loads(line)["key"]
            # pathlib would cost it 10 us per file
            with open(f"{folder}/{key}.json", "wb") as output:  # noqa: PTH123
                output.write(line)
            objects += 1
    os.sync()
    sys.stdout.write(json.dumps({"objects": objects}))


if __name__ == "__main__":
    main(*sys.argv[1:])
