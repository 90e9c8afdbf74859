"""What commands say of a batch that is not stored, by its state in a real inbox."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.inbox.redis import connect
from tests.receiver.inbox.test_queries import fill

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
    env = {"GEMINI_API_KEY": "k", "REDIS_URL": redis_url, "STORAGE_URL": tmp_path.as_uri()}
    for command in ("show", "errors"):
        result = CliRunner().invoke(main, ["batches", command, batch_id], env=env)
        words = said.replace("{}", batch_id)
        assert result.exit_code == 1
        assert result.stderr == f"Error: batches/{batch_id} is not stored: {words}\n"
