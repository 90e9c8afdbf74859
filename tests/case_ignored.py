"""A folder that takes `Key` and `key` for one name: NTFS as Windows reads it, in a file."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import require

IMAGE_BYTES = 16 * 1024 * 1024


def _mount(image: Path, folder: Path, *options: str) -> None:
    argv = ["lowntfs-3g", str(image), str(folder), "-o", ",".join(("ignore_case", *options))]
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    if said.returncode:
        pytest.skip(f"no file system can be mounted here: {said.stderr[-300:]}")


@contextmanager
def folder_that_ignores_case(below: Path) -> Iterator[Path]:
    """Skips where no file system can be mounted: it takes root and /dev/fuse."""
    for program in ("mkntfs", "lowntfs-3g"):
        require(program, "ntfs-3g")
    image, folder = below / "ntfs", below / "ignoring"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    folder.mkdir()
    subprocess.run(
        ["mkntfs", "-F", "-Q", "-q", str(image)], capture_output=True, check=True, timeout=30
    )
    _mount(image, folder)
    try:
        yield folder
    finally:
        # Lazily: a storage that has written keeps the folder open until it is collected.
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=30)


@contextmanager
def made_read_only(folder: Path) -> Iterator[None]:
    """Such a folder, mounted for reading for the time being."""
    image = folder.parent / "ntfs"
    subprocess.run(["umount", str(folder)], check=True, timeout=30)
    _mount(image, folder, "ro")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)
        _mount(image, folder)
