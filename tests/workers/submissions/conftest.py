from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.forwarding import gate_before
from tests.running import running_sandbox
from tests.workers.submissions.advancing import Advancing, open_advancing


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    options = ("--api-key", "right-key", "--payments")
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), *options) as url:
        yield url


@pytest.fixture
def advancing(
    sandbox_url: str,
    client: "redis.Redis",
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Advancing]:
    with gate_before(sandbox_url) as gate:
        environ = {
            "GEMINI_API_KEY": "right-key",
            "GEMINI_BASE_URL": gate.url,
            "REDIS_URL": redis_url,
            "STORAGE_URL": (tmp_path / "outputs").as_uri(),
            "RETRY_BASE_S": "0.002",
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with open_advancing(client, gate, tmp_path) as advancing:
            yield advancing
