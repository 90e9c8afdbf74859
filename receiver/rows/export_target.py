"""Where workers write the table of a submission at its end: `--export`."""

import importlib.util
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from receiver.errors import ExportError, StorageError
from receiver.rows.readers import ENDINGS, TableFormat, table_format
from receiver.settings.locations import describe_storage
from receiver.storage import open_storage
from receiver.storage.local import local_root, sync_folder

BUCKETS = frozenset({"s3", "gs", "az"})


@dataclass(frozen=True)
class ExportTarget:
    """One object of a bucket, or one file. Make it with `ExportTarget.parse`."""

    url: str  # `s3://bucket/folder/answers.parquet`, or `file:///…`
    form: TableFormat

    @classmethod
    def parse(cls, text: str) -> "ExportTarget":
        """Read a URL or a path, which counts from the working folder. Raises ExportError.

        >>> ExportTarget.parse("s3://bucket/moods.csv")
        ExportTarget(url='s3://bucket/moods.csv', form='csv')
        """
        scheme = urlsplit(text).scheme.lower()
        url = text if scheme in BUCKETS else _file_url(text)
        parts = urlsplit(url)
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ExportError("--export takes a plain address, without a user, `?` or `#`")
        name = PurePosixPath(parts.path)
        form = table_format(Path(name))
        if form is None or not name.stem.strip("."):
            raise ExportError(
                f"--export: {text} names no table: it ends with one of {', '.join(sorted(ENDINGS))}"
            )
        if scheme in BUCKETS and not parts.netloc:
            raise ExportError(
                f"--export: {text} names no bucket: {scheme}://bucket/answers.parquet"
            )
        return cls(url, form)

    def __str__(self) -> str:
        """The address for people."""
        return describe_storage(self.url)

    @property
    def _local(self) -> Path | None:
        return local_root(self.url) if self.url.startswith("file:") else None

    def require_writable(self) -> None:
        """Write and delete a probe beside the target.

        Raises ExportError, also where the package that writes its form is missing.
        """
        if self.form == "parquet" and importlib.util.find_spec("pyarrow") is None:
            raise ExportError(
                "--export: Parquet needs the package pyarrow, also where workers run: pip install"
                " 'gemini-batch-receiver[parquet]', or name a .csv or .jsonl"
            )
        try:
            if (path := self._local) is not None:
                _probe_folder(path)
            else:
                folder, _, name = self.url.rpartition("/")
                storage = open_storage(folder)
                probe = f"{name}.{secrets.token_hex(4)}.probe"
                storage.put_many([(probe, b"probe\n")])
                storage.delete(probe)
        except (StorageError, OSError) as error:
            raise ExportError(f"--export: {self} can't be written: {error}") from error

    def put(self, table: Path) -> None:
        """Put a finished table there, replacing what was there; `table` may be moved.

        Raises StorageError, after which the same call may succeed.
        """
        try:
            if (path := self._local) is not None:
                _replace_file(path, table)
            else:
                folder, _, name = self.url.rpartition("/")
                open_storage(folder).put_files([(name, table)])
        except (StorageError, OSError) as error:
            raise StorageError(f"the export to {self} waits: {error}") from error


def _file_url(text: str) -> str:
    if text.startswith("file:"):
        return local_root(text).absolute().as_uri()
    if "://" in text:
        raise ExportError(f"--export: {text} is none of s3://, gs://, az:// and file:, and no path")
    return Path(text).absolute().as_uri()


def _probe_folder(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}.probe")
    probe.write_bytes(b"probe\n")
    probe.unlink()


def _replace_file(path: Path, table: Path) -> None:
    """Durably; two processes at once do not mix their bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        shutil.copyfile(table, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
