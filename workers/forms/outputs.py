"""Where the forms of answers gather on their way to the storage, in bounded memory.

Each object has a row in the index of the forms.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from receiver.outputs.forms import Form
from receiver.storage import Storage
from workers.forms.media import Decoded
from workers.store.records import GzipWriter, encode_row
from workers.store.sinks import FILE_BATCH_SIZE, GroupSink

OBJECT_BATCH_SIZE = 512
BATCH_BYTES = 16 * 1024 * 1024
BUFFERS_BYTES = 8 * 1024 * 1024
FILES_BYTES = 256 * 1024 * 1024  # on the scratch disk
ERROR_CHARACTERS = 300
LEFT_OUT = "left_out"  # in place of a form: what no form that was asked for holds


class FormsIndex:
    """`_forms.jsonl.gz`: a row per object of a form, and per answer that could not take a form.

    End it with `finish` or `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = GzipWriter(path)
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
        """Add an object; `line` and `key` where it holds one answer alone.

        `mime_type` is what the line says.
        """
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
        """Add an answer, or a part of one, that is kept raw only; `form` may be LEFT_OUT."""
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
        self._file.write(encode_row(row) + b"\n")

    def finish(self) -> str:
        """Complete the file. Returns its sha256 in hex."""
        return self._file.finish()

    def close(self) -> None:
        self._file.close()


class FormOutputs:
    """Takes objects, rows of shared objects, and files; `close` returns once all are stored."""

    def __init__(
        self, storage: Storage, check: Callable[[], None], scratch: Path, index: FormsIndex
    ) -> None:
        self.index = index
        self._storage, self._check = storage, check
        self._groups = GroupSink(storage, check, scratch, BUFFERS_BYTES)
        self._digests: dict[str, _Digest] = {}
        self._waiting: list[tuple[str, bytes]] = []
        self._waiting_bytes = 0
        self._files: list[tuple[str, Path]] = []
        self._files_bytes = 0

    def put(self, form: Form, name: str, data: bytes, line: int, key: str | None) -> None:
        """Add an object of one answer."""
        self.index.add_object(
            form, name, len(data), hashlib.sha256(data).hexdigest(), line=line, key=key
        )
        self._waiting.append((name, data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= BATCH_BYTES or len(self._waiting) >= OBJECT_BATCH_SIZE:
            self._flush()

    def put_row(self, form: Form, name: str, row: bytes) -> None:
        """Add a row, without its newline, to an object that many answers share."""
        self._groups.write(name, row)
        if name not in self._digests:
            self._digests[name] = _Digest(form)
        self._digests[name].add(row)

    def put_file(  # noqa: PLR0913, PLR0917 - a row of the index, and where its bytes are
        self, form: Form, name: str, path: Path, decoded: Decoded, line: int | None, key: str | None
    ) -> None:
        """Add an object that is in a scratch file, which is moved away."""
        self.index.add_object(
            form,
            name,
            decoded.size_bytes,
            decoded.sha256,
            line=line,
            key=key,
            mime_type=decoded.mime_type,
        )
        self._files.append((name, path))
        self._files_bytes += decoded.size_bytes
        if len(self._files) >= FILE_BATCH_SIZE or self._files_bytes >= FILES_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._check()
        self._storage.put_many(self._waiting)
        if self._files:
            self._storage.put_files(self._files)
            for _, path in self._files:
                path.unlink(missing_ok=True)  # an upload leaves it, a rename does not
        self._waiting, self._waiting_bytes = [], 0
        self._files, self._files_bytes = [], 0

    def close(self) -> None:
        """Write what has gathered, and the rows of the shared objects in the index."""
        self._flush()
        self._groups.close()
        for name, digest in self._digests.items():
            self.index.add_object(digest.form, name, digest.size_bytes, digest.sha256)


class _Digest:
    """Size and sha256 of a shared object that is not complete yet."""

    __slots__ = ("_hash", "form", "size_bytes")

    def __init__(self, form: Form) -> None:
        self.form: Form = form
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def add(self, row: bytes) -> None:
        self._hash.update(row)
        self._hash.update(b"\n")
        self.size_bytes += len(row) + 1

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
