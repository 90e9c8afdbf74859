"""The status page of a real web process: who may see it, and what it answers."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from receiver.inbox.delivery_log import name_delivery
from receiver.inbox.entry_fields import JobProgress
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import Message
from receiver.notices.queue import NoticeQueue
from receiver.status.auth import COOKIE, SECURE_COOKIE
from receiver.status.credentials import BURST
from receiver.status.pages import SECURITY
from receiver.storage import LocalStorage
from tests import nasty
from tests.receiver.inbox.test_queries import claimed, fill
from tests.running import CLIENT, answers, running_program
from tests.waiting import eventually
from tests.workers.storing import change_manifest, store

TOKEN = "0123456789abcdef-status"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def settings_of(redis_url: str, folder: Path, port: int) -> dict[str, str]:
    return {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": "http://127.0.0.1:9",
        "REDIS_URL": redis_url,
        "STORAGE_URL": (folder / "outputs").as_uri(),
        "PORT": str(port),
        "RECONCILE_INTERVAL_S": "0",
        "STATUS_TOKEN": TOKEN,
    }


@contextmanager
def serving(redis_url: str, folder: Path, **more: str) -> Iterator[str]:
    port = allocate_port()
    with running_program(folder, settings_of(redis_url, folder, port) | more, "serve"):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{url}/health"), 20)
        yield url


@pytest.fixture(scope="module")
def started(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(
        valkey_url, tmp_path_factory.mktemp("web"), PUBLIC_URL="https://batches.example.com"
    ) as url:
        yield url


@pytest.fixture
def web_url(started: str, redis_url: str) -> str:
    """A process whose inbox has one batch of every state."""
    with connect(redis_url) as client:
        fill(client)
    return started


def log_in(web_url: str, token: str = TOKEN, back: str = "", **headers: str) -> httpx.Response:
    form = {"token": token, "back": back}
    return CLIENT.post(f"{web_url}/status/login", data=form, headers={"origin": web_url} | headers)


def cookies(answer: httpx.Response) -> dict[str, str]:
    """The session as a browser would send it again."""
    found = re.match(r"([^=]+)=([^;]+);", answer.headers["set-cookie"])
    assert found
    return {"cookie": f"{found[1]}={found[2]}"}


def form_of(web_url: str, session: dict[str, str]) -> str:
    found = re.search(
        r'name="form" value="([0-9a-f]{64})"', CLIENT.get(f"{web_url}/status", headers=session).text
    )
    assert found
    return found[1]


def state_of(redis_url: str, batch: str) -> str:
    with redis.Redis.from_url(redis_url) as client:
        return Inbox(client).entries([batch])[batch].state


def test_no_token_is_no_page(redis_url: str, tmp_path: Path) -> None:
    with serving(redis_url, tmp_path, STATUS_TOKEN="") as url:
        for path in ("", "/batches/abc", "/static/status.css", "/login", "/batches"):
            answer = CLIENT.get(f"{url}/status{path}", headers=BEARER)
            assert (answer.status_code, answer.text) == (404, "Not Found")
        assert CLIENT.post(f"{url}/status/login", data={"token": ""}).status_code == 404


def test_short_token_stops_the_start(redis_url: str, tmp_path: Path) -> None:
    with running_program(
        tmp_path, settings_of(redis_url, tmp_path, 1) | {"STATUS_TOKEN": "short"}, "serve"
    ):
        log = tmp_path / "serve.log"
        eventually(lambda: "STATUS_TOKEN: expected at least 16 characters" in log.read_text(), 20)


@pytest.mark.parametrize(
    "path", ["", "/batches?state=buried", "/batches/open", "/acme/batches/abc", "/batches/a%22b"]
)
def test_stranger_sees_only_the_login(web_url: str, path: str) -> None:
    for headers in ({}, {"cookie": f"{COOKIE}=9999999999.x.y"}, {"authorization": "Basic eDp5"}):
        answer = CLIENT.get(f"{web_url}/status{path}", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert 'name="token"' in answer.text
        assert not any(
            f"batches/{state}" in answer.text.replace(path, "")
            for state in ("open", "buried", "done")
        )


def test_codes_of_errors_have_their_names(redis_url: str, tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    store(storage, b"\n".join((nasty.failure("a", 8), nasty.answer("b"))), 2)
    priced = {"answers": 1, "of": 2, "why": "\ud800\u202e<b>"}  # shown through its own words
    change_manifest(storage, error={"code": 13, "message": "broken"}, priced=priced)
    with connect(redis_url) as client:
        Inbox(client).accept([Arrival("batches/b1", "batch.succeeded", "static")])
    with serving(redis_url, tmp_path) as url:
        page = CLIENT.get(f"{url}/status/batches/b1", headers=BEARER).text
    assert 'data-label="Code">8 RESOURCE_EXHAUSTED</td>' in page
    assert "13 INTERNAL broken" in page
    assert "1 of 2 answers are priced: ��&lt;b&gt;" in page


def test_page_says_where_answers_and_the_inbox_are(redis_url: str, tmp_path: Path) -> None:
    """Without the password. The test's server takes any."""
    storage = LocalStorage(tmp_path / "outputs")
    store(storage, nasty.answer("a"), 1)
    secret_url = redis_url.replace("redis://", "redis://default:canary-secret@")
    with serving(secret_url, tmp_path) as url:
        pages = [
            CLIENT.get(f"{url}/status{path}", headers=BEARER).text
            for path in ("/system", "/batches/b1")
        ]
    assert f"<code>{tmp_path / 'outputs'}</code>" in pages[0]
    assert f"<code>{redis_url}</code>" in pages[0]
    assert f"{tmp_path / 'outputs'}/b1" in pages[1]
    assert "canary-secret" not in "".join(pages)


def test_display_name_stands_before_the_id(redis_url: str, tmp_path: Path) -> None:
    with connect(redis_url) as client:
        inbox = Inbox(client)
        inbox.renew(
            claimed(inbox, "batches/abc"),
            progress=JobProgress(stage="split", display_name="evening"),
        )
        delivered = name_delivery("", "v1", "msg_1")
        inbox.accept([Arrival("batches/abc", "batch.succeeded", "static", delivered)])
    with serving(redis_url, tmp_path) as url:
        page, deliveries = (
            CLIENT.get(f"{url}/status{path}", headers=BEARER).text for path in ("", "/deliveries")
        )
    link = r'<a [^>]*href="/status/batches/abc"[^>]*>\s*<bdi>(.*)</bdi>\s*</a>'
    assert re.findall(link, page) == re.findall(link, deliveries) == ["evening"]
    assert page.index("evening") < page.index(">abc<")


def test_token_opens_a_session(web_url: str) -> None:
    answer = log_in(web_url, back="/status/batches/open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/status/batches/open")
    attributes = answer.headers["set-cookie"].split("; ")[1:]
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=28800"} <= set(attributes)
    assert "Secure" not in attributes
    page = CLIENT.get(f"{web_url}/status", headers=cookies(answer))
    assert page.status_code == 200
    assert "Log out" in page.text
    assert TOKEN not in page.text + str(answer.headers)


def test_tests_share_no_session(web_url: str) -> None:
    log_in(web_url)
    assert CLIENT.get(f"{web_url}/status").status_code == 401


def test_browser_that_came_over_https_gets_a_secure_cookie(web_url: str) -> None:
    """TLS ends before us: the browser says where its form was, PUBLIC_URL that it may be there."""
    answer = log_in(web_url, origin="https://batches.example.com")
    assert answer.headers["set-cookie"].startswith(f"{SECURE_COOKIE}=")
    assert "Secure" in answer.headers["set-cookie"]
    assert CLIENT.get(f"{web_url}/status", headers=cookies(answer)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://["},
        {"origin": "http://[", "host": "["},
        {"origin": "http://a:99999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_form_of_another_page_does_nothing(
    web_url: str, redis_url: str, headers: dict[str, str]
) -> None:
    assert log_in(web_url, **headers).status_code == 403
    session = cookies(log_in(web_url))
    right = {"form": form_of(web_url, session)}
    path = f"{web_url}/status/batches/open/bury"
    answer = CLIENT.post(path, data=right, headers=session | {"origin": web_url} | headers)
    assert answer.status_code == 403
    assert "Nothing was done" in answer.text
    assert state_of(redis_url, "batches/open") == "open"


@pytest.mark.parametrize("form", [{}, {"form": ""}, {"form": "0" * 64}])
def test_form_without_its_secret_does_nothing(
    web_url: str, redis_url: str, form: dict[str, str]
) -> None:
    session = cookies(log_in(web_url)) | {"origin": web_url, "sec-fetch-site": "same-origin"}
    for action in ("retry", "bury", "replay"):
        assert (
            CLIENT.post(
                f"{web_url}/status/batches/leased/{action}", data=form, headers=session
            ).status_code
            == 403
        )
    assert CLIENT.post(f"{web_url}/status/logout", data=form, headers=session).status_code == 403
    assert state_of(redis_url, "batches/leased") == "leased"


def test_buttons_change_and_say_so(web_url: str, redis_url: str) -> None:
    session = cookies(log_in(web_url))
    form = {"form": form_of(web_url, session)}
    for action, batch, result, state in (
        ("bury", "leased", "buried", "buried"),
        ("bury", "done", "ended", "done"),
        ("retry", "buried", "retried", "open"),
        ("retry", "nosuch", "unknown", None),
    ):
        path = f"/status/batches/{batch}"
        answer = CLIENT.post(
            f"{web_url}{path}/{action}", data=form, headers=session | {"origin": web_url}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?result={result}")
        page = CLIENT.get(f"{web_url}{answer.headers['location']}", headers=session)
        assert 'role="status"' in page.text
        if state:
            assert state_of(redis_url, f"batches/{batch}") == state


def test_nothing_changes_by_get(web_url: str, redis_url: str) -> None:
    for action in ("retry", "bury", "replay"):
        assert (
            CLIENT.get(f"{web_url}/status/batches/open/{action}", headers=BEARER).status_code == 405
        )
    assert CLIENT.get(f"{web_url}/status/logout", headers=BEARER).status_code == 405
    assert CLIENT.get(f"{web_url}/status/login").headers["location"] == "/status"
    assert state_of(redis_url, "batches/open") == "open"


def test_failed_replay_says_why(web_url: str) -> None:
    """No Gemini answers at the address of this process; and it knows no project acme."""
    answer = CLIENT.post(f"{web_url}/status/acme/batches/x/replay", headers=BEARER)
    assert (answer.status_code, "the project acme is not known here" in answer.text) == (502, True)
    assert '<a href="/status/acme/batches/x">Open the page again</a>' in answer.text
    assert '<a href="/status">Open the page again.</a>' in log_in(web_url, token="wrong").text


def test_message_is_never_what_the_address_says(web_url: str) -> None:
    page = CLIENT.get(f"{web_url}/status/batches/open?result=%3Cb%3Eforged", headers=BEARER).text
    assert "forged" not in page
    assert 'role="status"' not in page


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example",
        "https://evil.example/",
        "/status//evil.example",
        "/status/../x",
        "/status/..",
        "/status/./x",
        "/status/%2e%2E/x",
        "/status/.%2e",
        "/status/%2E?x",
        "/status/..#x",
        "/status\\x",
        "/statusx",
        "/webhooks",
        "\r\nx: y",
        "/status/batches\r\nx: y",
    ],
)
def test_login_leads_only_to_our_own_pages(web_url: str, back: str) -> None:
    assert log_in(web_url, back=back).headers["location"] == "/status"


@pytest.mark.parametrize(
    "back",
    [
        "/status",
        "/status/batches",
        "/status/batches?state=buried&page=2",
        "/status/acme/batches/abc",
        "/status/submissions/5d41402a",
        "/status/batches/abc/results/a%2Fb%20c",
    ],
)
def test_login_leads_back_to_where_one_wanted_to_go(web_url: str, back: str) -> None:
    asked = re.search(r'name="back" value="([^"]*)"', CLIENT.get(f"{web_url}{back}").text)
    assert asked is None or html.unescape(asked[1]) == back  # None where no page has it
    assert log_in(web_url, back=back).headers["location"] == back


def test_address_without_a_page_leads_back(web_url: str) -> None:
    for path in ("/nosuch", "/batches/open/no/such", "/submissions/a%20b"):
        answer = CLIENT.get(f"{web_url}/status{path}", headers=BEARER)
        assert (answer.status_code, '<a href="/status">Go to' in answer.text) == (404, True)
        assert SECURITY.items() <= dict(answer.headers).items()
        assert 'name="token"' in CLIENT.get(f"{web_url}/status{path}").text
    button = CLIENT.get(f"{web_url}/status/batches/open/bury", headers=BEARER)
    assert (button.status_code, button.headers["allow"]) == (405, "POST")
    assert "Press it on its page" in button.text
    for path in ("/nosuch", "/statusx", "/status/static/nosuch.css"):
        answer = CLIENT.get(f"{web_url}{path}", headers=BEARER)
        assert (answer.status_code, "<main" in answer.text) == (404, False)


def test_icon_of_every_page_shows_trouble(redis_url: str, tmp_path: Path) -> None:
    """What needs attention here: a buried batch, and no worker for it."""
    with serving(redis_url, tmp_path) as url:
        fresh = CLIENT.get(f"{url}/status/batches", headers=BEARER).text
        with connect(redis_url) as client:
            fill(client)

        def icons() -> set[str]:
            pages = ("", "/batches/open", "/nosuch", "/submissions")
            texts = [CLIENT.get(f"{url}/status{page}", headers=BEARER).text for page in pages]
            return {found for text in texts for found in re.findall(r"static/(icon[^?]*)\?v", text)}

        assert re.findall(r'id="icon"[^>]*static/(icon[^?]*)', fresh) == ["icon.svg"]
        eventually(lambda: "icon-trouble.svg" in icons(), 10, "the next reading")
        login = CLIENT.get(f"{url}/status").text
        assert "icon-trouble.svg" not in login  # a stranger learns nothing
        assert "<svg" in CLIENT.get(f"{url}/status/static/icon-trouble.svg").text


def test_first_run_is_a_list_of_steps(redis_url: str, tmp_path: Path) -> None:
    with serving(redis_url, tmp_path) as url:
        page = CLIENT.get(f"{url}/status", headers=BEARER).text
        assert "before the first batch" in page
        assert "<code>gemini-batch-receiver worker</code>" in page
        assert "All is well" not in page
        assert "need attention" not in page
        with connect(redis_url) as client:
            Inbox(client).accept([Arrival("batches/one", "batch.succeeded", "static")])

        def now() -> str:
            return CLIENT.get(f"{url}/status", headers=BEARER).text

        eventually(lambda: "need attention" in now(), 10, "the first batch")
        assert "before the first batch" not in now()


def test_former_address_of_the_lists_leads_to_them(web_url: str) -> None:
    answer = CLIENT.get(f"{web_url}/status/list?state=buried&page=2")
    assert answer.headers["location"] == "/status/batches?state=buried&page=2"


def test_logout_takes_the_cookie_away(web_url: str) -> None:
    session = cookies(log_in(web_url))
    form = {"form": form_of(web_url, session)}
    answer = CLIENT.post(
        f"{web_url}/status/logout", data=form, headers=session | {"origin": web_url}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/status")
    assert [text.partition(";")[0] for text in answer.headers.get_list("set-cookie")] == [
        f'{COOKIE}=""',
        f'{SECURE_COOKIE}=""',
    ]


def test_program_sends_the_token_itself(web_url: str, redis_url: str) -> None:
    assert CLIENT.get(f"{web_url}/status", headers=BEARER).status_code == 200
    answer = CLIENT.post(f"{web_url}/status/batches/open/bury", headers=BEARER)
    assert answer.status_code == 303
    assert state_of(redis_url, "batches/open") == "buried"
    assert CLIENT.get(f"{web_url}/status?token={TOKEN}").status_code == 401


def test_every_answer_has_the_headers(web_url: str) -> None:
    paths = {
        "": 200,
        "/": 200,
        "/batches/open": 200,
        "/batches/nosuch": 404,
        "/batches/a.b": 404,
        "/batches": 200,
        "/deliveries": 200,
        "/notices": 200,
        "/system": 200,
    }
    for path, status in paths.items():
        answer = CLIENT.get(f"{web_url}/status{path}", headers=BEARER)
        assert answer.status_code == status
        assert answer.headers["cache-control"] == "no-store"
        assert SECURITY.items() <= dict(answer.headers).items()
    login = CLIENT.get(f"{web_url}/status")
    assert SECURITY.items() <= dict(login.headers).items()
    assert login.headers["cache-control"] == "no-store"
    style = CLIENT.get(f"{web_url}/status/static/status.css")
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert CLIENT.get(f"{web_url}/status/static/..%2fpages.py").status_code == 404


def test_page_has_nothing_that_the_policy_forbids(web_url: str) -> None:
    for path in ("", "/batches/buried", "/batches?state=done"):
        page = CLIENT.get(f"{web_url}/status{path}", headers=BEARER).text
        assert not re.search(r"\s(style|on[a-z]+)=", page)
        assert re.findall(r"<(?:script|style)[^>]*>", page) == re.findall(
            r'<script src="[^"]+" defer>', page
        )


def test_script_gets_only_the_part_that_changes(web_url: str) -> None:
    part = CLIENT.get(f"{web_url}/status", headers=BEARER | {"x-status-fragment": "1"}).text
    assert part.lstrip().startswith("<main")
    assert "<header" not in part


def test_lists_come_in_pages(web_url: str, redis_url: str) -> None:
    with connect(redis_url) as client:
        Inbox(client).accept(
            [Arrival(f"batches/w{n:03}", "batch.succeeded", "static") for n in range(60)]
        )
    first = CLIENT.get(f"{web_url}/status/batches?state=open", headers=BEARER).text
    link = re.search(r'<a rel="next" href="([^"]+)">\s*Next page', first)
    assert link is not None
    last = CLIENT.get(f"{web_url}{html.unescape(link[1])}", headers=BEARER).text
    assert 'rel="next"' not in last
    assert '<a rel="first" href="/status/batches?state=open">' in last
    shown = set(re.findall(r'href="/status/batches/(w\d+)"', first + last))
    assert len(shown) == 60
    for odd in (
        "state=x",
        "after=-1",
        "after=%F0%9F%98%80",
        "from=soon",
        "to=9999-12-31",
        "sort=a",
    ):
        assert CLIENT.get(f"{web_url}/status/batches?{odd}", headers=BEARER).status_code == 200


def test_wrong_tokens_are_limited(redis_url: str, tmp_path: Path) -> None:
    with serving(redis_url, tmp_path) as url:
        session = cookies(log_in(url))
        statuses = [log_in(url, token=f"wrong {number}").status_code for number in range(BURST)]
        assert set(statuses) == {401}
        answers_then = [log_in(url), CLIENT.get(f"{url}/status", headers=BEARER)]
        assert 429 in [answer.status_code for answer in answers_then]
        refused = next(answer for answer in answers_then if answer.status_code == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert CLIENT.get(f"{url}/status", headers=session).status_code == 200
        eventually(lambda: log_in(url).status_code == 303, 20, "a free try")
        assert TOKEN not in (tmp_path / "serve.log").read_text()
        assert "wrong 1" not in (tmp_path / "serve.log").read_text()


def test_session_is_known_to_every_process(web_url: str, redis_url: str, tmp_path: Path) -> None:
    session = cookies(log_in(web_url))
    with serving(redis_url, tmp_path) as other:
        assert CLIENT.get(f"{other}/status", headers=session).status_code == 200


def test_absence_of_redis_is_reported_and_survived(tmp_path: Path) -> None:
    port = allocate_port()
    valkey = start_valkey(tmp_path, port)
    with serving(f"redis://127.0.0.1:{port}/0", tmp_path) as url:
        assert CLIENT.get(f"{url}/status", headers=BEARER).status_code == 200
        stop(valkey)
        for path in ("", "/batches", "/batches/abc"):
            away = eventually(lambda path=path: unavailable(f"{url}/status{path}"), 20)  # type: ignore[misc] # mypy infers no lambda's default
            assert away is not None
            assert "Redis is away" in away.text
            assert "<code>gemini-batch-receiver up</code>" in away.text
            assert away.headers["cache-control"] == "no-store"
        assert CLIENT.post(f"{url}/status/batches/abc/retry", headers=BEARER).status_code == 503
        valkey = start_valkey(tmp_path, port)
        try:
            eventually(lambda: CLIENT.get(f"{url}/status", headers=BEARER).status_code == 200, 20)
        finally:
            stop(valkey)


def unavailable(url: str) -> httpx.Response | None:
    answer = CLIENT.get(url, headers=BEARER)
    return answer if answer.status_code == 503 else None


def test_spoilt_entry_is_reported(web_url: str, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.hset("gbr:entry:batches/spoilt", mapping={"state": "buried"})
    answer = CLIENT.get(f"{web_url}/status/batches/spoilt", headers=BEARER)
    assert (answer.status_code, "This page failed" in answer.text) == (500, True)
    assert SECURITY.items() <= dict(answer.headers).items()


def test_absence_of_the_storage_leaves_the_rest(redis_url: str, tmp_path: Path) -> None:
    with connect(redis_url) as client:
        fill(client)
    (tmp_path / "file").write_text("")
    with serving(redis_url, tmp_path, STORAGE_URL=(tmp_path / "file" / "below").as_uri()) as url:
        page = CLIENT.get(f"{url}/status/batches/buried", headers=BEARER)
        assert page.status_code == 200
        assert (
            "What is stored can&#39;t be shown" in page.text
            or "What is stored can't be shown" in page.text
        )
        assert "no such file" in page.text


def test_notices_are_shown_by_state(web_url: str, redis_url: str) -> None:
    assert "Nobody gets notices" in CLIENT.get(f"{web_url}/status/notices", headers=BEARER).text
    with connect(redis_url) as client:
        Outbox(client, ["0123456789ab"]).enqueue("batches/one", Message("results.stored", {}))
        notice = NoticeQueue(client, "0123456789ab").claim()
        assert notice is not None
        NoticeQueue(client, "0123456789ab").mark_dead(notice, "HTTP 410 <b>")
        Outbox(client, ["0123456789ab"]).enqueue("batches/other", Message("results.failed", {}))

    def shown() -> str:
        text = CLIENT.get(f"{web_url}/status/notices", headers=BEARER).text
        return text if "<table" in text else ""

    page = eventually(shown, 10, "the next snapshot")
    assert "1 to be sent" in page
    assert "1 dead in 30 days" in page
    assert "HTTP 410 &lt;b&gt;" in page
    assert 'href="/status/batches/one"' in page
    assert "not in the settings any more" in page
