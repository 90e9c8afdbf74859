"""A stream without the SDK: httpx cuts the lines as they arrive, `json.loads` reads them, nothing is stored."""

import json
import sys

import httpx


def main(url: str, name: str) -> None:
    lines = 0
    headers = {"x-goog-api-key": "bench", "accept-encoding": "identity"}
    with httpx.stream(
        "GET", f"{url}/v1beta/{name}:download?alt=media", headers=headers, trust_env=False
    ) as response:
        for line in response.raise_for_status().iter_lines():
            json.loads(line)
            lines += 1
    sys.stdout.write(json.dumps({"lines": lines}))


if __name__ == "__main__":
    main(*sys.argv[1:])
