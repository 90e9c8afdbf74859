"""Judges a storm by the storage and by the stand-in's ledger, never by our Redis.

lost: ended at Gemini, told to us, and without a manifest. twice: a manifest that changed after it was first seen.
wrong: bytes that a run without faults does not give. torn: a manifest that named a missing or short object.
"""

import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.sandbox.valkey import running_valkey
from tests.chaos.batches import ledger
from tests.chaos.system import System

POLL_S = 0.02
REST = 4  # times as long as a look takes
MAX_COMPARED = 1000  # batches that are run again without faults
MANIFEST, INDEX, RETRY = "_manifest.json", "_index.jsonl.gz", "_retry.jsonl"


@dataclass
class Verdict:
    """Names of batches, by what is wrong with them."""

    compared: int = 0  # with a clean run
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, int]:
        named = {"lost": self.lost, "twice": self.twice, "wrong": self.wrong, "torn": self.torn}
        return {what: len(names) for what, names in named.items()} | {"compared": self.compared}

    def problems(self) -> list[str]:
        named = {"lost": self.lost, "twice": self.twice, "wrong": self.wrong, "torn": self.torn}
        return [f"{what}: {', '.join(names[:5])}" for what, names in named.items() if names]


def is_torn(root: Path, folder: Path) -> bool:
    """Whether the manifest in the folder is cut, or names an object that is cut or not there."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        return not (_are_whole(root, _records(manifest)) and _holds_outputs(root, folder, manifest))
    except (OSError, EOFError, ValueError, KeyError, zlib.error):
        return True


def _records(manifest: dict[str, Any]) -> list[dict[str, str]]:
    forms = manifest.get("forms") or {}
    found = [manifest["index"], manifest["retry"], *manifest["oversize"], forms.get("index")]
    return [record for record in found if record]


def _are_whole(root: Path, records: list[dict[str, str]]) -> bool:
    return all(
        hashlib.sha256((root / one["name"]).read_bytes()).hexdigest() == one["sha256"]
        for one in records
    )


def _holds_outputs(root: Path, folder: Path, manifest: dict[str, Any]) -> bool:
    """Whether the outputs are as many and as long as the manifest and the index say."""
    if manifest["source"]["kind"] == "none":
        return True
    rows = [json.loads(row) for row in gzip.decompress((folder / INDEX).read_bytes()).splitlines()]
    rows = [row for row in rows if row["object"]]
    sizes = {name: (root / name).stat().st_size for name in {row["object"] for row in rows}}
    outputs = [size for name, size in sizes.items() if not name.endswith("/_errors.jsonl")]
    long_enough = all(row["offset"] + row["length"] <= sizes[row["object"]] for row in rows)
    return long_enough and (len(outputs), sum(outputs)) == (
        manifest["objects"]["count"],
        manifest["objects"]["bytes"],
    )


class Watcher:
    """Reads the storage for the length of a `with`, as a user's program would: the manifest, then what it names."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._first: dict[str, tuple[int, int]] = {}  # folder -> inode and time of its manifest
        self.torn: list[str] = []
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def changed(self) -> list[str]:
        """Folders whose manifest is not the one that was first seen."""
        with self._turn:
            self._look()
            return [
                name
                for name, first in self._first.items()
                if self._identity(self._root / name) != first
            ]

    def _watch(self) -> None:
        pause_s = POLL_S
        while not self._ended.wait(pause_s):
            begun = time.monotonic()
            with self._turn:
                self._look()
            pause_s = max(
                POLL_S, REST * (time.monotonic() - begun)
            )  # leaves the machine to what is watched

    def _look(self) -> None:
        if not self._root.is_dir():
            return
        for name in set(os.listdir(self._root)) - self._first.keys():  # noqa: PTH208 - of ten thousand names, many times
            folder = self._root / name
            if not (identity := self._identity(folder)):
                continue
            self._first[name] = identity
            if is_torn(self._root, folder):
                self.torn.append(name)

    @staticmethod
    def _identity(folder: Path) -> tuple[int, int] | None:
        try:
            status = (folder / MANIFEST).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_ino, status.st_mtime_ns


def clean_outputs(system: System, names: list[str]) -> Path:
    """A folder with what these batches give when nothing goes wrong."""
    folder = system.folder / "clean"
    redis_folder = folder / "valkey"
    redis_folder.mkdir(parents=True)
    outputs = folder / "outputs"
    with running_valkey(redis_folder) as redis_url:
        env = system.environment | {"REDIS_URL": redis_url, "STORAGE_URL": outputs.as_uri()}
        argv = [sys.executable, "-m", "tests.chaos.clean_run"]
        subprocess.run(
            argv, env=env, input=" ".join(names), text=True, check=True, stderr=subprocess.DEVNULL
        )
    return outputs


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def judge(system: System, watcher: Watcher, names: list[str] | None = None) -> Verdict:
    """Compare the storage with the ledger, and as many as MOST_COMPARED with a clean run.

    `names` are the owed batches: all by default.
    """
    owed = names if names is not None else [batch["name"] for batch in ledger(system)["batches"]]
    lost = [
        name
        for name in owed
        if not (system.outputs / name.removeprefix("batches/") / MANIFEST).is_file()
    ]
    stored = sorted(set(owed) - set(lost))
    compared = random.Random(system.seed).sample(stored, min(len(stored), MAX_COMPARED))
    clean = clean_outputs(system, compared)
    wrong = [
        name
        for name in compared
        if not _is_equal(system.outputs, clean, name.removeprefix("batches/"))
    ]
    return Verdict(
        len(compared), lost=lost, twice=watcher.changed(), wrong=wrong, torn=watcher.torn
    )


def _is_equal(one: Path, other: Path, folder: str) -> bool:
    return files_of(one / folder) == files_of(other / folder)
