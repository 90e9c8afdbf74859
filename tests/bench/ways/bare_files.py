"""What this machine allows: each line of a local file, opened, written and closed."""

import json
import os
import sys
from pathlib import Path


def main(source: str, folder: str, after: str = "") -> None:
    """`after` may be `sync`."""
    objects = 0
    with Path(source).open("rb") as file:
        for line in file:
            target = os.open(f"{folder}/{objects}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            os.write(target, line)
            os.close(target)
            objects += 1
    if after == "sync":
        os.sync()
    sys.stdout.write(json.dumps({"objects": objects}))


if __name__ == "__main__":
    main(*sys.argv[1:])
