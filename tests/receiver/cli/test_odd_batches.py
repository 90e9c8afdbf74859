"""One odd batch in Gemini's list leaves the others theirs: in every command that reads the list."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.inbox.ledger import Inbox
from receiver.storage import LocalStorage
from tests.receiver.listing import Listing, ago, serving
from tests.receiver.records import put_manifest

ODD: dict[str, Any] = {
    "batches/elsewhere": {
        "name": "batches/elsewhere",
        "metadata": {
            "state": "BATCH_STATE_SUCCEEDED",
            "output": {"responsesFile": "gs://bucket/x"},
        },
    },
    "batches/list": {"name": "batches/list", "metadata": []},
    "nameless": {"metadata": {"state": "BATCH_STATE_SUCCEEDED"}},
    "number": 5,
}
NAMED = ["batches/elsewhere", "batches/list", "(no name)", "(no name)"]


@dataclass(frozen=True)
class Place:
    listing: Listing
    client: "redis.Redis"
    environ: dict[str, str]

    def run(self, *args: str) -> Result:
        return CliRunner().invoke(main, args, env=self.environ)

    def owed(self, *names: str) -> list[str]:
        return [
            name
            for name, entry in Inbox(self.client).entries(names).items()
            if entry.state == "open"
        ]


@pytest.fixture
def place(client: "redis.Redis", redis_url: str, tmp_path: Path) -> Iterator[Place]:
    listing = Listing()
    listing.page_size = 100
    listing.add("first", file=[200])
    listing.operations |= ODD
    listing.add("last", file=[200])
    listing.add("running", "RUNNING")
    with serving(listing) as url:
        environ = {"GEMINI_API_KEY": "k", "GEMINI_BASE_URL": url, "REDIS_URL": redis_url}
        yield Place(listing, client, environ | {"STORAGE_URL": tmp_path.as_uri()})


@pytest.mark.parametrize("command", ["replay", "reconcile"])
def test_others_are_queued_and_the_odd_are_named(place: Place, command: str) -> None:
    result = place.run(command)
    assert place.owed("batches/first", "batches/last", "batches/elsewhere") == [
        "batches/first",
        "batches/last",
    ]
    assert "2 found, 0 already stored, 2 queued" in result.stdout
    assert "4 unclear" in result.stdout
    assert "unclear: batches/elsewhere: can't be read: " in result.stderr
    assert "'gs://bucket/x'" in result.stderr
    assert result.exit_code == 1


def test_list_shows_the_odd_as_rows(place: Place) -> None:
    result = place.run("batches", "list")
    assert (result.exit_code, result.stderr) == (0, "7 batches\n")
    rows = {line[30:].split("  ")[0]: line for line in result.stdout.splitlines()[1:]}
    assert (
        "can't be read: batches/elsewhere names a result file that is no file name"
        in rows["batches/elsewhere"]
    )
    assert {"batches/first", "batches/last", "batches/list", "(no name)"} <= rows.keys()


def test_list_tells_programs_of_the_odd(place: Place) -> None:
    rows = json.loads(place.run("batches", "list", "--json").stdout)
    assert [row["batch"] for row in rows if row["state"] == "UNREADABLE"] == NAMED
    assert [row["batch"] for row in rows if row["problem"] is None] == [
        "batches/first",
        "batches/last",
        "batches/running",
    ]
    chosen = json.loads(place.run("batches", "list", "--json", "--state", "SUCCEEDED").stdout)
    assert [row["batch"] for row in chosen] == ["batches/first", "batches/last"]


def test_watch_follows_the_others(place: Place, tmp_path: Path) -> None:
    place.listing.latest["batches/running"] = "SUCCEEDED"
    for name in ("batches/first", "batches/running", "batches/last"):
        put_manifest(LocalStorage(tmp_path), name, outcomes={"ok": 2})
    result = place.run("batches", "watch", "--interval", "0.1", "--timeout", "20")
    assert result.exit_code == 0, result.stderr
    assert "batches/elsewhere can't be read: " in result.stderr
    assert "1 of 1 batch is well" in result.stderr


def test_watched_batch_that_cant_be_read_ends_itself_alone(place: Place, tmp_path: Path) -> None:
    put_manifest(LocalStorage(tmp_path), "batches/first", outcomes={"ok": 2})
    result = place.run(
        "batches", "watch", "--interval", "0.1", "--timeout", "20", "first", "elsewhere"
    )
    assert result.exit_code == 1
    assert (
        "batches/elsewhere: batches/elsewhere names a result file that is no file name"
        in result.stderr
    )
    assert "1 of 2 batches are well" in result.stderr


def test_expired_history_is_one_line(place: Place) -> None:
    place.listing.operations.clear()
    for number in range(12):
        place.listing.add(f"old{number}", ended=ago(days=9), file=[404])
    place.listing.add("alive", ended=ago(days=9), file=[200])
    result = place.run("replay")
    assert result.stderr.splitlines() == [
        "queued batches/alive",
        "12 ended more than 48 hours ago and their results are gone: expired",
        "`gemini-batch-receiver batches watch` waits until they are stored",
    ]
    assert result.stdout == "13 found, 0 already stored, 1 queued\n"
    assert result.exit_code == 0
    assert Inbox(place.client).entries(f"batches/old{number}" for number in range(12)) == {}
