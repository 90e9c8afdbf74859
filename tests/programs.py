"""Programs that are no Python packages."""

import os
import shutil

import pytest


def require(program: str) -> None:
    """Skip without it here; in CI, which installs it, fail."""
    if shutil.which(program) is None:
        explain = pytest.fail if os.environ.get("CI") else pytest.skip
        explain(f"{program} is missing: apt-get install {program}")
