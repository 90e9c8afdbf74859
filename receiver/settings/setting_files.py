"""Files that settings name."""

from pathlib import Path

MAX_BYTES = 1024 * 1024


def read_setting_file(name: str) -> bytes:
    """The whole of a file of at most 1 MiB. Raises ValueError."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ValueError("expected the name of a JSON file; this one can't be read") from error
    if len(data) > MAX_BYTES:
        raise ValueError(f"the file is longer than {MAX_BYTES} bytes")
    return data
