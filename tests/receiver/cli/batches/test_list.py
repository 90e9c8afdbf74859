"""What `batches list` shows of a list served over HTTP, beside a real folder."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.outputs.paths import manifest_name
from receiver.storage import LocalStorage
from tests.receiver.listing import Listing, ago, serving
from tests.receiver.records import put_manifest


@dataclass(frozen=True)
class Place:
    listing: Listing
    environ: dict[str, str]
    storage: LocalStorage

    def list(self, *args: str, **more: str) -> Result:
        return CliRunner().invoke(main, ["batches", "list", *args], env=self.environ | more)

    def add(
        self, batch_id: str, state: str = "SUCCEEDED", hours: float = 1, **metadata: object
    ) -> None:
        """A batch that was created so many hours ago."""
        name = self.listing.add(batch_id, state)
        self.listing.operations[name]["metadata"] |= {"createTime": ago(hours=hours), **metadata}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    listing = Listing()
    with serving(listing) as url:
        environ = {"GEMINI_API_KEY": "k", "GEMINI_BASE_URL": url, "STORAGE_URL": tmp_path.as_uri()}
        yield Place(listing, environ, LocalStorage(tmp_path))


def names(result: Result) -> list[str]:
    return [line.split()[0] for line in result.stdout.splitlines()[1:]]


def test_table_says_what_there_is(place: Place) -> None:
    stats = {"requestCount": "100", "successfulRequestCount": "90", "failedRequestCount": "5"}
    place.add(
        "a",
        "RUNNING",
        displayName="night\n\x1b[2J",
        model="models/gemini-3.5-flash",
        batchStats=stats,
    )
    place.add("b")
    place.storage.create(manifest_name("b"), b"{}")
    result = place.list()
    head, first, second = result.stdout.splitlines()
    assert head.split() == [
        "name",
        "batch",
        "state",
        "created",
        "done",
        "failed",
        "all",
        "model",
        "stored",
    ]
    assert first.split()[:3] == ["night", "?[2J", "batches/a"]
    assert first.split()[3] == "RUNNING"
    assert first.split()[5:] == ["90", "5", "100", "gemini-3.5-flash", "no"]
    assert second.split()[3:] == ["0", "0", "?", "yes;", "its", "manifest", "can't", "be", "read"]
    assert (result.exit_code, result.stderr) == (0, "2 batches\n")


@pytest.mark.parametrize(
    ("record", "words", "judgement"),
    [
        ({}, ["yes"], "stored"),
        ({"outcomes": {"error": 2}}, ["yes;", "2", "errors"], "stored; 2 errors"),
        ({"outcomes": {"ok": 1}, "missing": 1}, ["yes;", "1", "missing"], "stored; 1 missing"),
    ],
)
def test_stored_batch_is_judged(
    place: Place, record: dict[str, object], words: list[str], judgement: str
) -> None:
    """A batch whose requests all failed is no batch of which nothing is to be said."""
    place.add("a")
    put_manifest(place.storage, "batches/a", **record)
    assert place.list().stdout.splitlines()[1].split()[6:] == words
    (row,) = json.loads(place.list("--json").stdout)
    assert (row["stored"], row["judgement"]) == (True, judgement)


def test_pages_are_fetched_as_needed(place: Place) -> None:
    for number in range(9):
        place.add(f"b{number}", hours=number)
    assert names(place.list("--limit", "4")) == [
        "batches/b0",
        "batches/b1",
        "batches/b2",
        "batches/b3",
    ]
    assert place.listing.pages == [0, 1]
    assert len(names(place.list())) == 9


def test_limit_counts_what_is_wanted(place: Place) -> None:
    for number, state in enumerate(
        ["RUNNING", "SUCCEEDED", "FAILED", "SUCCEEDED", "RUNNING", "PENDING"]
    ):
        place.add(f"b{number}", state, hours=number)
    assert names(place.list("--state", "running", "--state", "FAILED", "--limit", "2")) == [
        "batches/b0",
        "batches/b2",
    ]
    assert place.list("--state", "BUSY").exit_code == 2


def test_since_ends_the_paging(place: Place) -> None:
    for number in range(9):
        place.add(f"b{number}", hours=number * 10)
    assert names(place.list("--since", "15h")) == ["batches/b0", "batches/b1"]
    assert place.listing.pages == [0]


def test_projects_are_merged_by_age(place: Place) -> None:
    place.add("new", hours=1)
    place.add("old", hours=2)
    both = {"GEMINI_API_KEY__ACME": "key-acme"}
    assert names(place.list(**both)) == [
        "batches/new",
        "acme/batches/new",
        "batches/old",
        "acme/batches/old",
    ]
    assert names(place.list("--project", "acme", **both)) == [
        "acme/batches/new",
        "acme/batches/old",
    ]


def test_project_leaves_the_columns_where_they_are(place: Place) -> None:
    place.add("i" * 36)  # as long as Gemini's
    head, *rows = place.list(GEMINI_API_KEY__ACME="key-acme").stdout.splitlines()
    assert [row.find("SUCCEEDED") for row in rows] == [head.find("state")] * 2


def test_json_is_a_list(place: Place) -> None:
    place.add("a", "FAILED", displayName="night")
    (row,) = json.loads(place.list("--json").stdout)
    expected = {
        "batch": "batches/a",
        "state": "FAILED",
        "display_name": "night",
        "stored": False,
        "requests": None,
    }
    assert row | expected == row


def test_failing_gemini_leaves_what_was_read(place: Place) -> None:
    for number in range(4):
        place.add(f"b{number}", hours=number)
    place.listing.broken_page = 1
    result = place.list()
    assert (result.exit_code, len(names(result))) == (1, 3)
    assert (
        "Error: Gemini did not give the list of batches (503 UNAVAILABLE: try again)"
        in result.stderr
    )
