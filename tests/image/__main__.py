"""`python -m tests.image`: build both images and run the compose files' services."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.image.bases import build_ours, build_valkey, import_python, make_root
from tests.image.engine import REMEDY, missing, running_engine
from tests.image.scenario import Stack, run


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is None:
        with tempfile.TemporaryDirectory(prefix="image-") as made:
            yield Path(made)
    else:
        data.mkdir(parents=True, exist_ok=True)
        yield data


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.image", description=__doc__)
    parser.add_argument("--data", type=Path, help="keep the Debian root and the engine's images")
    options = parser.parse_args()
    if (lacking := missing()) or os.getuid() != 0:
        sys.stdout.write(
            f"missing: {', '.join(lacking) or 'the rights of root'}. Install them: {REMEDY}\n"
        )
        return 2
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:5.0f} s  {text}\n")
        sys.stdout.flush()

    with _folder(options.data) as folder:
        root = make_root(folder)
        say("Debian with Python and the wheels")
        with running_engine(folder) as engine, tempfile.TemporaryDirectory() as secrets:
            import_python(engine, root)
            build_ours(engine)
            build_valkey(engine, folder)
            say("images built")
            Path(secrets).chmod(0o711)
            for line in run(Stack(engine, Path(secrets))):
                say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
