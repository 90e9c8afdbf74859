"""The image and the compose files, read; `python -m tests.image` builds and runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.sandbox.processes import allocate_port
from tests.acceptance.conftest import World
from tests.deploy.reading import (
    DEPLOY,
    LONGEST_STOP_S,
    ROOT,
    check_command,
    check_environment,
    read_yaml,
    require_secrets,
)
from tests.pages import section
from tests.programs import require_module
from tests.running import answers, running_program
from tests.waiting import eventually

COMPOSE = ["compose.yaml", "compose.sandbox.yaml"]


def stages(name: str = "Dockerfile") -> list[list[tuple[str, str]]]:
    """The instructions of each stage, comments and line breaks left out."""
    text = (DEPLOY / "docker" / name).read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = list[list[tuple[str, str]]]()
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found.append([])
        if instruction:
            found[-1].append((instruction, " ".join(rest.split())))
    return found


def copied(name: str) -> set[str]:
    """What comes from the repository into a Dockerfile's stages."""
    copies = [
        rest.split()
        for stage in stages(name)
        for instruction, rest in stage
        if instruction == "COPY"
    ]
    return {
        source
        for *sources, _ in copies
        if not sources[0].startswith("--from")
        for source in sources
    }


def test_image_holds_no_sandbox_and_no_tests() -> None:
    sources = copied("Dockerfile")
    assert sources == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements.txt",
        "receiver",
        "workers",
    }
    assert all((ROOT / source).exists() for source in sources)
    build, final = stages()
    assert [rest for instruction, rest in final if instruction == "COPY"] == [
        "--from=build /opt/venv /opt/venv"
    ]
    assert "pip install -r requirements.txt" in dict(build)["RUN"]


def test_docker_is_sent_what_it_copies_alone() -> None:
    """One file at the root: only BuildKit knows one per Dockerfile, others would send everything."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    assert kept == copied("Dockerfile") | copied("sandbox.Dockerfile")
    assert [*(DEPLOY / "docker").glob("*.dockerignore")] == []


def test_image_runs_as_nobody_on_the_projects_python() -> None:
    python = (ROOT / ".python-version").read_text().strip()
    bases = [dict(stage)["FROM"].split()[0] for stage in [*stages(), *stages("sandbox.Dockerfile")]]
    assert set(bases) == {f"python:{python}-slim"}
    final = dict(stages()[-1])
    assert final["USER"] == "10001:10001"
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert check_command(json.loads(final["CMD"])) == "serve"


def test_image_listens_where_it_says() -> None:
    final = dict(stages()[-1])
    settings = dict(word.split("=", 1) for word in final["ENV"].split())
    assert (settings["HOST"], settings["PORT"]) == ("0.0.0.0", final["EXPOSE"])


def health_check(port: int) -> int:
    """What the image's own check says of whoever answers on this port."""
    _, *arguments = json.loads(dict(stages()[-1])["HEALTHCHECK"].partition(" CMD ")[2])
    env = os.environ | {"PORT": str(port)}
    done = subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, timeout=20, check=False
    )
    return done.returncode


def test_health_check_tells_a_web_process(world: World) -> None:
    with running_program(world.folder, world.settings, "serve"):
        eventually(lambda: answers(f"{world.web_url}/health"), 20)
        assert health_check(world.port) == 0
    assert health_check(allocate_port()) != 0


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_file_is_one(name: str, tmp_path: Path) -> None:
    require_module("check_jsonschema")
    path = tmp_path / "compose.json"
    path.write_text(json.dumps(read_yaml(f"docker/{name}")))
    argv = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(path),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def services(name: str = "compose.yaml") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read_yaml(f"docker/{name}")["services"]
    return found


@pytest.mark.parametrize("name", ["web", "worker"])
def test_compose_starts_our_processes(name: str) -> None:
    service = services()[name]
    assert check_command(service["command"]) == {"web": "serve", "worker": "worker"}[name]
    assert int(service["stop_grace_period"].removesuffix("s")) > LONGEST_STOP_S
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    variables = service["environment"]
    check_environment(
        {key: None if value and "$" in value else value for key, value in variables.items()}
    )
    require_secrets(name, variables)
    mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
    assert mounted == {path for key, path in variables.items() if key.endswith("_FILE")}
    assert set(service["secrets"]) <= read_yaml("docker/compose.yaml")["secrets"].keys()


def test_compose_passes_on_what_people_set() -> None:
    """As it is set where compose runs: None in the file."""
    both = {"PUBLIC_URL", "OUTPUT_FORMS", "OUTPUT_TEMPLATE", "KEY_PATTERN", "RESULT_KEY"}
    both |= {
        "NOTIFY_URL",
        "NOTIFY_SECRET",
        "NOTIFY_EVENTS",
        "SLACK_WEBHOOK_URL",
        "AWS_ACCESS_KEY_ID",
    }
    for name, others in (
        ("web", {"STATUS_TOKEN", "METRICS_TOKEN", "API_TOKEN"}),
        ("worker", set[str]()),
    ):
        variables = services()[name]["environment"]
        passed = {key for key, value in variables.items() if value is None}
        assert passed >= both | others


def test_second_project_of_the_page_is_one_for_compose() -> None:
    text = section("## Docker and compose").partition("```yaml\n")[2].partition("```")[0]
    for name, service in yaml.safe_load(text)["services"].items():
        (key,) = (one for one in service["environment"] if one.startswith("GEMINI_API_KEY__"))
        others = set(service["environment"]) - {key}
        assert others == ({key.replace("API_KEY", "WEBHOOK_SECRET")} if name == "web" else set())
        assert name in services()


def test_compose_hands_the_key_of_proofs_to_the_worker_alone() -> None:
    ours = [
        (name, service["environment"]) for name, service in services().items() if name != "redis"
    ]
    handed = {name: variables.get("PROOF_KEY", "none") for name, variables in ours}
    assert handed == {
        "web": "none",
        "worker": None,
    }  # None: as it is set where compose runs, or not at all


def test_compose_keeps_what_redis_holds() -> None:
    redis = services()["redis"]
    command = redis["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options == {"--appendonly": "yes", "--save": "", "--maxmemory-policy": "noeviction"}
    assert redis["volumes"] == ["redis:/data"]
    assert "ports" not in redis


def test_compose_sandbox_is_on_loopback() -> None:
    """The receiver takes http on loopback alone, so it shares the network of the stand-in."""
    found = services("compose.sandbox.yaml")
    argv = found["sandbox"]["command"]
    for name in ("web", "worker"):
        assert found[name]["network_mode"] == "service:sandbox"
        check_environment(found[name]["environment"])
        assert found[name]["environment"]["GEMINI_BASE_URL"] == f"http://127.0.0.1:{argv[-1]}"
    assert found["web"]["ports"] == []
    assert found["sandbox"]["ports"] == services()["web"]["ports"]
    done = subprocess.run(
        [sys.executable, *argv[1:-1], "x"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Invalid value for '--port'" in done.stderr  # the options are right, up to the port
