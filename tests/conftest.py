import compileall
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from deploy.sandbox.valkey import running_valkey
from receiver.inbox.redis import connect
from tests import schedule
from tests.object_server.running import ObjectServer, running_object_server
from tests.programs import skip_if_module_is_missing
from tests.progress import Progress, count_skips
from tests.storage_servers import (
    Bucket,
    own_bucket,
    running_azurite,
    running_fake_gcs,
    running_seaweedfs,
)

settings.register_profile(
    "noisy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("noisy machine")  # how fast it is, no test may judge
PREFIXES = (
    *("GEMINI_", "GOOGLE_", "REDIS_", "STORAGE_", "OUTPUT_", "WEBHOOK_", "AWS_", "AZURE_"),
    *(
        "API_",
        "RESPONSE_",
        "PRICES_",
        "PROOF_",
        "PUBLIC_",
        "METRICS_",
        "STATUS_",
        "NOTIFY_",
        "SLACK_",
        "LOG_",
        "OTEL_",
        "ENQUEUED_",
        "DAILY_",
    ),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "write tests/durations.json, which orders the files"
    parser.addoption("--save-durations", action="store_true", help=told)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Compile once: the tests start thousands of processes, and where byte code is not written each compiles anew."""
    if hasattr(config, "workerinput"):
        return
    for package in ("receiver", "workers", "deploy", "tests"):
        compileall.compile_dir(Path(__file__).parent.parent / package, quiet=2)
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and config.get_verbosity() < 0:  # without a -v, which asks for pytest's own lines
        config.pluginmanager.register(Progress(terminal), "progress")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return schedule.is_left_out(collection_path, config) or None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> "Generator[None, pytest.CollectReport, pytest.CollectReport]":
    report = yield
    if report.call.excinfo:
        skip_if_module_is_missing(report, report.call.excinfo.value)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    schedule.order(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    progress = config.pluginmanager.get_plugin("progress")
    if progress and config.getoption("save_durations"):
        schedule.save_durations(progress.seconds)
    for reason, count in count_skips(terminalreporter.stats.get("skipped", [])).items():
        terminalreporter.write_line(f"skipped, {count}: {reason}")
    if any(schedule.is_left_out(schedule.ROOT / slow, config) for slow in schedule.SLOW):
        slow = ", ".join(schedule.SLOW)
        terminalreporter.write_line(f"left out as slow: {slow}; README.md says how to run them")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """A developer's own settings must not steer a test."""
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            del os.environ[name]


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """A real Valkey with nothing in it."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    return valkey_url


@pytest.fixture
def client(redis_url: str) -> "Iterator[redis.Redis]":
    """Ours, of that Valkey."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    return (tmp_path / "outputs").as_uri()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as bucket:
        yield bucket


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as bucket:
        yield bucket


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with running_fake_gcs(tmp_path_factory.mktemp("fake_gcs")) as bucket:
        yield bucket


@pytest.fixture(scope="session")
def started_object_server() -> Iterator[ObjectServer]:
    with running_object_server() as server:
        yield server


@pytest.fixture
def object_server(
    started_object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> ObjectServer:
    """An empty bucket that does as it is told, named by the environment."""
    for name, value in started_object_server.environment().items():
        monkeypatch.setenv(name, value)
    started_object_server.turn(empty=True)
    return started_object_server


@pytest.fixture
def own_s3(object_server: ObjectServer) -> Bucket:
    return own_bucket(object_server)
