"""Ours: from a table and a prompt to requests, each asked once, and the keys of all rows."""

import json
import sys
from pathlib import Path

from receiver.rows.asking import Asking
from receiver.rows.attachments import Attachments
from receiver.rows.plan import RowFiles, write_requests
from receiver.rows.prompts import Prompt
from receiver.rows.readers import read_columns


def main(table: str, prompt: str, folder: str) -> None:
    path = Path(table)
    asking = Asking(Prompt.parse(prompt, read_columns(path, "csv")), key="id")
    files = RowFiles.below(Path(folder), "requests.jsonl")
    written = write_requests(path, "csv", asking, Attachments(path.parent).part, files)
    sys.stdout.write(json.dumps({"rows": written.rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
