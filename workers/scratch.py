"""Where a job keeps results on their way to the storage."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from receiver.errors import StorageError
from receiver.settings import Settings
from receiver.storage import Storage
from receiver.storage.disk_errors import explain

PREFIX = "gbr-"


def _scratch_place(settings: Settings, storage: Storage) -> Path:
    return Path(settings.scratch_dir or storage.scratch_near() or tempfile.gettempdir())


@contextmanager
def open_scratch(settings: Settings, storage: Storage) -> Iterator[Path]:
    """A folder for one attempt, which goes with it. What the disk refuses in it is a StorageError."""
    place = _scratch_place(settings, storage)
    try:
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=place, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        what = f"{place} did not hold the results on their way to the storage"
        raise StorageError(f"{what}: {explain(error)}; it is tried again by itself") from error
