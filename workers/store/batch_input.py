"""The requests of a batch as they were sent, where the storage holds them as `_input.jsonl.gz`.

They name the missing requests, and what is worth sending again is copied from them. They may be as
large as the results, so that they are streamed from a scratch file: once for their keys, and again
only to copy requests.
"""

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from receiver.answers.requests import read_key
from receiver.errors import StorageError
from receiver.gemini.operations import Batch
from receiver.outputs.manifest import Input
from receiver.outputs.paths import input_name
from receiver.storage import Storage
from receiver.submissions.records import awaited_name
from workers.results.key_set import KeyList, KeySet, key_token
from workers.results.parser import is_blank
from workers.results.result_counts import KeyComparison, ResultCounts
from workers.store.records import file_sha256

LINES_BETWEEN_CHECKS = 4096
PATIENCE_S = 3600


def is_awaited(storage: Storage, batch: Batch) -> bool:
    """Whether `batches submit` has yet to store a batch's input; after an hour it never will."""
    sent = batch.input_file or batch.tag
    if sent is None or not storage.exists(awaited_name(sent)):
        return False
    patience_ends = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - PATIENCE_S))
    return (batch.ended or "") > patience_ends


class BatchInput:
    """The input of one batch in a scratch file; `fetch` makes it."""

    def __init__(
        self,
        path: Path,
        record: Input,
        asked: KeyList,
        check: Callable[[], None],
        result_key: str = "",
    ) -> None:
        self._path, self.record, self._asked = path, record, asked
        self._check, self._result_key = check, result_key

    @classmethod
    def fetch(
        cls,
        storage: Storage,
        batch_id: str,
        scratch: Path,
        check: Callable[[], None],
        result_key: str = "",
    ) -> "BatchInput | None":
        """Copy the input into `scratch` and read it once; None when the storage has none.

        `check` is called every few thousand lines; `result_key` is RESULT_KEY. Raises StorageError
        when the object is no complete gzip file.
        """
        name, path, asked = input_name(batch_id), scratch / "input", KeyList(scratch)
        if not storage.read_to_file(name, path):
            return None
        try:
            requests = _list_keys(read_lines(path, check), result_key, asked)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            hint = "store it again or delete it, then replay the batch"
            raise StorageError(
                f"{name} is no whole gzip file: {hint}", retryable=False, fault="batch"
            ) from error
        return cls(path, Input(name, file_sha256(path), requests), asked, check, result_key)

    def keys(self) -> Iterator[str]:
        """The keys of all requests in their order; those without one are left out."""
        for line in read_lines(self._path, self._check):
            key = read_key(line, self._result_key)
            if key is not None:
                yield key

    def compare(self, counts: ResultCounts) -> KeyComparison:
        """Compare its keys with those of the results, which are all in `counts`."""
        return counts.compare(self._asked)

    def missing_keys(self, compared: KeyComparison) -> list[str]:
        """The keys without a line in their order, each once."""
        if not compared.missing:
            return []
        missing = compared.missing
        return list(dict.fromkeys(key for key in self.keys() if key_token(key) in missing))

    def write_retries(self, path: Path, counts: ResultCounts) -> None:
        """Replace the `{"key": …}` rows of a file with whole requests.

        They are the requests of these keys and of those that no line of the results has, with the
        bytes and in the order of the input. A request without a key is left out: no result can be
        assigned to it.
        """
        missing, again = self.compare(counts).missing, KeySet(path.parent)
        if not missing and path.stat().st_size == 0:
            return
        with path.open("rb") as rows:
            for row in rows:
                again.add(key_token(json.loads(row)["key"]))
        with path.open("wb") as file:
            for line in read_lines(self._path, self._check):
                key = read_key(line, self._result_key)
                if key is not None and ((token := key_token(key)) in missing or token in again):
                    file.write(line if line.endswith(b"\n") else line + b"\n")


def _list_keys(lines: Iterable[bytes], result_key: str, asked: KeyList) -> int:
    """Append the keys of requests to a list. Returns how many requests there are."""
    requests = 0
    for line in lines:
        key = read_key(line, result_key)
        if key is not None:
            asked.append(key_token(key))
        requests += 1
    return requests


def read_lines(path: Path, check: Callable[[], None]) -> Iterator[bytes]:
    """The lines of a gzip file that are not blank, each with the newline that it has."""
    with gzip.open(path, "rb") as lines:
        for number, line in enumerate(lines):
            if number % LINES_BETWEEN_CHECKS == 0:
                check()
            if not is_blank(line.rstrip(b"\n")):
                yield line
