"""Requests that programs send in: a real web process, the sandbox, and a worker."""

import json
import re
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver.inbox.ledger import Inbox
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import SUBMISSIONS
from receiver.storage import LocalStorage
from receiver.submissions.policy import Policy
from receiver.submissions.records import SubmissionRecords, list_submissions
from tests.object_server.running import ObjectServer
from tests.receiver.api.calling import BEARER, MODEL, Api, serving
from tests.receiver.submissions.submitting import run
from tests.running import running_program
from tests.waiting import eventually

MEGA = 1_000_000


@pytest.fixture(scope="module")
def started(
    valkey_url: str, sandbox_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    with serving(folder, valkey_url, sandbox_url, GEMINI_API_KEY__ACME="acme-key") as api:
        yield api


@pytest.fixture
def api(started: Api, redis_url: str) -> Iterator[Api]:  # noqa: ARG001 - it empties Redis
    """Nothing was submitted to it, and no upload leaves anything behind."""
    for path in sorted((started.folder / "outputs").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    yield started
    eventually(lambda: not list((started.folder / "scratch").iterdir()))


def requests_of(number: int, text: str = "Hi") -> bytes:
    """Requests that no other test sends."""
    salt = uuid.uuid4().hex
    rows = [
        {"key": f"{salt}/{one}", "request": {"contents": [{"parts": [{"text": text}]}]}}
        for one in range(number)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def kept(api: Api) -> list[str]:
    storage = LocalStorage(api.folder / "outputs")
    return [one.id for one in list_submissions(storage)]


def policy_of(api: Api, submission_id: str) -> Policy:
    return SubmissionRecords(LocalStorage(api.folder / "outputs"), submission_id).read_policy()


def test_requests_are_sent_and_their_answers_read(api: Api, tmp_path: Path) -> None:
    """The same file by the command is the same submission."""
    body = requests_of(3)
    answer = api.submit(body, headers={"content-type": "application/jsonl; charset=utf-8"})
    assert answer.status_code == 201
    said = answer.json()
    assert (said["known"], said["requests"], len(said["parts"])) == (False, 3, 1)
    assert any(note.startswith("cost: ") for note in said["notes"])
    assert any(note.startswith("no worker is running") for note in said["notes"])
    waiting = api.get("/submissions?state=waiting")
    assert [one["id"] for one in waiting] == [said["id"]]

    file = tmp_path / "requests.jsonl"
    file.write_bytes(body)
    again = run(api.environ, "batches", "submit", str(file), "--model", MODEL)
    assert again.stdout.startswith(f"already submitted as {said['submission']} ")

    path = answer.headers["location"].removeprefix("/api")
    with running_program(api.folder, {**api.environ, "RECONCILE_INTERVAL_S": "1"}, "worker"):
        eventually(lambda: api.get(path)["state"] == "completed", 40)
    shown = api.get(path)
    batch = shown["parts"][0]["batch"]
    assert (shown["state"], shown["answered"]) == ("completed", 3)
    assert shown == json.loads(run(api.environ, "submissions", "show", said["id"], "--json").stdout)
    assert [one["id"] for one in api.get("/submissions?state=completed")] == [said["id"]]
    assert api.get("/submissions?state=waiting") == []
    printed = run(api.environ, "submissions", "list", "--json").stdout
    assert api.get("/submissions") == json.loads(printed)
    key = json.loads(body.splitlines()[1])["key"]
    result = api.get(f"/{batch}/results/{key}")
    assert (result["key"], result["outcome"]) == (key, "ok")
    assert "candidates" in result["result"]["response"]


def test_same_requests_are_one_submission(api: Api) -> None:
    body = requests_of(2)
    first = api.submit(body, "&rounds=1&max_cost=5&overdue_s=60").json()
    again = api.submit(body, "&max_cost=none")
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert again.json()["known"]
    assert policy_of(api, first["id"]) == Policy(rounds=1, overdue_s=60)
    other = api.submit(body, "&display_name=%3Cb%3E%0A%1B%5B2J")
    assert other.status_code == 201
    assert sorted(kept(api)) == sorted([first["id"], other.json()["id"]])


def test_same_requests_at_once_are_one_submission(api: Api) -> None:
    body = requests_of(50)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: api.submit(body), range(2)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert {answer.json()["id"] for answer in answers} == set(kept(api))


def listed(api: Api, query: str) -> tuple[list[str], int]:
    """The ids of all pages, and how many pages there are."""
    found, count, path = list[str](), 0, f"/submissions?{query}"
    while path:
        answer = api.ask(path)
        found += [one["id"] for one in answer.json()]
        count += 1
        path = answer.links.get("next", {}).get("url", "").removeprefix("/api")
    return found, count


def test_submissions_are_listed_by_their_state(api: Api, client: "redis.Redis") -> None:
    """The pages of those under way end where the others begin."""
    paused, waiting, *buried = [api.submit(requests_of(1)).json() for _ in range(4)]
    ledger = Inbox(client, ledger=SUBMISSIONS)
    for one in buried:
        lease = ledger.claim(one["submission"])
        assert lease is not None
        ledger.bury(lease, "no such model")
    run(api.environ, "submissions", "pause", paused["id"])

    assert listed(api, "state=paused") == ([paused["id"]], 1)
    assert listed(api, "state=waiting&limit=1") == ([waiting["id"]], 3)
    found, _ = listed(api, "state=buried&limit=1")
    assert sorted(found) == sorted(one["id"] for one in buried)
    assert listed(api, "project=acme") == ([], 1)
    assert len(listed(api, "limit=3&project=default")[0]) == 4


def test_options_are_those_of_the_command(api: Api, tmp_path: Path) -> None:
    body, file = requests_of(5), tmp_path / "requests.jsonl"
    file.write_bytes(body)
    options = {"max_requests": "2", "rounds": "0", "rescue": "flex", "project": "default"}
    query = "".join(f"&{name}={value}" for name, value in options.items())
    said = api.submit(body, f"{query}&rescue_after_s=3600&dry_run=true").json()
    words = [
        word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)
    ]
    command = ["batches", "submit", str(file), "--model", MODEL, *words, "--rescue-after", "1h"]
    printed = json.loads(run(api.environ, *command, "--dry-run", "--json").stdout)
    assert {name: value for name, value in said.items() if name != "notes"} == printed
    assert len(said["parts"]) == 3
    assert kept(api) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("&rounds=21&max_cost=0&inline=maybe", {"rounds", "inline"}),
        ("&max_cost=NaN", {"max_cost"}),
        ("&max_cost=1e999999", {"max_cost"}),
        ("&overdue_s=nan&rescue_after_s=1e300", {"overdue_s", "rescue_after_s"}),
        ("&project=nosuch", {"project"}),
        ("&webhook=ftp://x", {"webhook"}),
        ("&metadata={}", {"metadata"}),
        ("&webhook=https://x.example/hook&metadata=[]", {"metadata"}),
        ("&webhook=https://x.example&metadata=" + '{"x":' * 2_000, {"metadata"}),
        ("&export=/etc/passwd", {"export"}),
        ("&model=again", {"model"}),
    ],
)
def test_wrong_options_are_named(api: Api, query: str, wrong: set[str]) -> None:
    path = f"/submissions?model={MODEL}{query}"
    faults = api.problem(path, 400, "POST", content=requests_of(1))["errors"]
    assert {fault["parameter"] for fault in faults} == wrong
    assert kept(api) == []


def test_wrong_lines_are_named(api: Api, client: "redis.Redis") -> None:
    body = requests_of(1) + b"{}\n" * 30 + b"\xff\n"
    problem = api.submit(body).json()
    assert problem["status"] == 422
    assert problem["detail"].startswith("nothing was sent: 31 lines of the body are no requests")
    assert [fault["line"] for fault in problem["errors"]] == list(range(2, 22))
    assert kept(api) == []
    assert InboxQueries(client, SUBMISSIONS).names("open") == []


@pytest.mark.parametrize(
    ("body", "query", "why"),
    [
        (b"", "", "the input holds no request"),
        (b'{"key": "a", "request": {"nosuch": 1}}\n', "", "say allow_unknown_fields"),
        (None, "&max_cost=0.000000001", "raise max_cost"),
        (None, "&max_requests=1&inline=true&embeddings=true", "no request"),
    ],
)
def test_refusals_speak_of_parameters(api: Api, body: Any, query: str, why: str) -> None:
    answer = api.submit(requests_of(1) if body is None else body, query)
    assert answer.status_code == 422
    assert why in answer.text
    assert str(api.folder) not in answer.text
    assert not re.search(r"--[a-z]", answer.text)
    assert kept(api) == []


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("gemini-3.5-flahs", "did you mean gemini-3.5-flash"),
        ("../../x?y%23z", "is no name of a model"),
        ("a%0Ab%00%1B[2J%FF", "is no name of a model"),
    ],
)
def test_unknown_model_is_refused(api: Api, model: str, why: str) -> None:
    problem = api.problem(f"/submissions?model={model}", 422, "POST", content=requests_of(1))
    assert why in problem["detail"]
    assert kept(api) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/csv"},
        {"content-type": "application/json"},
        {"content-encoding": "gzip"},
    ],
)
def test_other_bodies_are_refused(api: Api, headers: dict[str, str]) -> None:
    assert api.submit(requests_of(1), headers=headers).status_code == 415


def connect(api: Api) -> socket.socket:
    host, port = api.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def begin(size: int) -> bytes:
    head = f"POST /api/submissions?model={MODEL} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
    return f"{head}Authorization: {BEARER['authorization']}\r\n\r\n".encode()


def test_few_bodies_are_taken_in_at_once(api: Api) -> None:
    """Two that stop halfway are given up, keep nothing, and free their places."""
    half = requests_of(2)
    clients = [connect(api) for _ in range(2)]
    for client in clients:
        client.sendall(begin(len(half) + 1) + half)
    scratch = api.folder / "scratch"
    eventually(lambda: len(list(scratch.iterdir())) == 2)
    refused = api.submit(requests_of(1))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    for client in clients:
        client.close()
    eventually(lambda: not list(scratch.iterdir()))
    assert kept(api) == []
    assert api.submit(requests_of(1)).status_code == 201


def test_body_over_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    with connect(api) as client:
        client.sendall(begin(500 * MEGA + 1))
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_stranger_is_refused_before_the_body_is_read(api: Api) -> None:
    with connect(api) as client:
        client.sendall(begin(MEGA).replace(b"Bearer ", b"Bearer x"))
        assert client.recv(4096).startswith(b"HTTP/1.1 401 ")


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def test_large_body_takes_no_more_memory(api: Api) -> None:
    api.submit(requests_of(1))  # loads what is needed
    before = peak_bytes(api.pid)
    lines = requests_of(600, "x" * (MEGA // 10)).splitlines(keepends=True)
    answer = api.submit(iter(lines), "&dry_run=true")  # in chunks
    assert answer.json()["requests"] == 600
    assert peak_bytes(api.pid) - before < 30 * MEGA


def test_absent_redis_keeps_the_requests(sandbox_url: str, tmp_path: Path) -> None:
    with serving(tmp_path, "redis://127.0.0.1:9/0", sandbox_url) as api:
        answer = api.submit(requests_of(1))
        assert answer.status_code == 503
        assert "is kept, but no worker knows of it yet" in answer.json()["detail"]
        assert len(kept(api)) == 1


def test_read_only_rights_to_the_bucket_keep_submissions_out(
    redis_url: str, sandbox_url: str, object_server: ObjectServer, tmp_path: Path
) -> None:
    object_server.turn(fault="denied", on=["put", "create", "part", "start"])
    with serving(tmp_path, redis_url, sandbox_url, STORAGE_URL="s3://bucket") as api:
        refused = api.submit(requests_of(1))
        assert refused.status_code == 503
        assert "the storage did not write" in refused.json()["detail"]
        assert api.get("/submissions") == []
        assert list((tmp_path / "scratch").iterdir()) == []
