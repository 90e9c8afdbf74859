"""The folder of `up`: its lock, its Valkey's files, and what other commands need to find both."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from receiver.errors import ServiceError
from receiver.settings.up_file import SOCKET, find_addresses

LEFT_S = 10.0  # how long what a killed `up` had started may take to die
LOOK_EVERY_S = 0.05
MAX_SOCKET_PATH = 103  # bytes, of the 104 that macOS has for it; Linux has 108


@dataclass(frozen=True)
class DataFolder:
    path: Path  # absolute

    @property
    def valkey(self) -> Path:
        """Its append-only file and its socket; nobody else may look into it."""
        return self.socket.parent

    @property
    def socket(self) -> Path:
        return self.path / SOCKET

    @property
    def redis_url(self) -> str:
        return find_addresses(self.path)["REDIS_URL"]

    @property
    def storage_url(self) -> str:
        return find_addresses(self.path)["STORAGE_URL"]

    def create(self) -> None:
        """Raises ServiceError where it can't be used."""
        self._require_fit_path()
        with _explain_os_errors(f"the data folder {self.path}"):
            self.path.mkdir(parents=True, exist_ok=True)
            self.valkey.mkdir(mode=0o700, exist_ok=True)
            self.valkey.chmod(0o700)

    def _require_fit_path(self) -> None:
        path = os.fsencode(self.socket)
        if len(path) > MAX_SOCKET_PATH:
            raise ServiceError(
                f"{self.path} is too long a path for a socket in it: name a folder with --data"
                f" whose path has at most {MAX_SOCKET_PATH - len(f'/{SOCKET}')} bytes",
            )
        try:
            path.decode()
        except UnicodeDecodeError as error:  # redis-py would look for another one
            raise ServiceError(
                f"the path {str(self.path)!a} is not UTF-8: name another folder with --data",
            ) from error

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the folder for one `up`. Gives a descriptor that the programs it starts inherit.

        The lock is held until the last of them has ended, so that a second start never meets the
        leftovers of a killed one. Raises ServiceError when another `up` has it, and where there can
        be no lock.
        """
        file = self.path / "up.lock"
        with _explain_os_errors(f"the lock {file}"):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with _explain_os_errors(f"the lock {file}"):
                _wait_for_lock(descriptor, self.path)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _explain_os_errors(what: str) -> Iterator[None]:
    """Raise OSError as ServiceError: "<what> can't be used: …"."""
    try:
        yield
    except OSError as error:
        hint = "name another folder with --data"
        raise ServiceError(f"{what} can't be used: {error.strerror}; {hint}") from error


def _wait_for_lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LEFT_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder = os.pread(descriptor, 20, 0).decode(errors="replace")
        if holder.isdecimal() and _is_alive(int(holder)):
            raise ServiceError(
                f"the `up` with process id {holder} uses {path} already: end it first, or give"
                " this one another folder with --data",
            )
        if time.monotonic() > deadline:
            raise ServiceError(
                f"what a killed `up` had started still runs in {path}: end its `serve`, `worker`"
                " and valkey-server processes, and start again",
            )
        time.sleep(LOOK_EVERY_S)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
