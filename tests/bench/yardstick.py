"""Builds the C++ yardstick where a compiler and its libraries are at hand."""

import hashlib
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("ways") / "yardstick.cpp"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-DNDEBUG")
LIBRARIES = ("-lsimdjson", "-lcrypto", "-lz")
BUILD_TIMEOUT_S = 120


class YardstickMissingError(Exception):
    """Why there is no yardstick here."""


def build_yardstick(folder: Path) -> Path:
    """The program, built in `folder` unless it is there. Raises YardstickMissingError."""
    program = folder / f"yardstick-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    if program.exists():
        return program
    if shutil.which("g++") is None:
        raise YardstickMissingError("g++ is not installed")
    partial = program.with_suffix(".partial")
    argv = ["g++", *FLAGS, str(SOURCE), "-o", str(partial), *LIBRARIES]
    built = subprocess.run(
        argv, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    if built.returncode:
        needed = "libsimdjson-dev, libssl-dev and zlib1g-dev are needed"
        raise YardstickMissingError(
            f"it does not build here ({needed}): {built.stderr.strip().splitlines()[0]}"
        )
    partial.replace(program)
    return program
