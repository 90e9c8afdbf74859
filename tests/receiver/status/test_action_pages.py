"""Deliveries, notices, buried batches and projects: what is shown, and what the buttons do."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from receiver.inbox.delivery_contents import HIDDEN
from receiver.inbox.delivery_log import (
    DeliveryLog,
    RejectedDelivery,
    fetch_deliveries,
    name_delivery,
)
from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.paused import fetch_paused
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import DEAD_NOTICES, DELIVERIES, NOTICE
from receiver.notices.outbox import Outbox
from receiver.settings.notice_targets import NoticeSettings
from receiver.settings.settings import read_settings
from receiver.storage import LocalStorage
from receiver.submissions.again import read_wish, tell_wish
from tests import nasty
from tests.receiver.inbox.test_queries import claimed
from tests.receiver.status.test_routes import BEARER, serving
from tests.running import CLIENT
from tests.workers.stored_batches import used
from tests.workers.storing import put_input, store
from tests.workers.submissions.stored_submissions import request

NOTIFY = {"NOTIFY_URL": "http://127.0.0.1:9/hook", "NOTIFY_SECRET": "whsec_" + "c2VjcmV0" * 4}
MORE = NOTIFY | {"NOTIFY_PRIVATE": "true", "GEMINI_API_KEY__ACME": "acme-key"}
HOSTILE = "<img src=x onerror=alert(1)>\"'\u202e"


class Web:
    """One process for all tests; its Redis is emptied before each."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.storage = url, LocalStorage(folder / "outputs")

    def get(self, path: str, status: int = 200) -> str:
        answer = CLIENT.get(f"{self.url}/status{path}", headers=BEARER)
        assert answer.status_code == status
        return answer.text

    def press(self, path: str, **fields: str) -> str:
        """Give the page that a button leads to."""
        answer = self.post(path, **fields)
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["location"].removeprefix("/status"))

    def post(self, path: str, **fields: str) -> httpx.Response:
        return CLIENT.post(f"{self.url}/status{path}", headers=BEARER, data=fields)


@pytest.fixture(scope="module")
def started(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    with serving(valkey_url, folder, **MORE) as url:
        yield Web(url, folder)


@pytest.fixture
def web(started: Web, client: "redis.Redis") -> Web:  # noqa: ARG001 - which is empty by then
    return started


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def buttons(page: str) -> list[str]:
    return re.findall(r'<button class="main">([^<]*)</button>', page)


def deliver(client: "redis.Redis", delivery_id: str, batch: str = "abc", note: str = "") -> str:
    """Gives where it is shown."""
    name = name_delivery("", "v1", delivery_id)
    Inbox(client).accept([Arrival(f"batches/{batch}", "batch.succeeded", "static", name)])
    body = f'{{"type":"batch.succeeded","data":{{"id":"{batch}","note":"{note}"}}}}'
    headers = {b"content-type": b"application/json", b"webhook-signature": b"v1,c2VjcmV0"}
    log = DeliveryLog(client)
    log.contents.add(name, headers, body.encode())
    log.flush()
    return f"/deliveries/{fetch_deliveries(client, 1)[0].ref}"


def reject(client: "redis.Redis", *deliveries: RejectedDelivery) -> None:
    log = DeliveryLog(client)
    for one in deliveries:
        log.add(one)
    log.flush()


def test_deliveries_are_listed_by_verdict_and_project(web: Web, client: "redis.Redis") -> None:
    deliver(client, "msg_1")
    reject(
        client,
        RejectedDelivery("refused", f"acme/:{HOSTILE}", cause=HOSTILE),
        RejectedDelivery("ignored", "v1:msg_ping", "ping"),
    )
    page = web.get("/deliveries")
    assert "<img src=x" not in page
    assert "All Accepted 1" in text_of(page)
    assert "Refused 1" in text_of(page)
    refused = web.get("/deliveries?verdict=refused&project=acme")
    assert "msg_1" not in refused
    assert "&lt;img src=x onerror=alert(1)&gt;" in refused
    assert "None of the last deliveries is malformed for the project acme." in text_of(
        web.get("/deliveries?verdict=malformed&project=acme")
    )
    assert "msg_ping" in web.get("/deliveries?verdict=nonsense&page=99")


def test_a_delivery_is_opened_without_its_signature(web: Web, client: "redis.Redis") -> None:
    page = web.get(deliver(client, "msg_1", note="<b>\\u202e"))
    shown = text_of(page)
    assert "accepted" in shown
    assert f"webhook-signature v1 {HIDDEN}" in shown
    assert "c2VjcmV0" not in page
    assert '\n    "note": "&lt;b&gt;' in page.replace("&#34;", '"')
    assert "\u202e" not in page
    assert buttons(page) == []  # its batch waits already


def test_a_delivery_that_just_came_has_no_body_yet(web: Web, client: "redis.Redis") -> None:
    arrival = Arrival("batches/abc", "batch.succeeded", "static", name_delivery("", "v1", "msg_1"))
    Inbox(client).accept([arrival])
    path = f"/deliveries/{fetch_deliveries(client, 1)[0].ref}"
    assert "kept a moment later" in web.get(path)
    row: Any = client.lpop(DELIVERIES)
    client.lpush(DELIVERIES, row.replace(b"17", b"16", 1))  # of years ago
    path = f"/deliveries/{fetch_deliveries(client, 1)[0].ref}"
    assert "not kept any more: only those of the last 200" in web.get(path)


def test_a_delivery_is_taken_in_again_where_its_batch_is_gone(
    web: Web, client: "redis.Redis"
) -> None:
    path = deliver(client, "msg_1")
    Inbox(client).purge(["batches/abc"])
    page = web.get(path)
    assert buttons(page) == ["Take it in again"]
    assert "The same as gemini-batch-receiver inbox delivery msg_1 --again" in text_of(page)
    assert "It is taken in again" in web.press(f"{path}/again")
    assert Inbox(client).entries(["batches/abc"])["batches/abc"].state == "open"
    assert "It is queued already" in web.press(f"{path}/again")

    web.storage.put_many([("b7/_manifest.json", b"{}")])
    stored = deliver(client, "msg_2", "b7")
    Inbox(client).purge(["batches/b7"])
    assert "stored; the inbox does not know it any more" in text_of(web.get(stored))
    assert buttons(web.get(stored)) == []


def test_a_refused_delivery_says_why_it_has_no_body(web: Web, client: "redis.Redis") -> None:
    reject(client, RejectedDelivery("refused", ":msg_1", cause="no signature fits"))
    path = f"/deliveries/{fetch_deliveries(client, 1)[0].ref}"
    page = web.get(path)
    assert "no signature fits" in page
    assert "are not kept: anybody can send one" in text_of(page)
    assert buttons(page) == []
    assert "proves nothing" in web.press(f"{path}/again")
    assert InboxQueries(client).names("open") == []
    assert "not in the list any more" in web.get("/deliveries/1-abc", 404)


def test_buried_batches_are_retried_by_project_and_cause(web: Web, client: "redis.Redis") -> None:
    inbox = Inbox(client)
    for name, cause in (("batches/a", f"quota {HOSTILE}"), ("batches/b", "no such file")):
        inbox.bury(claimed(inbox, name), cause)
    inbox.bury(claimed(inbox, "acme/batches/c"), "over QUOTA")
    page = web.get("/buried?cause=quota")
    assert "<img src=x" not in page
    assert buttons(page) == ["Retry 2 batches"]
    same = "gemini-batch-receiver inbox retry --all-buried --cause quota"
    assert f"The same as {same}" in text_of(page)
    assert "no such file" not in page

    named = web.get("/buried?cause=quota&project=acme")
    assert buttons(named) == ["Retry 1 batch"]
    assert "--all-buried --project acme --cause quota" in text_of(named)
    after = web.press("/buried/retry", project="acme", cause="quota")
    assert "Queued again, from the first attempt: 1." in text_of(after)
    assert 'value="quota"' in after
    assert buttons(after) == []
    assert InboxQueries(client).names("buried") == ["batches/b", "batches/a"]
    assert "Queued again, from the first attempt: 2." in text_of(web.press("/buried/retry"))
    assert "No batch was buried" in web.get("/buried")


def test_projects_are_paused_and_resumed(web: Web, client: "redis.Redis") -> None:
    assert buttons(web.get("/system")) == ["Pause default", "Pause acme"]
    page = web.press("/system/pause", project="acme")
    assert "It is paused" in page
    assert list(fetch_paused(client)) == ["acme"]
    assert buttons(page) == ["Pause default", "Resume acme"]
    assert "gemini-batch-receiver inbox resume --project acme" in text_of(page)
    Inbox(client).accept([Arrival("acme/batches/x", "batch.succeeded", "static")])
    assert "Its project has been paused for" in text_of(web.get("/acme/batches/x"))
    assert "It was paused before" in web.press("/system/pause", project="acme")
    assert "It is resumed" in web.press("/system/resume", project="acme")
    assert fetch_paused(client) == {}
    for order, project in (("pause", "other"), ("stop", "acme")):
        assert web.post(f"/system/{order}", project=project).status_code == 404


def settings_of_notices() -> NoticeSettings:
    return read_settings({"GEMINI_API_KEY": "k"} | NOTIFY | {"NOTIFY_PRIVATE": "true"}).notices


def die(client: "redis.Redis", target: str, text: str) -> str:
    """A dead notice, written at once, since the process sends what waits; gives its name."""
    name, moment = f"{target}/msg_{text[:1]}", client.time()[0] * 1000
    client.hset(
        NOTICE + name,
        mapping={
            "type": "receiver.test",
            "batch": "batches/abc",
            "owed": moment,
            "died": moment,
            "tries": 10,
            "cause": "410 <Gone>",
            "data": json.dumps({"text": text}),
        },
    )
    client.zadd(DEAD_NOTICES, {name: moment})
    return name


def test_dead_notices_are_opened_sent_and_removed(web: Web, client: "redis.Redis") -> None:
    (target,) = settings_of_notices().digests
    dead, stale = die(client, target, f"a{HOSTILE}"), die(client, "0123456789ab", "y")
    page = web.get("/notices?state=dead")
    assert buttons(page) == ["Send 2 dead notices again", "Remove 1 notice without a target"]
    assert "notices retry --all-dead" in page

    opened = web.get(f"/notices/{dead}")
    assert buttons(opened) == ["Send now", "Remove"]
    assert f"notices retry {dead}" in opened
    assert "410 &lt;Gone&gt;" in opened
    assert "<img src=x" not in opened
    assert buttons(web.get(f"/notices/{stale}")) == ["Remove"]

    assert "Removed: 1." in web.press("/notices/purge-stale")
    assert list(Outbox(client).names()) == [dead]
    assert "Sent now, with all tries ahead: 1." in web.press("/notices/retry-dead")
    assert "No notice is dead" in web.get("/notices?state=dead")
    assert "Removed: 1." in web.press(f"/notices/{dead}/purge")
    assert Outbox(client).names() == {}
    assert "never there" in web.get(f"/notices/{dead}", 404)
    assert web.post("/notices/purge-all").status_code == 404


def test_a_batch_has_the_buttons_that_change_something(web: Web, client: "redis.Redis") -> None:
    inbox = Inbox(client)
    inbox.accept([Arrival("batches/due", "batch.succeeded", "static")])
    inbox.postpone(claimed(inbox, "batches/later"), 600, "no space", "attempts")
    claimed(inbox, "batches/running")
    inbox.bury(claimed(inbox, "batches/buried"), "no such file")
    expected = {
        "due": ["Bury"],
        "later": ["Try now", "Bury"],
        "running": ["Bury"],
        "buried": ["Retry"],
    }
    assert {name: buttons(web.get(f"/batches/{name}")) for name in expected} == expected
    assert buttons(web.get("/batches/nosuch", 404)) == ["Replay"]
    assert "gemini-batch-receiver replay --batch nosuch" in web.get("/batches/nosuch", 404)


def test_failed_requests_are_sent_again_with_their_cost_said_before(
    web: Web, client: "redis.Redis"
) -> None:
    put_input(web.storage, b"".join(request(key) for key in ("k1", "k2", "k3")))
    lines = used("k1"), nasty.failure("k2", 8), nasty.failure("k3", 3)
    store(web.storage, b"\n".join(lines), 3)
    page = web.get("/batches/b1")
    assert buttons(page) == ["Send up to 2 failed again"]
    shown = text_of(page)
    assert "By what the answers of this batch cost, that is about $0.0000" in shown
    assert "The same as gemini-batch-receiver resubmit b1" in shown

    after = web.press("/batches/b1/again")
    assert "a worker makes a submission of them" in text_of(after)
    assert buttons(after) == []
    wish = read_wish(client, "batches/b1")
    assert wish is not None
    assert (wish.state, open_queue(client).count) == ("asked", 1)
    assert "it is under way" in web.press("/batches/b1/again")
    assert open_queue(client).count == 1

    tell_wish(client, "batches/b1", "failed", "`DAILY_COST_CAP` says <no>")
    failed = web.get("/batches/b1")
    assert "<code>DAILY_COST_CAP</code> says &lt;no&gt;" in failed
    assert buttons(failed) == ["Send up to 2 failed again"]
    tell_wish(client, "batches/b1", "nothing")
    assert buttons(web.get("/batches/b1")) == []


@pytest.mark.parametrize(
    "path", ["/buried/retry", "/system/pause", "/notices/retry-dead", "/deliveries/1-a/again"]
)
def test_no_form_of_another_page_presses_a_button(web: Web, path: str) -> None:
    assert CLIENT.post(f"{web.url}/status{path}").status_code == 401
    assert CLIENT.get(f"{web.url}/status{path}", headers=BEARER).status_code in (404, 405)
