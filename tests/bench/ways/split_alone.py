"""Our splitting without Redis and network: from a local file's chunks to what a batch leaves in a local storage."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from receiver.outputs.paths import Template
from receiver.storage import LocalStorage
from workers.job.split import Split
from workers.results.result_counts import ResultCounts

CHUNK_BYTES = 64 * 1024  # as the network gives them
BATCH_ID = "bench"


def chunks_of(path: str) -> Iterator[bytes]:
    with Path(path).open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def main(source: str, folder: str, template: str, key_pattern: str = "") -> None:
    storage, scratch = LocalStorage(Path(folder)), Path(folder) / ".tmp" / "scratch"
    scratch.mkdir()
    namer = Template.parse(template, key_pattern or None).bind(BATCH_ID)
    account = ResultCounts(scratch)
    with Split(BATCH_ID, storage, namer, account, lambda: None, scratch) as split:
        split.run(chunks_of(source))
        written = split.store()
    counts = {
        "lines": account.lines,
        "outcomes": account.outcomes(),
        "objects": written.objects.count,
    }
    sys.stdout.write(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
