"""`up.env` of a data folder: which addresses in the folder other commands use.

It holds no path: a copied or moved folder leads to what is in it, never to the original.
"""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from receiver.settings.env_files import parse_env, put_value, read_env_file, write_env_file

UP_FILE = "up.env"
USED = "USED_ADDRESSES"
HEADING = b"# Written by `up` at every start: which addresses in this folder other commands use.\n"
SOCKET = Path("valkey", "valkey.sock")
OUTPUTS = "outputs"


def find_addresses(folder: Path) -> dict[str, str]:
    """REDIS_URL of the Valkey in a folder (an absolute path) and STORAGE_URL of its outputs."""
    return {
        "REDIS_URL": f"unix://{quote(bytes(folder / SOCKET))}",
        "STORAGE_URL": (folder / OUTPUTS).as_uri(),
    }


def write_up_file(folder: Path, used: Iterable[str]) -> None:
    """Write down which of these variables lead into the folder. Raises EnvFileError."""
    write_env_file(folder / UP_FILE, put_value(HEADING, USED, ",".join(used)))


def read_up_file(folder: Path) -> dict[str, str]:
    """The addresses that the last `up` there used, if any. Raises EnvFileError.

    The path of the folder is absolute.
    """
    file = folder / UP_FILE
    used = parse_env(read_env_file(file), file).get(USED, "").split(",")
    return {name: url for name, url in find_addresses(folder).items() if name in used}
