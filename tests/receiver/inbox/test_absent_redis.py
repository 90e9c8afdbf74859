"""What is said where no Redis listens, or the socket of `up` is not there."""

import socket
from pathlib import Path

import pytest

from receiver.errors import InboxUnavailableError
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect

START = "(`gemini-batch-receiver up` is not running here: start it, or correct REDIS_URL)"


def explain(url: str) -> str:
    with connect(url) as client, pytest.raises(InboxUnavailableError) as raised:
        Inbox(client).entries(["batches/a"])
    return str(raised.value)


def test_missing_socket_names_the_command_that_makes_it(tmp_path: Path) -> None:
    said = explain(f"unix://{tmp_path}/valkey.sock")
    assert said.startswith("Redis did not ")
    assert said.endswith(f"No such file or directory {START}")


def test_socket_that_a_killed_valkey_left(tmp_path: Path) -> None:
    path = tmp_path / "valkey.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert explain(f"unix://{path}").endswith(f"Connection refused {START}")


def test_refused_connection_names_the_setting() -> None:
    said = explain("redis://127.0.0.1:9/0")
    assert said.endswith(
        "(nothing listens there: start Redis or `gemini-batch-receiver up`, which brings one, or"
        " correct REDIS_URL)"
    )
    assert "refused" in said
