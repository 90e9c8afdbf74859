"""What `batches cancel` and `batches delete` do at the stand-in of Gemini, and what they leave."""

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.storage import LocalStorage
from tests.receiver.records import put_manifest
from tests.running import CLIENT, HEADERS, ready_batch, submit_file, submit_inline
from tests.waiting import eventually

REQUEST = b'{"key": "k", "request": {"contents": [{"parts": [{"text": "Hello"}]}]}}\n'
NOTE = "result files can't be deleted: Gemini deletes them itself, and does not say when\n"


@dataclass(frozen=True)
class Place:
    url: str
    storage: LocalStorage

    @property
    def environ(self) -> dict[str, str]:
        urls = {"GEMINI_BASE_URL": self.url, "STORAGE_URL": self.storage.root.as_uri()}
        return {"GEMINI_API_KEY": "right-key", "REDIS_URL": "redis://127.0.0.1:9/0"} | urls

    def run(self, *args: str) -> Result:
        return CliRunner().invoke(main, ["batches", *args], env=self.environ)

    def ask(self, name: str) -> httpx.Response:
        return CLIENT.get(f"{self.url}/v1beta/{name}", headers=HEADERS)

    def state_of(self, batch: str) -> str:
        state: str = self.ask(batch).json()["metadata"]["state"]
        return state.removeprefix("BATCH_STATE_")

    def stored_batch(self) -> tuple[str, str]:
        """A batch of a file that has ended and is stored. Gives its name and its input's."""
        batch = submit_file(self.url, REQUEST)
        eventually(lambda: self.state_of(batch) == "SUCCEEDED", 20)
        put_manifest(self.storage, batch)
        return batch, self.input_of(batch)

    def input_of(self, batch: str) -> str:
        name: str = self.ask(batch).json()["metadata"]["inputConfig"]["fileName"]
        return name


@pytest.fixture
def place(sandbox_url: str, tmp_path: Path) -> Place:
    return Place(sandbox_url, LocalStorage(tmp_path))


def test_running_batch_is_cancelled(place: Place) -> None:
    batch = submit_inline(place.url, {"k": "Hello"}, "[stuck]")
    result = place.run("cancel", batch)
    assert (result.exit_code, result.stdout) == (0, f"{batch}: cancelled\n")
    again = json.loads(place.run("cancel", batch, "--json").stdout)
    assert again == [
        {
            "batch": batch,
            "stopped": True,
            "state": "CANCELLED",
            "said": "it had ended already: CANCELLED",
        }
    ]


def test_batch_that_has_ended_is_not_cancelled(place: Place) -> None:
    ended, runs = (
        ready_batch(place.url, request_count=1),
        submit_inline(place.url, {"k": "Hello"}, "[stuck]"),
    )
    result = place.run("cancel", "nosuchbatch", ended, runs)
    assert (result.exit_code, result.stdout) == (1, f"{runs}: cancelled\n")
    assert f"{ended}: it had ended already: SUCCEEDED\n" in result.stderr
    assert "batches/nosuchbatch: Gemini knows no batches/nosuchbatch" in result.stderr


def test_stored_batch_is_deleted_with_its_input(place: Place) -> None:
    batch, file = place.stored_batch()
    result = place.run("delete", batch, "--yes")
    assert (result.exit_code, result.stdout) == (
        0,
        f"{batch}: deleted, with its input {file} ({len(REQUEST)} bytes)\n",
    )
    assert result.stderr == NOTE
    assert (place.ask(batch).status_code, place.ask(file).status_code) == (404, 403)
    assert place.run("delete", batch, "--yes").stdout == f"{batch}: it was deleted before\n"


def test_batch_that_is_not_stored_stays(place: Place) -> None:
    batch = ready_batch(place.url, request_count=1)
    result = place.run("delete", batch, "--yes", "--force")
    assert (result.exit_code, result.stderr) == (1, f"{batch}: not deleted: it is not stored\n")
    assert place.ask(batch).is_success


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"balanced": False},
            "its counts don't add up: look at `batches show`, or delete it with --force",
        ),
        ({"balanced": None}, "nobody knows how many requests there were"),
    ],
)
def test_unbalanced_batch_needs_force(place: Place, fields: dict[str, object], reason: str) -> None:
    batch = ready_batch(place.url, request_count=1)
    put_manifest(place.storage, batch, **fields)
    (refused,) = json.loads(place.run("delete", batch, "--yes", "--json").stdout)
    assert (refused["deleted"], reason in refused["said"]) == (False, True)
    assert place.run("delete", batch, "--yes", "--force").stdout == f"{batch}: deleted\n"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"batch": "batches/other"}, "its manifest is that of batches/other"),
        (
            {"index": {"name": "x/_index.jsonl.gz", "sha256": ""}},
            "x/_index.jsonl.gz is not in the storage",
        ),
        ({"outcomes": 7}, "its manifest can't be read"),
    ],
)
def test_broken_record_lets_nothing_go(
    place: Place, fields: dict[str, object], reason: str
) -> None:
    batch = ready_batch(place.url, request_count=1)
    put_manifest(place.storage, "batches/" + batch.removeprefix("batches/"))
    name = f"{batch.removeprefix('batches/')}/_manifest.json"
    data = json.loads(place.storage.read(name) or b"")
    place.storage.put_many([(name, json.dumps(data | fields).encode())])
    result = place.run("delete", batch, "--yes", "--force")
    assert (result.exit_code, reason in result.stderr) == (1, True)
    assert place.ask(batch).is_success


def test_running_batch_stays(place: Place) -> None:
    batch = submit_inline(place.url, {"k": "Hello"}, "[stuck]")
    put_manifest(place.storage, batch)
    result = place.run("delete", batch, "--yes")
    assert (result.exit_code, f"`batches cancel {batch}` stops it first" in result.stderr) == (
        1,
        True,
    )


def test_input_that_is_needed_stays(place: Place) -> None:
    batch, file = place.stored_batch()
    source = {"displayName": "[stuck]", "inputConfig": {"fileName": file}}
    url = f"{place.url}/v1beta/models/gemini-3.5-flash:batchGenerateContent"
    other = (
        CLIENT.post(url, json={"batch": source}, headers=HEADERS).raise_for_status().json()["name"]
    )
    result = place.run("delete", batch, "--yes")
    assert result.stdout == f"{batch}: deleted; its input stays: {other} still needs {file}\n"
    assert place.ask(file).is_success


def test_input_that_has_expired_is_no_hindrance(place: Place) -> None:
    batch, file = place.stored_batch()
    CLIENT.delete(f"{place.url}/v1beta/{file}", headers=HEADERS).raise_for_status()
    result = place.run("delete", batch, "--yes")
    assert (result.exit_code, result.stdout) == (0, f"{batch}: deleted\n")


def test_pipe_needs_a_yes(place: Place) -> None:
    batch, file = place.stored_batch()
    result = place.run("delete", batch)
    assert (
        result.exit_code,
        "this would delete 1 batch and 1 input file at" in result.stderr,
    ) == (2, True)
    assert place.ask(file).is_success


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1)])
def test_person_is_asked(place: Place, answer: bytes, code: int) -> None:
    batch = ready_batch(place.url, request_count=1)
    put_manifest(place.storage, batch)
    leader, follower = pty.openpty()
    os.write(leader, answer)
    argv = [sys.executable, "-m", "workers", "batches", "delete", batch]
    done = subprocess.run(
        argv,
        stdin=follower,
        capture_output=True,
        env=os.environ | place.environ,
        timeout=30,
        check=False,
    )
    os.close(leader)
    os.close(follower)
    assert b"Delete 1 batch and 0 input files at Gemini? [y/N]" in done.stderr
    assert (done.returncode, place.ask(batch).is_success) == (code, bool(code))
