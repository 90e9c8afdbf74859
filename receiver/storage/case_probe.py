"""Whether a folder tells names apart that differ by case only: on macOS and Windows few do."""

import tempfile
from pathlib import Path

PREFIX = "case-"


def tells_case_apart(folder: Path) -> bool:
    """Make two such names in a temporary folder below `folder`. Raises OSError.

    What a killed process leaves goes with the storage's other temporary files.
    """
    with tempfile.TemporaryDirectory(
        prefix=PREFIX, dir=folder, ignore_cleanup_errors=True
    ) as place:
        lower, upper = Path(place) / "name", Path(place) / "NAME"
        lower.touch()
        try:
            upper.touch(exist_ok=False)
        except FileExistsError:
            return False
        return sorted(Path(place).iterdir()) == [upper, lower]
