"""What runs at Gemini, submissions under way, and charts of a day to a month, in a real browser."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from receiver.batch_names import SubmissionName
from receiver.gemini.operations import Batch, Stats
from receiver.inbox.entry_fields import Standing
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import SUBMISSIONS, TREND, connect, now_ms
from receiver.notices.running_batches import RunningWatch
from receiver.submissions.ledger_entry import accept_submission
from receiver.telemetry.metrics.definitions import DAY_S, TREND_S, encode_cost
from receiver.telemetry.metrics.history import count_cost
from tests.acceptance.conftest import World
from tests.acceptance.test_status_page import HOSTILE, SHOWN, serving, window
from tests.browsers import running_browser
from tests.seen_pages import faults_of, overflow_px

SENDER = "5d41402abc4b2a76b971"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def at_gemini(batch_id: str, hours: float, stats: Stats, tag: str | None = None) -> Batch:
    created = datetime.now(UTC) - timedelta(hours=hours)
    return Batch(
        name=f"batches/{batch_id}",
        state="RUNNING",
        display_name=HOSTILE,
        model="models/flash",
        created=created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        ended=None,
        requests=100,
        result_file=None,
        inlined=None,
        error_code=None,
        error_message=None,
        stats=stats,
        tag=tag,
    )


def run_at_gemini(client: "redis.Redis") -> None:
    """As a reconcile run notes it, though the end of one was announced before."""
    watch = RunningWatch()
    watch.see(at_gemini("old", 30, Stats(9, 3, 88), tag=f"{SENDER}.1.0123456789ab"))
    watch.see(at_gemini("silent", 20, Stats()))
    for number in range(4):
        watch.see(at_gemini(f"young{number}", 1, Stats(pending=100)))
    watch.note(client, "", now_ms(client), 900)


def submit(client: "redis.Redis") -> None:
    """One that a worker has looked at, and one that nobody has."""
    ledger, name = Inbox(client, ledger=SUBMISSIONS), SubmissionName("", SENDER)
    accept_submission(client, name)
    lease = ledger.claim(str(name))
    assert lease is not None
    standing = Standing(
        display_name=HOSTILE,
        model="flash",
        state="running",
        requests=300,
        answered=120,
        parts=3,
        at_gemini=1,
        stored=2,
        rounds=1,
        max_rounds=2,
        cost=Decimal("0.25"),
    )
    ledger.record(lease, "standing", msgspec.json.encode(standing).decode())
    ledger.rest(lease, 600, HOSTILE)
    accept_submission(client, SubmissionName("", "0" * 20))


def spend(client: "redis.Redis") -> None:
    """Now, and three weeks ago."""
    count_cost(client, "batches/now", encode_cost(HOSTILE, Decimal("1.5")))
    count_cost(client, "batches/priceless", encode_cost("new-model", None))
    number = (int(client.time()[0]) - 21 * DAY_S) // TREND_S
    fields: dict[Any, Any] = {"gbr_batches:flash": 2, "gbr_cost:flash": 40 * 10**12}
    client.hset(f"{TREND}:{number}", mapping=fields)


def test_what_runs_and_what_it_costs_can_be_seen(world: World, browser: Browser) -> None:
    with (
        connect(world.redis_url) as client,
        serving(world, worker=False),
        window(browser, world) as page,
    ):
        Inbox(client).accept([Arrival("batches/young0", "batch.succeeded", "static")])
        page.goto("/status")
        expect(page.locator("#at-gemini")).to_contain_text("Unknown")
        expect(page.locator("#submissions")).to_contain_text("None is under way")
        run_at_gemini(client)
        submit(client)
        spend(client)
        page.goto("/status")
        check_overview(page)
        check_charts(page)
        check_pages_of_batches(page)
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size(PHONE)  # type: ignore[arg-type] # a plain dict
        for path in ("/status?range=month", "/status/at-gemini", "/status/batches/old"):
            page.goto(path)
            expect(page.locator("#live")).to_be_visible()
            assert SHOWN in page.locator("main").inner_text().replace("\n", " "), path
            assert page.locator("main img").count() == 0
            assert (overflow_px(page), faults_of(page)) == (0, []), path


def check_overview(page: Page) -> None:
    rows = page.locator("#at-gemini tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("overdue")
    expect(rows.nth(0)).to_contain_text("12 of 100 done")
    expect(rows.nth(0)).to_contain_text("3 failed")
    expect(rows.nth(0)).to_contain_text("1d 6h")
    expect(rows.nth(0).locator("progress")).to_have_attribute("value", "12")
    expect(rows.nth(1)).to_contain_text("unknown, of 100 requests")
    expect(rows.nth(1).locator("progress")).to_have_count(0)
    expect(rows.nth(2)).to_contain_text("0 of 100 done")

    submission = page.locator("#submissions tbody tr").filter(has_text="2 of 3 parts stored")
    for words in ("120 of 300 answered", "1 at Gemini", "round 1 of 2", "cost so far $0.25"):
        expect(submission).to_contain_text(words)
    expect(page.locator("#submissions")).to_contain_text("no worker has looked at it yet")
    assert faults_of(page) == []


def check_charts(page: Page) -> None:
    page.get_by_role("link", name="Week", exact=True).click()
    expect(page.get_by_role("heading", name="The last week")).to_be_visible()
    spending = page.locator("#spending")
    expect(spending).to_contain_text("2 batches stored in the last week: $1.50 and 1 of unknown")
    expect(spending.locator("tbody tr").nth(1)).to_contain_text("unknown")
    page.get_by_role("link", name="Month", exact=True).click()
    cost = page.get_by_role("img", name="Cost by days. In the last month: $41.50 spent. Most of it")
    expect(cost.locator(".box")).to_have_count(2)
    expect(spending.locator("tbody tr").first).to_contain_text("flash")
    page.locator("#days summary").click()
    expect(page.locator("#days tbody tr")).to_have_count(3)
    moment = page.locator(".verdict time").inner_text()
    expect(page.locator(".verdict time")).not_to_have_text(moment, timeout=10_000)
    # An update keeps the month, and what somebody opened.
    expect(page.get_by_role("link", name="Month", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    expect(page.locator("#days table")).to_be_visible()
    page.goto("/status?range=year")
    expect(page.get_by_role("heading", name="The last day")).to_be_visible()


def check_pages_of_batches(page: Page) -> None:
    page.locator("#at-gemini").get_by_role("link", name="All 6").click()
    rows = page.locator("main tbody tr")
    expect(rows).to_have_count(6)
    announced = rows.filter(has_text="its end was announced: a worker is to look")
    expect(announced).to_contain_text("young0")
    page.goto("/status/batches")
    expect(page.get_by_text("6 wait or run at Gemini")).to_be_visible()
    expect(page.locator("main")).to_contain_text("1 overdue")
    page.goto("/status/batches/old")
    expect(page.locator("#at-gemini")).to_contain_text("12 of 100 done")
    expect(page.locator("main")).not_to_contain_text("Neither the inbox nor the storage")
    expect(page.get_by_role("link", name="Its submission")).to_have_attribute(
        "href", f"/status/submissions/{SENDER}"
    )
