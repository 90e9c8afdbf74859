"""An environment of its own for each peer, made once and kept beside the bench's other data."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALL_TIMEOUT_S = 900


class WheelMissingError(Exception):
    """Why a peer can't be installed here."""


def install(folder: Path, steps: Sequence[str], least: tuple[int, int]) -> Path:
    """The interpreter of an environment; each step is the arguments of one `pip install`.

    `least` is the oldest Python that they run on. Raises WheelMissingError.
    """
    interpreter = _find_python(least)
    digest = hashlib.sha256("\n".join([interpreter, *steps]).encode()).hexdigest()[:12]
    place = folder / f"peer-{digest}"
    python = place / "bin" / "python"
    if (place / "installed").exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    _run([interpreter, "-m", "venv", str(place)])
    for step in steps:
        _run([str(python), "-m", "pip", "install", "--quiet", *step.split()])
    (place / "installed").touch()
    return python


def _find_python(least: tuple[int, int]) -> str:
    """This interpreter, or the first newer one that starts."""
    if sys.version_info[:2] >= least:
        return sys.executable
    for minor in range(least[1], least[1] + 4):
        name = f"python{least[0]}.{minor}"
        if (
            shutil.which(name)
            and not subprocess.run([name, "-V"], check=False, capture_output=True).returncode
        ):
            return name
    raise WheelMissingError(f"it needs Python {least[0]}.{least[1]}, which is not on the PATH")


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise WheelMissingError(f"its installation took over {INSTALL_TIMEOUT_S} s") from None
    if done.returncode:
        words = done.stderr.strip() or f"it ended with {done.returncode}"
        raise WheelMissingError(f"pip: {words.splitlines()[-1]}")
