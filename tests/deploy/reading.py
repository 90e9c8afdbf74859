"""What the platforms' files say, and whether our programs would understand it."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from receiver.cli import main
from receiver.settings.settings import SECRETS, VARIABLES, read_settings

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
LONGEST_STOP_S = 5  # both processes are gone by then
OURS = {variable.name for variable in VARIABLES} | {*SECRETS} | {f"{name}_FILE" for name in SECRETS}
STORAGES = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
}  # read by the storage's client


def read_yaml(name: str) -> Any:
    """The only document of a file below `deploy`."""
    (document,) = read_documents(name)
    return document


def read_documents(name: str) -> list[Any]:
    text = (DEPLOY / name).read_text()
    return list(
        yaml.safe_load_all(text.replace("!reset []", "[]"))
    )  # a word of compose files alone


def check_command(command: str | Iterable[str]) -> str:
    """Fail when our program would not take this command line. Gives the command's name."""
    program, name, *arguments = shlex.split(command) if isinstance(command, str) else command
    assert program == "gemini-batch-receiver"
    found = main.get_command(click.Context(main), name)
    assert found is not None
    assert not isinstance(found, click.Group)
    found.make_context(name, arguments)
    return name


def check_environment(variables: Mapping[str, str | None]) -> None:
    """Fail on names that nothing reads, and on values that our program would refuse; None is a value from elsewhere."""
    assert variables.keys() - OURS - STORAGES == set()
    given = {
        name: value
        for name, value in variables.items()
        if value and name in OURS and name[-5:] != "_FILE"
    }
    read_settings({"GEMINI_API_KEY": "key"} | given)


def require_secrets(process: str, variables: Iterable[str]) -> None:
    """The web process alone knows the signing secret, workers alone sign; key and Redis are of use to both."""
    names = {name.removesuffix("_FILE") for name in variables}
    assert {"GEMINI_API_KEY", "REDIS_URL", "STORAGE_URL"} <= names
    assert ("GEMINI_WEBHOOK_SECRET" in names) == (process in {"web", "serve"})
    assert "PROOF_KEY" not in names or process == "worker"
