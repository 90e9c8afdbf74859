"""Platforms that build from the repository. No file here has met its platform."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.reading import (
    DEPLOY,
    LONGEST_STOP_S,
    ROOT,
    check_command,
    check_environment,
    read_yaml,
    require_secrets,
)

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"


def test_heroku_knows_its_variables() -> None:
    app = json.loads((DEPLOY / "heroku" / "app.json").read_text())
    fields = {"name", "description", "keywords", "env", "addons", "buildpacks", "formation"}
    assert app.keys() <= fields
    for about in app["env"].values():
        assert about.keys() <= {"description", "required", "value"}
        assert about["description"]
    values = {name: about.get("value") for name, about in app["env"].items()}
    check_environment(values | {"REDIS_URL": "rediss://example.com:6379"})  # as the add-on sets it
    assert values["REDIS_TLS_VERIFY"] == "false"
    processes = {line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}
    assert app["formation"].keys() == processes - {"release"}


def test_heroku_is_not_sent_the_sandbox() -> None:
    assert (ROOT / ".slugignore").read_text().split() == ["/tests", "/deploy/sandbox"]


def render_services() -> dict[str, dict[str, Any]]:
    services: list[dict[str, Any]] = read_yaml("render/render.yaml")["services"]
    return {service["type"]: service for service in services}


def test_render_keeps_what_redis_holds() -> None:
    redis = render_services()["keyvalue"]
    assert (redis["maxmemoryPolicy"], redis["ipAllowList"]) == ("noeviction", [])
    assert redis["plan"] != "free"


@pytest.mark.parametrize("kind", ["web", "worker"])
def test_render_starts_our_processes(kind: str) -> None:
    services = render_services()
    service = services[kind]
    about = {"type", "name", "runtime", "plan", "buildCommand", "startCommand", "preDeployCommand"}
    assert service.keys() <= about | {"healthCheckPath", "maxShutdownDelaySeconds", "envVars"}
    assert check_command(service["startCommand"]) == {"web": "serve", "worker": "worker"}[kind]
    assert service["buildCommand"] == "pip install -r requirements.txt"
    assert service["maxShutdownDelaySeconds"] > LONGEST_STOP_S
    variables = {entry["key"]: entry.get("value") for entry in service["envVars"]}
    check_environment(variables)
    require_secrets(kind, variables)
    by_name = {other["name"]: other for other in services.values()}
    for source in [entry["fromService"] for entry in service["envVars"] if "fromService" in entry]:
        other = by_name[source["name"]]
        assert other["type"] == source["type"]
        if "envVarKey" in source:
            assert source["envVarKey"] in {entry["key"] for entry in other["envVars"]}
        else:
            assert source["property"] == "connectionString"


def test_render_web_is_reachable_and_checked() -> None:
    web = render_services()["web"]
    assert {"key": "HOST", "value": "0.0.0.0"} in web["envVars"]
    assert web["healthCheckPath"] == "/health"
    assert check_command(web["preDeployCommand"]) == "doctor"


def test_fly_starts_and_stops_our_processes() -> None:
    path = DEPLOY / "fly" / "fly.toml"
    fly = tomllib.loads(path.read_text())
    assert {check_command(command) for command in fly["processes"].values()} == {"serve", "worker"}
    assert check_command(fly["deploy"]["release_command"]) == "doctor"
    assert fly["kill_signal"] == "SIGTERM"
    assert fly["kill_timeout"] > LONGEST_STOP_S
    assert (path.parent / fly["build"]["dockerfile"]).resolve() == DOCKERFILE
    check_environment(fly["env"])
    service = fly["http_service"]
    assert str(service["internal_port"]) == fly["env"]["PORT"]
    assert fly["env"]["HOST"] == "0.0.0.0"
    assert set(service["processes"]) <= fly["processes"].keys()
    assert {check["path"] for check in service["checks"]} == {"/ready"}


@pytest.mark.parametrize(("name", "command"), [("web", "serve"), ("worker", "worker")])
def test_railway_starts_our_processes(name: str, command: str) -> None:
    service = json.loads((DEPLOY / "railway" / f"{name}.json").read_text())
    assert (ROOT / service["build"]["dockerfilePath"]).resolve() == DOCKERFILE
    deploy = service["deploy"]
    about = {"startCommand", "preDeployCommand", "healthcheckPath", "healthcheckTimeout"}
    assert deploy.keys() <= about | {"restartPolicyType", "drainingSeconds"}
    assert check_command(deploy["startCommand"]) == command
    assert [check_command(before) for before in deploy.get("preDeployCommand", [])] == [
        "doctor"
    ] * (name == "web")
    assert isinstance(deploy["drainingSeconds"], int)  # text is refused
    assert deploy["drainingSeconds"] > LONGEST_STOP_S
    assert deploy["restartPolicyType"] == "ALWAYS"


@pytest.mark.parametrize(("name", "kind"), [("web", "Service"), ("worker", "WorkerPool")])
def test_cloud_run_starts_our_processes(name: str, kind: str) -> None:
    service = read_yaml(f"cloudrun/{name}.yaml")
    assert service["kind"] == kind
    (container,) = service["spec"]["template"]["spec"]["containers"]
    assert check_command(container["command"]) == {"web": "serve", "worker": "worker"}[name]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    check_environment(variables)
    require_secrets(name, variables)
    secrets = [
        entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry
    ]
    assert all(secret["key"] == "latest" for secret in secrets)
    annotations = service["spec"]["template"]["metadata"]["annotations"]
    assert json.loads(annotations["run.googleapis.com/network-interfaces"])[0].keys() == {
        "network",
        "subnetwork",
    }


def test_cloud_run_asks_the_port_that_it_names() -> None:
    """Cloud Run sets PORT to the container's port."""
    (container,) = read_yaml("cloudrun/web.yaml")["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe")]
    assert [probe["path"] for probe in probes] == ["/ready", "/health"]
    assert {probe["port"] for probe in probes} == {port["containerPort"]}


@pytest.mark.parametrize("path", sorted(DEPLOY.iterdir()), ids=lambda path: path.name)
def test_readme_has_each_folder(path: Path) -> None:
    if path.is_dir() and path.name != "__pycache__":
        assert f"{path.name}/" in (DEPLOY / "README.md").read_text()
