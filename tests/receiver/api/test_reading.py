"""What programs read, from a real web process: the JSON that the commands print."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis
from jsonschema import Draft202012Validator

from receiver.inbox.delivery_log import DeliveryLog, RejectedDelivery
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import ENTRY
from receiver.storage import LocalStorage
from tests import nasty
from tests.commands import invoke
from tests.receiver.api.calling import BEARER, DOCUMENT, TOKEN, Api, serving
from tests.receiver.inbox.test_queries import claimed, fill
from tests.running import CLIENT
from tests.workers.storing import store

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def started(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    with serving(folder, valkey_url, NOWHERE, GEMINI_API_KEY__ACME="acme-key") as api:
        lines = b"\n".join((*nasty.ROWS, *nasty.LINES))
        store(LocalStorage(folder / "outputs"), lines, None)
        yield api


@pytest.fixture
def api(started: Api, client: "redis.Redis") -> Api:
    """Its inbox has one batch of every state."""
    fill(client)
    return started


def printed(api: Api, *command: str) -> Any:
    return json.loads(invoke(api.environ, *command, "--json").stdout)


def without_age(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "age_s"} for row in rows]


def test_without_a_token_there_is_none(redis_url: str, tmp_path: Path) -> None:
    with serving(tmp_path, redis_url, NOWHERE, API_TOKEN="") as api:
        for path in ("", "/batches", "/openapi.json", "/submissions/x"):
            answer = CLIENT.get(f"{api.url}/api{path}", headers=BEARER)
            assert (answer.status_code, answer.text) == (404, "Not Found")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic eDp5"},
        {"authorization": f"bearer{TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"cookie": f"gbr_status={TOKEN}"},
    ],
)
def test_stranger_learns_nothing(api: Api, headers: dict[str, str]) -> None:
    for path in ("/batches", "/openapi.json", "/nosuch", "/batches/done", "/submissions?model=x"):
        answer = CLIENT.get(f"{api.url}/api{path}", headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert TOKEN not in answer.text


def test_batches_are_those_of_the_command(api: Api, client: "redis.Redis") -> None:
    inbox = Inbox(client)
    inbox.finish(
        claimed(inbox, "acme/batches/x"), Summary(display_name="<b>\x1b[2J", outcomes={"ok": 1})
    )
    rows = api.get("/batches")
    assert len(rows) == 5
    expected = sorted(without_age(printed(api, "inbox", "list")), key=lambda row: str(row["batch"]))
    assert sorted(without_age(rows), key=lambda row: str(row["batch"])) == expected
    assert all(row["age_s"] >= 0 for row in rows)
    shown = api.get("/batches/done")
    assert shown == printed(api, "inbox", "show", "batches/done")
    assert shown["judgement"].startswith("stored")
    assert api.get("/batches/x?project=acme")["batch"] == "acme/batches/x"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=buried", {"buried"}),
        ("text=no%20such", {"buried"}),
        ("outcome=well", {"done"}),
        ("project=default&limit=500", {"open", "leased", "buried", "done"}),
        ("project=acme", set[str]()),
        ("until=2001-01-01T00:00:00Z", set[str]()),
        ("since=2100-01-01T00:00:00Z", set[str]()),
        ("since=2001-01-01T00:00:00&order=oldest&state=done", {"done"}),
    ],
)
def test_batches_are_filtered(api: Api, query: str, names: set[str]) -> None:
    found = {row["batch"].removeprefix("batches/") for row in api.get(f"/batches?{query}")}
    assert found == names


def test_pages_hold_each_batch_once(api: Api, client: "redis.Redis") -> None:
    inbox = Inbox(client)
    for number in range(5):
        inbox.finish(claimed(inbox, f"batches/n{number}"), Summary())
    seen, path = list[str](), "/batches?limit=2&project=default"
    while path:
        answer = api.ask(path)
        seen += [row["batch"] for row in answer.json()]
        path = answer.links.get("next", {}).get("url", "").removeprefix("/api")
        assert not path or "limit=2&project=default&cursor=" in path
    assert len(seen) == len(set(seen)) == 9


def test_deliveries_are_those_of_the_command(api: Api, client: "redis.Redis") -> None:
    delivery_log = DeliveryLog(client)
    delivery_log.add(RejectedDelivery("refused", "acme/:msg_1", cause="</script>\x00 forged"))
    delivery_log.flush()
    Inbox(client).accept([Arrival("batches/new", "batch.succeeded", "static", "v1:msg_2")])
    rows = api.get("/deliveries")
    assert {row["delivery_id"] for row in rows} == {"msg_1", "msg_2"}
    assert rows == printed(api, "inbox", "deliveries")
    assert [row["verdict"] for row in api.get("/deliveries?project=acme")] == ["refused"]


@pytest.mark.parametrize(
    "key",
    ["fr-unicode", "../../de-escape", "de-bom", "de-crlf", "fr-never", "de-blocked", "fr-again"],
)
def test_result_is_that_of_the_command(api: Api, key: str) -> None:
    found = api.get(f"/batches/b1/results/{quote(key, safe='')}")
    assert found == printed(api, "batches", "results", "batches/b1", key)
    assert found["key"] == key


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/batches/nosuch", "the inbox does not know batches/nosuch"),
        ("/batches/a%22b", "no batch can have this id"),
        ("/batches/b2/results/k", "batches/b2 is not stored"),
        ("/batches/b1/results/nosuch", 'batches/b1 has no result for "nosuch"'),
        ("/batches/b1/results/fr-unicode?project=acme", "acme/batches/b1 is not stored"),
        ("/submissions/nosuch", "a submission's id has 20 hex digits"),
        ("/submissions/5d41402abc4b2a76b971", "no submission 5d41402abc4b2a76b971 is known"),
    ],
)
def test_absence_is_named(api: Api, path: str, why: str) -> None:
    assert why in api.problem(path, 404)["detail"]


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/batches?limit=0&state=x&outcom=ok&limit=3", ["limit", "outcom", "state"]),
        ("/batches?outcome=fine", ["outcome"]),
        ("/batches?since=yesterday", ["since"]),
        ("/batches/done?project=nosuch", ["project"]),
        ("/submissions?state=done", ["state"]),
        ("/deliveries?limit=501", ["limit"]),
        ("/openapi.json?x=1", ["x"]),
    ],
)
def test_every_wrong_parameter_is_named(api: Api, path: str, wrong: list[str]) -> None:
    faults = api.problem(path, 400)["errors"]
    assert sorted(fault["parameter"] for fault in faults) == wrong
    assert all(fault["detail"] for fault in faults)


def test_other_addresses_and_methods_are_refused(api: Api) -> None:
    for path, method, status in (
        ("", "GET", 404),
        ("/", "GET", 404),
        ("/nosuch/x", "POST", 404),
        ("/batches", "POST", 405),
        ("/submissions", "DELETE", 405),
    ):
        answer = CLIENT.request(method, f"{api.url}/api{path}", headers=BEARER)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["allow"] == "GET, POST"
    head = CLIENT.head(f"{api.url}/api/batches", headers=BEARER)
    assert (head.status_code, head.content) == (200, b"")


def test_entry_of_another_program_is_named(api: Api, client: "redis.Redis") -> None:
    client.hset(ENTRY + "batches/odd", mapping={"state": "strange"})
    assert "another program changed" in api.problem("/batches/odd", 500)["detail"]


def test_damaged_batch_is_named(api: Api) -> None:
    storage = LocalStorage(api.folder / "outputs")
    storage.put_many([("b3/_manifest.json", b"{")])
    assert api.problem("/batches/b3/results/k", 500)["detail"]


def test_description_is_openapi(api: Api) -> None:
    found = api.get("/openapi.json")
    assert found["paths"] == DOCUMENT["paths"]
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for methods in found["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                Draft202012Validator.check_schema(parameter["schema"])
                assert parameter["description"]
    assert {"/api/batches", "/api/batches/{id}/results/{key}"} <= set(found["paths"])


def test_absent_redis_is_a_problem(tmp_path: Path) -> None:
    with serving(tmp_path, "redis://127.0.0.1:9/0", NOWHERE) as api:
        for path in ("/batches", "/submissions", "/deliveries", "/batches/done"):
            answer: httpx.Response = api.ask(path)
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("Redis did not")
            assert answer.headers["retry-after"] == "5"
