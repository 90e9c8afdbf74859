"""Where the forms gather on their way to the storage: bounded, whole, and each with its row in the forms' index."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from receiver.outputs.forms import Form
from receiver.storage import Storage
from workers.forms.index import FormsIndex
from workers.forms.media import Decoded
from workers.store.sinks import FILE_BATCH_SIZE, GroupSink

OBJECT_BATCH_SIZE = 512
BATCH_BYTES = 16 * 1024 * 1024
BUFFERS_BYTES = 8 * 1024 * 1024
FILES_BYTES = 256 * 1024 * 1024  # on the scratch disk


class FormOutputs:
    """Takes objects, rows of shared objects, and files; all are in the storage once `close` returns."""

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
        """An object of one answer."""
        self.index.add_object(
            form, name, len(data), hashlib.sha256(data).hexdigest(), line=line, key=key
        )
        self._waiting.append((name, data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= BATCH_BYTES or len(self._waiting) >= OBJECT_BATCH_SIZE:
            self._flush()

    def put_row(self, form: Form, name: str, row: bytes) -> None:
        """A row, without its newline, of an object that many answers share."""
        self._groups.write(name, row)
        if name not in self._digests:
            self._digests[name] = _Digest(form)
        self._digests[name].add(row)

    def put_file(  # noqa: PLR0913, PLR0917 - a row of the index, and where its bytes are
        self, form: Form, name: str, path: Path, decoded: Decoded, line: int | None, key: str | None
    ) -> None:
        """An object that is in a scratch file, which is moved away."""
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
        """Write what has gathered, and the index's rows of the shared objects."""
        self._flush()
        self._groups.close()
        for name, digest in self._digests.items():
            self.index.add_object(digest.form, name, digest.size_bytes, digest.sha256)


class _Digest:
    """Of an object under way."""

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
