"""Services of the compose files as arguments of `docker run`, for an engine without compose."""

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.deploy.reading import read_yaml

FILES = ("compose.yaml", "compose.sandbox.yaml")
# Done elsewhere: how an image is made, and what must run before. Ports need a bridge.
ELSEWHERE = {"image", "build", "command", "depends_on", "ports"}
HEALTH = {
    "interval": "--health-interval",
    "timeout": "--health-timeout",
    "retries": "--health-retries",
}

Service = dict[str, Any]


def services() -> dict[str, Service]:
    """Of both files, the second laid over the first as compose does it."""
    found: dict[str, Service] = {}
    for file in FILES:
        for name, service in read_yaml(f"docker/{file}")["services"].items():
            below = found.get(name, {})
            found[name] = {**below, **service}
            if "environment" in found[name]:
                found[name]["environment"] = {
                    **below.get("environment", {}),
                    **service.get("environment", {}),
                }
    return found


def run_arguments(name: str, service: Service, secrets: Path) -> list[str]:
    """From `--name` to the command. `secrets` is the folder of the secrets' files."""
    flags = [flag for key, value in service.items() for flag in _flags(key, value, secrets)]
    if "network_mode" not in service:
        flags += ["--network", "container:sandbox" if name != "sandbox" else "none"]
    image = service.get("image", name)
    return ["--name", name, *flags, image, *service["command"]]


def _flags(key: str, value: Any, secrets: Path) -> list[str]:
    if key in ELSEWHERE:
        return []
    if key == "secrets":
        return _each("--volume", [f"{secrets / one}:/run/secrets/{one}:ro" for one in value])
    if key not in _FLAGS:
        raise ValueError(f"{key} of the compose files is not understood: add it to {__name__}")
    return _FLAGS[key](value)


def _each(flag: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]


def _environment(variables: Mapping[str, str | None]) -> list[str]:
    """As if the shell that runs compose had set none of them."""
    given = {name: _default(value) for name, value in variables.items() if value is not None}
    return _each("--env", [f"{name}={value}" for name, value in given.items()])


def _default(value: str) -> str:
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def _health(check: Mapping[str, Any]) -> list[str]:
    if check.get("disable"):
        return ["--no-healthcheck"]
    flags = ["--health-cmd", shlex.join(check["test"][1:])]
    return flags + [word for key, flag in HEALTH.items() for word in (flag, str(check[key]))]


_FLAGS: dict[str, Callable[[Any], list[str]]] = {
    "init": lambda on: ["--init"] if on else [],
    "read_only": lambda on: ["--read-only"] if on else [],
    "restart": lambda policy: ["--restart", policy],
    "stop_grace_period": lambda time: ["--stop-timeout", time.removesuffix("s")],
    "cap_drop": lambda names: _each("--cap-drop", names),
    "security_opt": lambda options: _each("--security-opt", options),
    "user": lambda user: ["--user", user],
    "volumes": lambda mounts: _each("--volume", mounts),
    "tmpfs": lambda folders: _each("--tmpfs", folders),
    "environment": _environment,
    "healthcheck": _health,
    "network_mode": lambda mode: ["--network", mode.replace("service:", "container:")],
}
