"""Where a job keeps results on their way to the storage, and what is cleared away of jobs that were killed."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from receiver.errors import StorageError
from receiver.settings.settings import Settings
from receiver.storage import Storage
from receiver.storage.cleanup import clear_leftovers
from receiver.storage.errors import explain_os_error

PREFIX = "gbr-"
log = logging.getLogger(__name__)


def _scratch_place(settings: Settings, storage: Storage) -> Path:
    return Path(settings.scratch_dir or storage.scratch_near() or tempfile.gettempdir())


@contextmanager
def open_scratch(settings: Settings, storage: Storage) -> Iterator[Path]:
    """A folder for one attempt, which goes with it. What the disk refuses in it is a StorageError."""
    place = _scratch_place(settings, storage)
    try:
        with tempfile.TemporaryDirectory(
            prefix=PREFIX, dir=place, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)
    except OSError as error:
        what = f"{place} did not hold the results on their way to the storage"
        raise StorageError(
            f"{what}: {explain_os_error(error)}; it is tried again by itself"
        ) from error


def clear_old_scratch(settings: Settings, storage: Storage) -> None:
    """Remove what killed workers left a day ago or earlier; never a reason not to start."""
    places = {_scratch_place(settings, storage): f"{PREFIX}*"}
    if near := storage.scratch_near():
        places[near] = "*"  # the storage's own
    for place, pattern in places.items():
        try:
            cleared = clear_leftovers(place, pattern)
        except OSError as error:
            log.warning(
                "worker.leftovers_kept",
                extra={"folder": str(place), "cause": explain_os_error(error)},
            )
        else:
            if cleared:
                log.info("worker.leftovers_cleared", extra={"folder": str(place), "count": cleared})
