"""What an engine is told, without one; with one, `python -m tests.image` runs it."""

import subprocess
from pathlib import Path

import pytest

from tests.deploy.reading import ROOT
from tests.image.bases import base_of, required_packages
from tests.image.compose import run_arguments, services
from tests.image.context import context_files, is_sent

SECRETS = Path("/run/ours")


def test_context_holds_only_what_the_images_are_made_of() -> None:
    sent = set(context_files(ROOT))
    assert {path.parts[0] for path in sent} == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements.txt",
        "receiver",
        "workers",
        "deploy",
    }
    assert {path.parts[1] for path in sent if path.parts[0] == "deploy"} == {
        "__init__.py",
        "sandbox",
    }
    assert sum((ROOT / path).stat().st_size for path in sent) < 4_000_000


@pytest.mark.parametrize(
    "path",
    [
        *(".env", ".git/config", ".venv/bin/python", ".node/node_modules/x", "tests/running.py"),
        *("deploy/docker/secrets/gemini_api_key", "outputs/x", "receiver/__pycache__/x.pyc"),
        *("receiver/web/__pycache__/x.pyc", "deploy/sandbox/__pycache__/x.pyc"),
    ],
)
def test_context_lacks_secrets_and_ballast(path: str) -> None:
    assert not is_sent(Path(path))


def test_every_file_of_ours_in_git_is_sent() -> None:
    argv = ["git", "ls-files", "receiver", "workers", "deploy/sandbox"]
    tracked = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert tracked
    assert [name for name in tracked.splitlines() if not is_sent(Path(name))] == []


def test_worker_starts_as_compose_says() -> None:
    argv = run_arguments("worker", services()["worker"], SECRETS)
    said = " ".join(argv)
    for part in (
        "--init --restart always --stop-timeout 15 --read-only --cap-drop ALL",
        "--security-opt no-new-privileges:true",
        "--env REDIS_URL=redis://redis:6379/0",
        "--env STORAGE_URL=file:///srv/outputs",
        "--env GEMINI_BASE_URL=http://127.0.0.1:8400",
        f"--volume {SECRETS}/gemini_api_key:/run/secrets/gemini_api_key:ro",
        "--no-healthcheck",
        "--tmpfs /tmp",
        "--network container:sandbox",
    ):
        assert part in said
    assert "PROOF_KEY" not in said
    assert argv[-3:] == ["gemini-batch-receiver", "gemini-batch-receiver", "worker"]


def test_redis_starts_as_compose_says() -> None:
    said = " ".join(run_arguments("redis", services()["redis"], SECRETS))
    assert "--user 999:1000" in said
    assert "--volume redis:/data" in said
    argv = run_arguments("redis", services()["redis"], SECRETS)
    assert argv[argv.index("--health-cmd") + 1] == "valkey-cli ping"


def test_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match="pids_limit of the compose files is not understood"):
        run_arguments("web", services()["web"] | {"pids_limit": 5}, SECRETS)


def test_stand_ins_are_those_of_the_dockerfiles() -> None:
    assert base_of("Dockerfile") == base_of("sandbox.Dockerfile")
    assert not [name for name in required_packages() if ";" in name]
