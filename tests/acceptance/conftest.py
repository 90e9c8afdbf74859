from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.sandbox.processes import allocate_port
from tests.running import CLIENT, register_webhook, running_sandbox


@dataclass(frozen=True)
class World:
    """Everything outside of our processes: the stand-in of Gemini, Redis, the storage."""

    folder: Path
    gemini_url: str
    redis_url: str
    port: int  # for the web process

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of our processes, with a webhook registered at the stand-in."""
        return {
            "GEMINI_API_KEY": "right-key",
            "GEMINI_BASE_URL": self.gemini_url,
            "GEMINI_WEBHOOK_SECRET": register_webhook(
                self.gemini_url, f"{self.web_url}/webhooks/gemini"
            ),
            "REDIS_URL": self.redis_url,
            "STORAGE_URL": self.outputs.as_uri(),
            "PORT": str(self.port),
            "RETRY_BASE_S": "0.2",
            "RECONCILE_INTERVAL_S": "0",
        }


@pytest.fixture(scope="session")
def stand_in_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    quick = ("--pending", "0.05", "--running", "0.05", "--retry-base", "0.2")
    with running_sandbox(tmp_path_factory.mktemp("stand-in"), *quick) as url:
        yield url


@pytest.fixture
def world(tmp_path: Path, redis_url: str, stand_in_url: str) -> World:
    """A world with nothing in it: one stand-in serves all tests, emptied before each."""
    CLIENT.delete(f"{stand_in_url}/sandbox/state").raise_for_status()
    return World(tmp_path, stand_in_url, redis_url, allocate_port())
