"""What commands say of a batch that is not stored, by its state in a real inbox."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.inbox.redis import connect
from receiver.storage import LocalStorage
from tests.receiver.inbox.test_queries import fill
from tests.receiver.listing import Listing, serving
from tests.receiver.records import put_manifest

WAIT = "`gemini-batch-receiver batches watch {}` waits for it"
REPLAY = "`gemini-batch-receiver replay --batch batches/{}` queues it"


@pytest.mark.parametrize(
    ("batch_id", "said"),
    [
        ("open", f"it is open in the inbox: a worker takes it when it is due; {WAIT}"),
        ("leased", f"it is leased: a worker processes it now; {WAIT}"),
        ("buried", f"it is buried after 0 attempts (no such file); {REPLAY} again"),
        ("done", f"the inbox says done, so its manifest was removed; {REPLAY} again"),
        ("other", f"the inbox does not know it; {WAIT}, and {REPLAY} if its webhook was missed"),
    ],
)
def test_next_command_is_named(redis_url: str, tmp_path: Path, batch_id: str, said: str) -> None:
    with connect(redis_url) as client:
        fill(client)
    env = {
        "GEMINI_API_KEY": "k",
        "GEMINI_BASE_URL": "http://127.0.0.1:9",
        "REDIS_URL": redis_url,
        "STORAGE_URL": tmp_path.as_uri(),
    }
    for command in ("show", "errors"):
        result = CliRunner().invoke(main, ["batches", command, batch_id], env=env)
        words = said.replace("{}", batch_id)
        assert result.exit_code == 1
        assert result.stderr == f"Error: batches/{batch_id} is not stored: {words}\n"


RUNS = "it still runs at Gemini (RUNNING): `gemini-batch-receiver batches watch run` waits for it"
ENDED = (
    "the inbox does not know it, and it has ended at Gemini (SUCCEEDED):"
    " `gemini-batch-receiver replay --batch batches/ended` queues it"
)
NOWHERE = (
    "neither the inbox nor Gemini knows it: `gemini-batch-receiver batches list` shows which there"
    " are"
)


@pytest.mark.parametrize("command", ["show", "errors", "results"])
def test_gemini_is_asked_of_what_nobody_knows_here(
    redis_url: str, tmp_path: Path, command: str
) -> None:
    """To queue a batch that still runs would do nothing, and a display name is no id."""
    listing = Listing()
    listing.add("run", "RUNNING")
    listing.add("ended")
    named = listing.add("abc")
    listing.operations[named]["metadata"]["displayName"] = "evening"
    put_manifest(LocalStorage(tmp_path), named, outcomes={"ok": 2})
    key = ["k"] if command == "results" else []

    with serving(listing) as url:
        env = {
            "GEMINI_API_KEY": "k",
            "GEMINI_BASE_URL": url,
            "REDIS_URL": redis_url,
            "STORAGE_URL": tmp_path.as_uri(),
        }

        def say(text: str) -> str:
            return CliRunner().invoke(main, ["batches", command, text, *key], env=env).stderr

        assert say("run") == f"Error: batches/run is not stored: {RUNS}\n"
        assert say("ended") == f"Error: batches/ended is not stored: {ENDED}\n"
        assert say("other") == f"Error: batches/other is not stored: {NOWHERE}\n"
        assert "not stored" not in say("evening")
