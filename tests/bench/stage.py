"""Where the subjects run: a source of results on loopback, a Valkey, and fresh folders."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from deploy.sandbox.valkey import running_valkey
from tests.bench.figures import ROOT, RunFailedError
from tests.bench.generator import KEY_PATTERN, Results
from tests.running import CLIENT, HEADERS, ready_batch, running_sandbox

BY_GROUP = "{batch}/{group}.jsonl"
BY_KEY = "{batch}/{key}.json"


@dataclass
class Stage:
    data: Path  # generated files and built programs, kept from run to run
    folder: Path  # of this run; goes with it
    gemini_url: str
    redis_url: str
    _numbers: Iterator[int] = field(default_factory=count)

    def fresh_folder(self) -> Path:
        folder = self.folder / f"run-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def clear(self, folder: Path) -> None:
        """Remove what a run left, and flush the disk, so that no run pays for the one before."""
        shutil.rmtree(folder)
        os.sync()

    def serve(self, results: Results) -> str:
        """A new batch with these results. Gives its name."""
        about = {"result_path": str(results.path), "request_count": results.requests}
        readable = results.requests - results.outcomes.get(
            "malformed", 0
        )  # fewer than said would be asked for again
        return ready_batch(self.gemini_url, **about, successful_count=readable, notify=False)

    def result_file(self, batch: str) -> str:
        """The `files/…` that holds a batch's results."""
        answer = CLIENT.get(f"{self.gemini_url}/v1beta/{batch}", headers=HEADERS).raise_for_status()
        name: str = answer.json()["metadata"]["output"]["responsesFile"]
        return name

    def download_url(self, batch: str) -> str:
        """Of the file that holds a batch's results."""
        return f"{self.gemini_url}/v1beta/{self.result_file(batch)}:download?alt=media"

    def settings(self, outputs: Path, template: str) -> dict[str, str]:
        """What our worker runs with."""
        settings = {
            "GEMINI_API_KEY": HEADERS["x-goog-api-key"],
            "GEMINI_BASE_URL": self.gemini_url,
            "REDIS_URL": self.redis_url,
            "STORAGE_URL": outputs.as_uri(),
            "OUTPUT_TEMPLATE": template,
            "LOG_LEVEL": "WARNING",
        }
        return settings | ({"KEY_PATTERN": KEY_PATTERN} if template == BY_GROUP else {})

    def owe(self, batch: str, settings: dict[str, str]) -> None:
        """Put the batch into the inbox, as a replay does."""
        argv = [sys.executable, "-m", "workers", "replay", "--batch", batch]
        env = {**os.environ, **settings}
        done = subprocess.run(
            argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RunFailedError(f"replay ended with {done.returncode}: {done.stderr[-2000:]}")


@contextmanager
def open_stage(data: Path) -> Iterator[Stage]:
    """Start the source and Valkey; what is in `data` stays, everything else goes at the end."""
    data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=data)))
        redis_url = stack.enter_context(running_valkey(folder))
        yield Stage(data, folder, stack.enter_context(running_sandbox(folder)), redis_url)
