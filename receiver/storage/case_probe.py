"""Whether a folder tells names apart that differ by case only: on macOS and Windows few do."""

import secrets
from pathlib import Path

PREFIX = "case-"


def tells_case_apart(folder: Path) -> bool:
    """Make two such names in `folder`, which holds temporary files. Raises OSError.

    What a killed process leaves goes with the folder's other temporary files.
    """
    token = secrets.token_hex(8)
    lower, upper = folder / f"{PREFIX}{token}-name", folder / f"{PREFIX}{token}-NAME"
    lower.touch(exist_ok=False)
    try:
        upper.touch(exist_ok=False)
    except FileExistsError:
        return False
    else:
        return not upper.samefile(lower)
    finally:
        # Not a TemporaryDirectory: to empty a folder takes a file descriptor, and there may be none.
        upper.unlink(missing_ok=True)
        lower.unlink(missing_ok=True)
