"""Tab completion, as a shell asks for it."""

import os
import subprocess
import sys

import pytest

from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from tests.receiver.inbox.test_queries import fill

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
