"""What a job works with: the settings, the clients of its project, and a scratch folder."""

import functools
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from receiver.errors import StorageError
from receiver.gemini.batches import Gemini
from receiver.inbox.ledger import Inbox, Lease
from receiver.outputs.name_codec import Capitals
from receiver.settings.projects import Project
from receiver.settings.settings import Settings, read_settings
from receiver.storage import Storage, open_storage
from receiver.storage.cleanup import clear_leftovers
from receiver.storage.errors import explain_os_error
from workers.job.job_telemetry import JobTelemetry
from workers.job.lease import LeaseKeeper

SCRATCH_PREFIX = "gbr-"
log = logging.getLogger(__name__)


@functools.cache
def current_settings() -> Settings:
    """The environment's settings, read once: child processes inherit them. Raises SettingsError."""
    return read_settings(os.environ)


@dataclass(frozen=True)
class JobContext:
    """What a job works with."""

    settings: Settings
    project: Project  # whose batch it is
    inbox: Inbox
    gemini: Gemini
    storage: Storage
    telemetry: JobTelemetry
    keeper: LeaseKeeper

    @property
    def lease(self) -> Lease:
        return self.keeper.lease

    def check(self) -> None:
        """Call before every write. Raises what `LeaseKeeper.check` raises."""
        self.keeper.check()

    def with_capitals(self, capitals: Capitals) -> "JobContext":
        """The same, with a template whose names hold capitals in this way."""
        template = replace(self.settings.template, capitals=capitals)
        return replace(self, settings=replace(self.settings, template=template))


@contextmanager
def open_context(
    settings: Settings,
    project_name: str,
    telemetry: JobTelemetry,
    inbox: Inbox,
    keeper: LeaseKeeper,
) -> Iterator[JobContext]:
    """Gemini is asked with the key of the project that the batch belongs to.

    Raises UnknownProjectError and StorageError.
    """
    project = settings.project(project_name)
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        storage = open_storage(settings.storage_url)
        yield JobContext(settings, project, inbox, gemini, storage, telemetry, keeper)


@contextmanager
def open_scratch(settings: Settings, storage: Storage) -> Iterator[Path]:
    """A folder for one attempt, removed at its end. Raises StorageError for errors of the disk."""
    place = _scratch_place(settings, storage)
    try:
        with tempfile.TemporaryDirectory(
            prefix=SCRATCH_PREFIX, dir=place, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)
    except OSError as error:
        what = f"{place} did not hold the results on their way to the storage"
        raise StorageError(
            f"{what}: {explain_os_error(error)}; it is tried again by itself"
        ) from error


def _scratch_place(settings: Settings, storage: Storage) -> Path:
    near = storage.scratch_near()  # asked also where SCRATCH_DIR may lie on the same disk
    return Path(settings.scratch_dir or near or tempfile.gettempdir())


def clear_old_scratch(settings: Settings, storage: Storage) -> None:
    """Remove what killed workers left a day ago or earlier; a failure is no reason not to start."""
    places = {_scratch_place(settings, storage): f"{SCRATCH_PREFIX}*"}
    if near := storage.scratch_near():
        places[near] = "*"  # the storage's own
    for place, pattern in places.items():
        about: dict[str, object] = {"folder": str(place)}
        try:
            cleared = clear_leftovers(place, pattern)
        except OSError as error:
            log.warning("worker.leftovers_kept", extra=about | {"cause": explain_os_error(error)})
        else:
            if cleared:
                log.info("worker.leftovers_cleared", extra=about | {"count": cleared})
