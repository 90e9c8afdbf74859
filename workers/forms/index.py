"""`_forms.jsonl.gz`: every object of a form with its sha256, and every answer that could not take a form.

Its bytes depend on the rows alone, as those of the index.
"""

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

from receiver.outputs.forms import Form
from workers.store.digests import file_sha256
from workers.store.records import encode_row

LEVEL = 1  # as that of the index
ERROR_CHARACTERS = 300
LEFT_OUT = "left_out"  # in place of a form: what no form that was asked for holds


class FormsIndex:
    """Writes rows to a gzip file; `finish` or `close` ends it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._gzip = gzip.GzipFile(
            filename="", mode="wb", compresslevel=LEVEL, fileobj=self._file, mtime=0
        )
        self.objects: Counter[str] = Counter()  # by form
        self.failed: Counter[str] = Counter()  # by form
        self.size_bytes = 0  # of all objects

    def add_object(  # noqa: PLR0913 - the fields of a row
        self,
        form: Form,
        name: str,
        size: int,
        sha256: str,
        *,
        line: int | None = None,
        key: str | None = None,
        mime_type: str | None = None,
    ) -> None:
        """An object; `line` and `key` where it holds one answer alone, `mime_type` as the line says it."""
        self.objects[form] += 1
        self.size_bytes += size
        row = {
            "form": form,
            "line": line,
            "key": key,
            "object": name,
            "bytes": size,
            "sha256": sha256,
        }
        self._write(row if mime_type is None else row | {"mime_type": mime_type})

    def add_failure(self, form: str, line: int, key: str | None, error: str) -> None:
        """An answer that is kept raw only, or that part of it, and why; `form` may be LEFT_OUT."""
        self.failed[form] += 1
        self._write(
            {
                "form": form,
                "line": line,
                "key": key,
                "object": None,
                "error": error[:ERROR_CHARACTERS],
            }
        )

    def _write(self, row: dict[str, Any]) -> None:
        self._gzip.write(encode_row(row) + b"\n")

    def finish(self) -> str:
        """Complete the file. Gives its sha256 in hex."""
        self._gzip.close()
        self.close()
        return file_sha256(self.path)

    def close(self) -> None:
        self._file.close()
