"""How batches are named on the command line, and completed by a shell."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from receiver.storage import LocalStorage
from receiver.submissions.records import Created, Round, SubmissionRecords, list_submissions
from receiver.submissions.submission import Part, Submission, SubmissionSpec
from tests.receiver.inbox.test_queries import fill
from tests.receiver.listing import Listing, serving
from tests.receiver.records import put_manifest

VARIABLE = "_GEMINI_BATCH_RECEIVER_COMPLETE"


def ask(instruction: str, **more: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {VARIABLE: instruction} | more
    argv = [sys.executable, "-m", "workers"]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)


def complete(words: str, **more: str) -> list[str]:
    number = str(len(words.split()) - 1)
    answer = ask("zsh_complete", COMP_WORDS=words, COMP_CWORD=number, **more).stdout.splitlines()
    return answer[1::3]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_printed(shell: str) -> None:
    script = ask(f"{shell}_source")
    assert script.returncode == 0, script.stderr
    assert f"{VARIABLE}={shell}_complete" in script.stdout
    assert "gemini-batch-receiver" in script.stdout


def test_commands_and_options_are_completed() -> None:
    assert complete("gemini-batch-receiver batches wa") == ["watch"]
    assert complete("gemini-batch-receiver batches watch --un") == ["--until"]


def test_batches_come_from_the_inbox(redis_url: str) -> None:
    with connect(redis_url) as client:
        fill(client)
        Inbox(client).accept([Arrival("acme/batches/done", "batch.succeeded", "static")])
    settings = {"GEMINI_API_KEY": "k", "REDIS_URL": redis_url}
    assert complete("gemini-batch-receiver batches show do", **settings) == ["done"]
    assert complete("gemini-batch-receiver batches show batches/bu", **settings) == [
        "batches/buried"
    ]
    assert complete("gemini-batch-receiver batches cancel done acme/", **settings) == [
        "acme/batches/done"
    ]


@pytest.mark.parametrize(
    "settings", [{}, {"GEMINI_API_KEY": "k", "REDIS_URL": "redis://127.0.0.1:9/0"}]
)
def test_nothing_is_offered_without_an_inbox(settings: dict[str, str]) -> None:
    asked = ask(
        "zsh_complete",
        COMP_WORDS="gemini-batch-receiver batches show d",
        COMP_CWORD="3",
        **settings,
    )
    assert (asked.returncode, asked.stdout.strip(), asked.stderr) == (0, "", "")


NIGHT = "the night run"


@dataclass(frozen=True)
class Place:
    listing: Listing
    storage: LocalStorage
    inbox: Inbox
    environ: dict[str, str]

    def run(self, *args: str, **more: str) -> Result:
        return CliRunner().invoke(main, args, env=self.environ | more)

    def store(self, batch_id: str, display_name: str) -> None:
        """Put a batch into the inbox, and its manifest into the storage."""
        name = f"batches/{batch_id}"
        self.inbox.accept([Arrival(name, "batch.succeeded", "static")])
        lease = self.inbox.claim(name)
        assert lease is not None
        self.inbox.finish(lease, Summary(display_name=display_name, outcomes={"ok": 2}))
        put_manifest(self.storage, name, outcomes={"ok": 2}, display_name=display_name)

    def submit(self, *batch_ids: str, display_name: str, project: str = "") -> None:
        """Record a submission that became these batches."""
        parts = tuple(Part(number, 1, 0, 2, 1) for number in range(1, len(batch_ids) + 1))
        spec = SubmissionSpec(
            project=project,
            model="gemini-3.8-flash",
            kind="generate",
            inline=False,
            display_name=display_name,
            is_named=True,
            webhook=None,
            metadata={},
            retry_of=None,
            sha256="ab",
        )
        records = SubmissionRecords(self.storage, spec.id)
        records.settle_plan(
            Submission(id=spec.id, spec=spec, file="requests.jsonl", requests=1, parts=parts)
        )
        for part, batch_id in zip(parts, batch_ids, strict=True):
            records.write_created(part, Created(f"batches/{batch_id}"))

    def add(self, batch_id: str, display_name: str, state: str = "RUNNING") -> None:
        """Add a batch that Gemini lists, and nobody else knows."""
        name = self.listing.add(batch_id, state)
        self.listing.operations[name]["metadata"]["displayName"] = display_name


@pytest.fixture
def place(tmp_path: Path, redis_url: str) -> Iterator[Place]:
    listing = Listing()
    with serving(listing) as url, connect(redis_url) as client:
        environ = {
            "GEMINI_API_KEY": "k",
            "GEMINI_API_KEY__ACME": "k2",
            "GEMINI_BASE_URL": url,
            "STORAGE_URL": tmp_path.as_uri(),
            "REDIS_URL": redis_url,
        }
        yield Place(listing, LocalStorage(tmp_path), Inbox(client), environ)


def test_name_of_a_stored_batch_is_its_batch(place: Place) -> None:
    place.store("a", NIGHT)
    place.store("b", "another run")
    assert "batch     batches/a" in place.run("batches", "show", NIGHT).stdout
    assert "batch     batches/a" in place.run("inbox", "show", NIGHT).stdout
    assert place.run("batches", "watch", NIGHT).exit_code == 0
    assert place.run("inbox", "purge", NIGHT, "a", "--yes").stdout == "1 of 1 purged\n"


def test_name_of_a_submitted_batch_is_its_batch(place: Place) -> None:
    """No worker has seen it."""
    place.submit("a", display_name=NIGHT, project="acme")
    shown = place.run("batches", "show", NIGHT).stderr
    assert shown.startswith("Error: acme/batches/a is not stored: ")
    other = place.run("batches", "show", NIGHT, REDIS_URL="redis://127.0.0.1:9/0").stderr
    assert other.startswith("Error: acme/batches/a is not stored: ")
    elsewhere = place.run("batches", "errors", NIGHT, "--project", "default").stderr
    assert f"no batch here is called {NIGHT}" in elsewhere


def test_name_of_several_batches_is_none(place: Place) -> None:
    place.store("a", NIGHT)
    place.submit("b", "c", display_name=NIGHT)
    result = place.run("inbox", "bury", NIGHT)
    assert result.exit_code == 2
    assert f"3 batches are called {NIGHT}: give the id of one, a, b, c" in result.stderr
    assert "batches/c" in place.run("batches", "show", f"{NIGHT} 2 of 2").stderr


def test_batch_of_a_round_has_a_name(place: Place) -> None:
    place.submit("a", display_name=NIGHT)
    (plan,) = list_submissions(place.storage)
    records, part = SubmissionRecords(place.storage, plan.id), Part(2, 0, 0, 2, 1, round=1)
    records.record_round(Round(1, is_rescue=False, parts=(part,)))
    records.write_created(part, Created("batches/b"))
    assert "batches/b is not stored" in place.run("batches", "show", plan.name_of(part)).stderr


def test_id_is_no_name(place: Place) -> None:
    """A batch of this id wins over another one of this name."""
    place.store("a", "b")
    place.store("b", NIGHT)
    assert "batch     batches/b" in place.run("batches", "show", "b").stdout
    place.add("c", NIGHT)
    place.store("d", "c")
    assert place.run("batches", "watch", "c", "--timeout", "0").stdout.split()[1] == "batches/c"
    assert "batch     batches/d" in place.run("batches", "show", "c").stdout


def test_gemini_is_asked_for_what_only_it_can_know(place: Place) -> None:
    place.add("a", NIGHT)
    assert place.run("batches", "cancel", NIGHT, GEMINI_API_KEY__ACME="").exit_code != 2
    assert "batches/a" in place.listing.asked
    place.add("b", NIGHT)
    both = place.run("batches", "cancel", NIGHT, GEMINI_API_KEY__ACME="")
    assert (both.exit_code, "2 batches are called" in both.stderr) == (2, True)
    shown = place.run("batches", "show", NIGHT, GEMINI_API_KEY__ACME="")
    assert (shown.exit_code, "2 batches are called" in shown.stderr) == (2, True)
    asked = len(place.listing.pages)
    place.run("inbox", "show", NIGHT)
    place.run("batches", "show", "batches/a")
    place.run("batches", "watch", "batches/a", "--timeout", "0")
    assert len(place.listing.pages) == asked


def test_names_that_nobody_knows_are_ids_or_errors(place: Place) -> None:
    assert "Error: batches/nobody is not stored" in place.run("batches", "show", "nobody").stderr
    result = place.run("batches", "show", "no\x1b[2J/such/batch")
    assert result.exit_code == 1
    assert "no batch here is called no?[2J/such/batch, and it can't be an id:" in result.stderr
