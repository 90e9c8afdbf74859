"""The buttons of the status page in a real browser, before the sandbox and with a real worker."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import DUE, connect, now_ms
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import batch_of, manifest_of
from tests.acceptance.test_status_page import serving, window
from tests.acceptance.test_whole_way import merged, submit
from tests.browsers import running_browser
from tests.running import submit_inline
from tests.waiting import eventually

REQUESTS = 30


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def press(page: Page, label: "str | re.Pattern[str]") -> None:
    """Open what a button does, and press it."""
    page.locator(".action summary", has_text=label).click()
    page.locator(".action[open]").get_by_role("button", name=label).click()


def send_failed_again(page: Page, batch: str) -> str:
    """Gives the submission's id."""
    page.goto(f"/status/{batch}")
    press(page, re.compile("Send up to .* failed again"))
    expect(page.get_by_role("status").first).to_contain_text("A worker makes a submission")
    link = page.locator("main a", has_text=re.compile("^[0-9a-f]{20}$"))

    def is_sent() -> bool:
        page.reload()
        return link.count() > 0

    eventually(is_sent, 30, "the submission")
    expect(page.get_by_text(re.compile("Send up to"))).to_have_count(0)
    found = link.inner_text()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("retry of")
    return found


def test_what_failed_is_sent_again_and_a_project_rests(world: World, browser: Browser) -> None:
    settings = world.settings
    rows = [
        {"key": f"k{n}", "request": {"contents": [{"parts": [{"text": f"Say {n}"}]}]}}
        for n in range(REQUESTS)
    ]
    source = world.folder / "requests.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving(world), window(browser, world) as page, connect(world.redis_url) as client:
        first = submit(settings, source, "--display-name", "evening [flaky 3]")
        assert manifest_of(world, first)["outcomes"]["error"]
        second = batch_of(settings, send_failed_again(page, first))
        assert manifest_of(world, second)["outcomes"]["ok"]
        assert merged(settings, first, 0)["answered"] == REQUESTS

        page.get_by_role("link", name="System").click()
        press(page, "Pause default")
        expect(page.locator("#gemini")).to_contain_text("paused")
        resting = submit_inline(world.gemini_url, {"one": "Hello"})
        inbox = Inbox(client)
        eventually(lambda: (client.zscore(DUE, resting) or 0) > now_ms(client), 20, "the rest")
        assert inbox.entries([resting])[resting].state == "open"
        page.goto(f"/status/{resting}")
        expect(page.get_by_text("Its project has been paused")).to_be_visible()

        page.get_by_role("link", name="Deliveries").click()
        page.locator("tr", has_text=resting).get_by_role("link", name="msg_").click()
        eventually(lambda: page.reload() and page.get_by_label("Body").count(), 10, "the body")
        expect(page.get_by_label("Body")).to_contain_text(resting.removeprefix("batches/"))
        expect(page.locator("#headers")).to_contain_text("webhook-signature")
        expect(page.locator(".action")).to_have_count(0)

        page.get_by_role("link", name="System").click()
        press(page, "Resume default")
        expect(page.get_by_role("status").first).to_contain_text("within a minute")
        client.zadd(DUE, {resting: 0})  # that minute is over
        assert manifest_of(world, resting)["outcomes"]["ok"] == 1
