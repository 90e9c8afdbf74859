"""Runs one of our commands and notes which of our files a delivery runs through.

`python -m tests.called_files NOTES serve` writes to NOTES each file of `receiver/` and `workers/`
that has a function that runs from the first POST on; with `worker`, from the beginning of a job to
its end. Only the main thread counts: what runs beside it, such as the lease's renewal, is no step
of a delivery.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from receiver.cli import main

ROOT = f"{Path(__file__).parent.parent}/"
OURS = (f"{ROOT}receiver/", f"{ROOT}workers/")
POST = (f"{ROOT}receiver/web/webhook_endpoint.py", "__call__")
JOB = (f"{ROOT}workers/process.py", "process_batch")


def note_files(notes: Path) -> Callable[[FrameType, str, object], None]:
    """A function for `sys.setprofile`; a child process inherits it with the fork."""
    seen = set[str]()
    is_on = False

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal is_on
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        if event == "call" and (path, name) in {POST, JOB}:
            is_on = True
        elif event == "return" and (path, name) == JOB:
            is_on = False
        if is_on and event == "call" and path not in seen and path.startswith(OURS):
            seen.add(path)
            with notes.open("a") as file:
                file.write(path.removeprefix(ROOT) + "\n")

    return profile


if __name__ == "__main__":
    sys.setprofile(note_files(Path(sys.argv[1])))
    main(sys.argv[2:], prog_name="gemini-batch-receiver")
