"""Which project's batches a replay asks for. Redis and the storage are real beside the list."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from tests.receiver.listing import Listing, serving

ACME = {"GEMINI_API_KEY__ACME": "key-acme"}
BOTH = ACME | {"GEMINI_API_KEY": "key-default"}


@dataclass(frozen=True)
class Place:
    listing: Listing
    client: "redis.Redis"
    environ: dict[str, str]

    def replay(self, keys: dict[str, str], *args: str) -> Result:
        return CliRunner().invoke(main, ["replay", *args], env=self.environ | keys)

    def bury(self, name: str) -> None:
        inbox = Inbox(self.client)
        inbox.accept([Arrival(name, "batch.succeeded", "static")])
        lease = inbox.claim(name)
        assert lease is not None
        inbox.bury(lease, "no such file")


@pytest.fixture
def place(redis_url: str, tmp_path: Path) -> Iterator[Place]:
    listing = Listing()
    with serving(listing) as url, connect(redis_url) as client:
        environ = {"GEMINI_BASE_URL": url, "REDIS_URL": redis_url, "STORAGE_URL": tmp_path.as_uri()}
        yield Place(listing, client, environ)


@pytest.mark.parametrize(
    ("keys", "args", "queued"),
    [
        (ACME, ["--batch", "x"], "acme/batches/x"),  # the only project that there is
        (BOTH, ["--batch", "x"], "batches/x"),
        (BOTH, ["--batch", "acme/x"], "acme/batches/x"),
        (BOTH, ["--batch", "batches/x", "--project", "acme"], "acme/batches/x"),
        (BOTH, ["--batch", "x", "--project", "default"], "batches/x"),
    ],
)
def test_named_batch_is_its_projects(
    place: Place, keys: dict[str, str], args: list[str], queued: str
) -> None:
    place.listing.add("x")
    result = place.replay(keys, *args, "--json")
    assert (result.exit_code, json.loads(result.stdout)["queued"]) == (0, [queued])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--batch", "globex/x"], "of no project that is asked for: globex/batches/x"),
        (
            ["--batch", "acme/x", "--project", "default"],
            "of no project that is asked for: acme/batches/x",
        ),
        (
            ["--project", "globex"],
            "no project is called globex here: expected one of default, acme",
        ),
    ],
)
def test_stranger_is_a_usage_error(place: Place, args: list[str], words: str) -> None:
    result = place.replay(BOTH, *args)
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_buried_of_all_projects_are_replayed(place: Place) -> None:
    name = place.listing.add("x")
    for one in (name, f"acme/{name}", "globex/batches/x"):
        place.bury(one)
    result = place.replay(BOTH, "--failed")
    assert (result.exit_code, result.stdout) == (1, "2 found, 0 already stored, 2 queued\n")
    assert "Error: of no project that is known here: globex/batches/x" in result.stderr
    place.bury("globex/batches/y")
    assert place.replay(BOTH, "--failed", "--project", "acme").exit_code == 0
