"""Batches are found on the status page, in a real browser, among 100,000 in a real Valkey.

How fast is measured by `python -m tests.bench pages`, and how much is read at most is tested in
tests/receiver/inbox/test_finding_bounds.py.
"""

from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from receiver.inbox.finding import MAX_LOOKED
from tests.acceptance.conftest import World
from tests.acceptance.test_status_page import HOSTILE, SHOWN, TOKEN, window
from tests.browsers import running_browser
from tests.full_inbox import KEY, STORED, serving_full_inbox
from tests.seen_pages import faults_of, overflow_px

ROWS = "#live table[role=table] tbody tr"
LISTS = ("", "?q=%3Cimg&outcome=blocked", f"?q={'x' * 300}&state=buried&from=soon")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def full(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("full")
    with serving_full_inbox(valkey_url, folder, TOKEN) as url:
        yield World(folder, "", valkey_url, urlsplit(url).port or 0)


def test_keys_lead_from_the_box_to_a_batch(full: World, browser: Browser) -> None:
    with window(browser, full) as page:
        page.keyboard.press("/")
        box = page.get_by_role("searchbox")
        expect(box).to_be_focused()
        page.keyboard.type("EVENING 9999")
        page.keyboard.press("Enter")
        expect(page.locator(ROWS)).to_have_count(10)
        # The address holds what was asked for, and nothing else.
        assert parse_qs(urlsplit(page.url).query, keep_blank_values=True) == {"q": ["EVENING 9999"]}
        first, second = (page.locator(ROWS).nth(number).get_by_role("link") for number in (0, 1))
        for key, link in (("j", first), ("j", second), ("k", first), ("k", first)):
            page.keyboard.press(key)
            expect(link).to_be_focused()
        page.keyboard.press("/")
        expect(box).to_be_focused()
        # Letters are text in there.
        page.keyboard.type("jk")
        expect(box).to_have_value("jk")
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("evening 99999")
        expect(page.get_by_role("button", name="Copy batches/b099999")).to_be_visible()


def test_search_goes_on_until_it_knows(full: World, browser: Browser) -> None:
    """Behind the bound of a page, into the results, and to a text that says what was looked for."""
    with window(browser, full) as page:
        page.goto("/status/batches?model=needle")
        for _ in range(STORED // MAX_LOOKED):
            expect(page.locator(ROWS)).to_have_count(0)
            bound = page.get_by_text(f"Looked through {MAX_LOOKED:,} batches for this page")
            expect(bound).to_contain_text("back to 2")
            expect(page.locator("main")).to_contain_text(
                "so far: a model with “needle” in its name"
            )
            page.get_by_role("link", name="Search on").click()
        expect(page.locator(ROWS)).to_have_count(1)
        expect(page.locator(ROWS)).to_contain_text("needle")
        # A whole name needs no search.
        page.goto("/status/batches?q=needle&state=buried")
        expect(page.locator(".named")).to_contain_text("needle")
        look_for_a_key(page)
        look_for_nothing(page)


def look_for_a_key(page: Page) -> None:
    page.goto("/status/batches")
    page.get_by_role("searchbox").fill(KEY)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Look for it among the results").click()
    found = page.locator("#elsewhere")
    expect(found.locator("tbody tr")).to_have_count(1)
    expect(found.locator("tbody tr")).to_contain_text("keyed")
    answer = found.get_by_role("link", name="its request and answer").get_attribute("href")
    assert answer is not None
    assert unquote(answer).startswith(f"/status/batches/keyed/results/{KEY}")
    page.get_by_role("link", name="Look through older batches").click()
    expect(found).to_contain_text("Looked through the results of 20 stored batches")


def look_for_nothing(page: Page) -> None:
    page.goto("/status/batches?state=buried")
    page.get_by_role("searchbox").fill("nosuch")
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("Not before").fill("2026-01-31")
    page.get_by_label("Project").select_option("default")
    page.get_by_role("button", name="Find").click()
    card = page.locator(".nothing")
    for text in ("“nosuch” in the name", "state buried", "project default", "2026-01-31"):
        expect(card).to_contain_text(text)
    expect(page.locator("#elsewhere")).to_contain_text("could be read has the key “nosuch”")
    expect(page.locator("#filters")).to_have_attribute("open", "")
    card.get_by_role("link", name="Show all batches").click()
    expect(page.locator(ROWS)).to_have_count(50)


def test_everybody_can_read_hostile_lists_and_copy_ids(full: World, browser: Browser) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with window(browser, full, permissions=allowed) as page:
        for query in LISTS:
            page.goto(f"/status/batches{query}")
            check_page(page, query)
        page.set_viewport_size({"width": 390, "height": 900})
        page.emulate_media(color_scheme="dark")
        for query in LISTS:
            page.goto(f"/status/batches{query}")
            check_page(page, query)
        look_for_a_hostile_name(page)
        copy_ids(page)


def check_page(page: Page, query: str) -> None:
    assert faults_of(page) == [], query
    assert overflow_px(page) == 0, query
    assert page.locator("main img").count() == 0, query


def look_for_a_hostile_name(page: Page) -> None:
    page.goto("/status/batches")
    page.get_by_role("searchbox").fill(HOSTILE[:20])
    page.keyboard.press("Enter")
    expect(page.locator(ROWS).first).to_contain_text(SHOWN)
    expect(page.get_by_role("searchbox")).to_have_value(HOSTILE[:20])


def copy_ids(page: Page) -> None:
    page.goto("/status/batches")
    page.get_by_role("button", name="Copy batches/keyed").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "batches/keyed"
    # As on a page without https.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy acme/batches/run").click()
    page.get_by_role("searchbox").focus()
    page.keyboard.press("Control+v")
    expect(page.get_by_role("searchbox")).to_have_value("acme/batches/run")


def test_search_works_without_scripts(full: World, browser: Browser) -> None:
    with window(browser, full, java_script_enabled=False) as page:
        page.goto("/status/batches?state=done")
        expect(page.locator("button.copy").first).to_be_hidden()
        page.get_by_role("searchbox").fill("evening")
        page.get_by_role("button", name="Find").click()
        expect(page.locator(ROWS).first).to_contain_text(f"evening {STORED}")
        page.get_by_role("link", name="Next page").click()
        expect(page.locator(ROWS).first).to_contain_text(f"evening {STORED - 50}")
