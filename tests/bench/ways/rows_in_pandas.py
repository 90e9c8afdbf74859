"""A script as a user would write it: `read_csv`, a template, a line of JSON per row."""

import json
import sys
from pathlib import Path

import jinja2
import pandas as pd


def main(table: str, prompt: str, folder: str) -> None:
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    template = jinja2.Template(prompt)
    with (Path(folder) / "requests.jsonl").open("w") as file:
        for row in frame.to_dict("records"):
            parts = [{"text": template.render(row)}]
            request = {"contents": [{"role": "user", "parts": parts}]}
            file.write(json.dumps({"key": row["id"], "request": request}) + "\n")
    sys.stdout.write(json.dumps({"rows": len(frame)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
