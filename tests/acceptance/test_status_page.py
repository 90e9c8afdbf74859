"""The status page in a real browser, with a real web process, a worker and the sandbox."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, ViewportSize, expect

from receiver.inbox.delivery_log import MAX_LOGGED, DeliveryLog, RejectedDelivery, fetch_deliveries
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import DUE, ENTRY, connect
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import Message
from receiver.notices.queue import NoticeQueue
from receiver.telemetry.metrics import definitions
from receiver.telemetry.metrics.counters import Counters
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import manifest_of
from tests.browsers import running_browser
from tests.running import (
    answers,
    ready_batch,
    running_program,
    set_faults,
    submit_file,
    submit_inline,
)
from tests.seen_pages import faults_of, overflow_px
from tests.waiting import eventually

TOKEN = "canary-status-token"
NOTICE_TARGET = "0123456789ab"
HOSTILE = "<img src=x onerror=alert(1)>\"'</script>{{7*7}}\u202e\x1b[31m"
SHOWN = "<img src=x onerror=alert(1)>\"'</script>{{7*7}}�"
# The browser reports the login, and an unknown batch.
EXPECTED_ERRORS = ("status of 401 (Unauthorized)", "status of 404 (Not Found)")
# And pixels of width.
COLOR_SCHEMES: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1280), ("dark", 390))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@contextmanager
def serving(world: World, *, worker: bool = True) -> Iterator[None]:
    settings = world.settings | {"STATUS_TOKEN": TOKEN}
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        if worker:
            stack.enter_context(running_program(world.folder, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        yield


@contextmanager
def window(browser: Browser, world: World, **options: Any) -> Iterator[Page]:
    """A logged-in window. Errors in it, such as a breach of the content policy, fail the test."""
    errors = list[str]()
    context = browser.new_context(base_url=world.web_url, **options)
    page = context.new_page()

    def note_dialog(dialog: Dialog) -> None:
        errors.append(dialog.message)
        dialog.dismiss()

    def note_line(line: ConsoleMessage) -> None:
        if line.type == "error" and not line.text.endswith(EXPECTED_ERRORS):
            errors.append(line.text)

    page.on("dialog", note_dialog)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", note_line)
    page.goto("/status")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Overview")).to_be_visible()
    yield page
    context.close()
    assert errors == []


def requests_file(count: int) -> bytes:
    rows = [
        {"key": f"k{n}", "request": {"contents": [{"parts": [{"text": "Hello"}]}]}}
        for n in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_progress_is_seen_moving_until_it_is_stored(world: World, browser: Browser) -> None:
    """Without a reload, the page shows the download grow and end."""
    with serving(world), window(browser, world) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Ready for the first batch")
        set_faults(world.gemini_url, drip_downloads={"bytes_per_s": 24_000, "times": 1})
        batch = submit_file(world.gemini_url, requests_file(600), "slow one")
        bar = page.locator("#running progress")
        expect(bar).to_have_attribute("value", re.compile(r"\d"), timeout=20_000)
        seen = int(bar.get_attribute("value") or 0)
        eventually(lambda: int(bar.get_attribute("value") or 0) > seen, 20, "more of it")
        assert 0 < seen < int(bar.get_attribute("max") or 0)
        running = page.locator("#running")
        expect(running).to_contain_text(batch.removeprefix("batches/"))
        running.get_by_role("link", name="slow one").click()
        expect(page.locator("#now")).to_contain_text("downloads and splits")
        expect(page.locator("#results")).to_contain_text("600 ok", timeout=30_000)
        expect(page.locator("#outputs tbody tr")).to_have_count(50)
        page.get_by_role("link", name="After →").click()
        expect(page.locator("#outputs tbody tr").first).to_contain_text("k50")


def test_buttons_ask_first_and_then_do_it(world: World, browser: Browser) -> None:
    with serving(world, worker=False), window(browser, world) as page:
        with connect(world.redis_url) as client:
            Inbox(client).accept([Arrival("batches/one", "batch.succeeded", "static")])
        page.get_by_role("link", name="one", exact=True).click()
        bury = page.get_by_role("button", name="Bury")
        expect(bury).to_be_hidden()
        page.locator("summary", has_text="Bury").focus()
        # A keyboard is enough.
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(bury).to_be_focused()
        # An update must not close what somebody opened.
        expect(page.locator("#updates-text")).to_have_text("waits for you")
        expect(bury).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").first).to_contain_text("It is buried")
        expect(page.locator("#timeline")).to_contain_text("by hand, on the status page")
        page.get_by_role("link", name="Overview").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("2 problems need attention")
        page.locator("#buried").get_by_role("link", name="one", exact=True).click()
        page.locator("summary", has_text="Retry").click()
        page.get_by_role("button", name="Retry").click()
        expect(page.get_by_role("status").first).to_contain_text("It is queued again")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Token")).to_be_visible()


def test_replay_queues_what_only_gemini_knows(world: World, browser: Browser) -> None:
    with serving(world), window(browser, world) as page:
        set_faults(world.gemini_url, drop_deliveries=1)
        batch = submit_inline(world.gemini_url, {"one": "Hello"})
        page.goto(f"/status/{batch}")
        expect(page.get_by_text("Neither the inbox nor the storage knows")).to_be_visible()

        def replayed() -> bool:
            page.locator("summary", has_text="Replay").click()
            page.get_by_role("button", name="Replay").click()
            return "it is queued" in page.get_by_role("status").first.inner_text()

        eventually(replayed, 20, "Gemini's end of the batch")
        expect(page.locator("#results")).to_contain_text("1 ok", timeout=20_000)


def test_page_works_without_scripts(world: World, browser: Browser) -> None:
    with serving(world, worker=False), window(browser, world, java_script_enabled=False) as page:
        with connect(world.redis_url) as client:
            Inbox(client).accept([Arrival("batches/one", "batch.succeeded", "static")])

        def refreshed() -> bool:
            page.get_by_role("link", name="Refresh").click()
            return page.get_by_role("link", name="one", exact=True).count() > 0

        eventually(refreshed, 10, "the batch")
        page.get_by_role("link", name="one", exact=True).click()
        page.locator("summary", has_text="Bury").click()
        page.get_by_role("button", name="Bury").click()
        expect(page.get_by_role("status").first).to_contain_text("It is buried")


def test_link_from_elsewhere_finds_its_session(world: World, browser: Browser) -> None:
    """The browser sends no cookie after a link from another site; the page asks again by itself."""
    with serving(world, worker=False), window(browser, world) as page:
        page.goto(f"http://localhost:{world.port}/status")
        expect(page.get_by_label("Token")).to_be_visible()
        page.evaluate(
            "url => { location.href = url }", f"{world.web_url}/status/batches?state=done"
        )
        expect(page.get_by_text("No batch in the inbox matches.")).to_be_visible()


def hostile_lines() -> bytes:
    """Every text of a line that can reach the page."""
    refused = {"blockReason": HOSTILE, "blockReasonMessage": HOSTILE}
    cut = {"finishReason": HOSTILE, "finishMessage": HOSTILE}
    error = {"code": 8, "status": HOSTILE, "message": HOSTILE, "details": [{"@type": HOSTILE}]}
    rows = (
        {"key": f"{HOSTILE}r", "response": {"promptFeedback": refused, "modelVersion": HOSTILE}},
        {"key": f"{HOSTILE}c", "response": {"candidates": [cut]}},
        {"key": f"{HOSTILE}m", "error": error},
        {"key": HOSTILE, HOSTILE: HOSTILE},
    )
    return b"\n".join(json.dumps(row).encode() for row in rows)


def add_hostile_batches(world: World) -> list[str]:
    """Batches at Gemini whose names, models, messages and lines are hostile."""
    (world.folder / "hostile.jsonl").write_bytes(hostile_lines())
    about = {"display_name": HOSTILE, "model": f"models/{HOSTILE}", "request_count": 5}
    results = {"result_path": str(world.folder / "hostile.jsonl")}
    failed = {"state": "FAILED", "error": {"code": 13, "message": HOSTILE}}
    return [ready_batch(world.gemini_url, **about, **more) for more in (results, failed)]


def fill_redis(world: World) -> list[str]:
    """A buried batch, an entry of somebody else's, a refused delivery and a dead notice.

    Gives the pages of the last two.
    """
    with connect(world.redis_url) as client:
        inbox = Inbox(client)
        metadata = json.dumps({HOSTILE: HOSTILE})
        inbox.accept([Arrival("batches/lost", "batch.succeeded", "retry", metadata=metadata)])
        inbox.bury_by_hand(["batches/lost"], HOSTILE * 9)
        foreign = {"state": "open", "event": HOSTILE, "cause": HOSTILE, "door": HOSTILE}
        client.hset(f"{ENTRY}batches/{HOSTILE}", mapping=foreign)
        client.zadd(DUE, {f"batches/{HOSTILE}": 1})
        log = DeliveryLog(client)
        log.add(RejectedDelivery("refused", f":{HOSTILE}", cause=HOSTILE))
        log.flush()
        (delivery,) = (
            one for one in fetch_deliveries(client, MAX_LOGGED) if one.verdict == "refused"
        )
        Outbox(client, [NOTICE_TARGET]).enqueue("batches/lost", Message("batch.buried", {}))
        queue = NoticeQueue(client, NOTICE_TARGET)
        notice = queue.claim()
        assert notice is not None
        queue.mark_dead(notice, HOSTILE)
        return [f"/status/deliveries/{delivery.ref}", f"/status/notices/{notice.name}"]


@contextmanager
def hostile_world(world: World) -> Iterator[list[str]]:
    """Whatever others may write is hostile. Gives the pages that show some of it."""
    with serving(world):
        asked = {f"{HOSTILE}{n}": "Hello" for n in range(3)} | {f"{HOSTILE}e": "[sandbox:error 8]"}
        stored = [submit_inline(world.gemini_url, asked, HOSTILE), *add_hostile_batches(world)]
        for batch in stored:
            manifest_of(world, batch)
        opened = fill_redis(world)
        yield [
            "/status",
            *(f"/status/{batch}" for batch in stored),
            "/status/batches/lost",
            "/status/batches?state=done",
            "/status/batches?state=buried",
            "/status/buried",
            "/status/deliveries",
            "/status/notices",
            *opened,
        ]


@pytest.mark.parametrize(("scheme", "width"), COLOR_SCHEMES)
def test_hostile_names_are_shown_and_everybody_can_read(
    world: World, browser: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    size: ViewportSize = {"width": width, "height": 900}
    with (
        hostile_world(world) as paths,
        window(browser, world, color_scheme=scheme, viewport=size) as page,
    ):
        for path in paths:
            check_page(page, path)
        page.goto("/status")
        page.get_by_role("button", name="Log out").click()
        assert faults_of(page) == []


def check_page(page: Page, path: str) -> None:
    page.goto(path)
    text = page.locator("body").inner_text()
    assert [one for one in text if not (one.isprintable() or one in "\n\t")] == [], path
    assert SHOWN in page.locator("main").inner_text().replace("\n", " "), path
    assert page.locator("main img").count() == 0
    assert overflow_px(page) == 0, path
    assert faults_of(page) == [], path


def test_charts_say_what_they_draw(world: World, browser: Browser) -> None:
    with serving(world, worker=False), connect(world.redis_url) as client:
        counters = Counters(client)
        counters.add(definitions.RESULTS, "ok", amount=7)
        counters.add(definitions.RESULTS, "error", amount=2)
        assert counters.flush()
        with window(browser, world) as page:
            counts = "In the last day: 7 answers, 2 without an answer"
            drawing = page.get_by_role("img", name=f"Results stored by half hours. {counts}")
            expect(drawing.locator(".box")).to_have_count(2)
            page.locator("#numbers-1 summary").click()
            expect(page.locator("#numbers-1 tbody td")).to_have_text(["7", "2"])
            moment = page.locator(".verdict time").inner_text()
            expect(page.locator(".verdict time")).not_to_have_text(moment)
            # What somebody opened stays open.
            expect(page.locator("#numbers-1 table")).to_be_visible()
