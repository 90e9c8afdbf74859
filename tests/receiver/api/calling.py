"""Calls the API as a program does, and holds every answer to the description."""

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from deploy.sandbox.processes import allocate_port
from receiver.api.openapi import describe_api
from tests.running import CLIENT, answers, running_program
from tests.waiting import eventually

TOKEN = "0123456789abcdef-api"
BEARER = {"authorization": f"Bearer {TOKEN}"}
MODEL = "gemini-3.5-flash"
DOCUMENT = describe_api("1")


def closed(schema: Any) -> Any:
    """A schema that allows nothing it does not name, where it names anything."""
    match schema:
        case {"properties": dict(members)} if "type" in schema:
            inner = {name: closed(one) for name, one in members.items()}
            return {**schema, "properties": inner, "additionalProperties": False}
        case dict():
            return {name: closed(one) for name, one in schema.items()}
        case list():
            return [closed(one) for one in schema]
    return schema


CLOSED = closed(copy.deepcopy(DOCUMENT))


def find_operation(method: str, path: str) -> Any:
    for template, methods in CLOSED["paths"].items():
        pattern = re.sub(r"{key}", ".*", template)
        pattern = re.sub(r"{\w+}", "[^/]+", pattern)
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return methods[method.lower()]
    return None


def check_described(method: str, path: str, answer: httpx.Response) -> None:
    """The status, the media type, and the body with every member are what the description says."""
    operation = find_operation(method, path)
    assert operation is not None, path
    described = operation["responses"][str(answer.status_code)]
    media_type = answer.headers["content-type"]
    schema = described["content"][media_type]["schema"]
    whole = {**schema, "components": CLOSED["components"]}
    faults = [one.message for one in Draft202012Validator(whole).iter_errors(answer.json())]
    assert faults == [], answer.text


@dataclass(frozen=True)
class Api:
    """A web process, and the settings of the commands beside it."""

    url: str
    environ: Mapping[str, str]
    folder: Path
    pid: int

    def ask(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        """`path` is below `/api`, and may have a query."""
        headers = BEARER | options.pop("headers", {})
        answer = CLIENT.request(method, f"{self.url}/api{path}", headers=headers, **options)
        described = httpx.URL(f"{self.url}/api{path}").path
        check_described(method, described, answer)
        assert answer.headers["cache-control"] == "no-store"
        return answer

    def get(self, path: str) -> Any:
        answer = self.ask(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def problem(self, path: str, status: int, method: str = "GET", **options: Any) -> Any:
        answer = self.ask(path, method, **options)
        assert answer.status_code == status, answer.text
        assert answer.json()["status"] == status
        return answer.json()

    def submit(self, body: Any, query: str = "", **options: Any) -> httpx.Response:
        path = f"/submissions?model={MODEL}{query}"
        return self.ask(path, "POST", content=body, timeout=60, **options)


@contextmanager
def serving(folder: Path, redis_url: str, gemini_url: str, **more: str) -> Iterator[Api]:
    port = allocate_port()
    environ = {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": gemini_url,
        "REDIS_URL": redis_url,
        "STORAGE_URL": (folder / "outputs").as_uri(),
        "SCRATCH_DIR": str(folder / "scratch"),
        "PORT": str(port),
        "RECONCILE_INTERVAL_S": "0",
        "API_TOKEN": TOKEN,
    } | more
    (folder / "scratch").mkdir()
    with running_program(folder, environ, "serve") as pid:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{url}/health"), 20)
        yield Api(url, environ, folder, pid)
