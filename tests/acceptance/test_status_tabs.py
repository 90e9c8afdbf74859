"""The tabs of the status page in a real browser: the first run, and twenty batches of each state."""

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.sandbox.processes import allocate_port
from deploy.sandbox.valkey import running_valkey
from receiver.inbox.redis import connect
from tests.acceptance.conftest import World
from tests.acceptance.test_status_page import TOKEN, window
from tests.browsers import running_browser
from tests.receiver.status.filled import fill_submissions, fill_tabs
from tests.receiver.status.test_routes import settings_of
from tests.running import answers, running_program
from tests.seen_pages import faults_of, overflow_px
from tests.waiting import eventually

MANY = 20
MAX_HEIGHT_PX = 2500
PHONE = {"width": 390, "height": 844}
TABS = {
    "Overview": "/status",
    "Batches": "/status/batches",
    "Submissions": "/status/submissions",
    "Deliveries": "/status/deliveries",
    "Notices": "/status/notices",
    "System": "/status/system",
}
LISTS = tuple(f"/status/batches?state={state}" for state in ("open", "leased", "buried", "done"))
LONG = ("/status/batches",)  # batches of all states


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A web process with nothing in its inbox, and no worker."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("tabs")
        redis_url = stack.enter_context(running_valkey(tmp_path_factory.mktemp("valkey")))
        world = World(folder, "http://127.0.0.1:9", redis_url, allocate_port())
        settings = settings_of(redis_url, folder, world.port) | {"STATUS_TOKEN": TOKEN}
        stack.enter_context(running_program(folder, settings, "serve"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        yield world


@pytest.fixture(scope="module")
def filled(place: World, browser: Browser) -> World:
    """The same once there is something in it; a page that was open all the time has shown it."""
    with window(browser, place) as page:
        see_first_run(page)
        icon = page.locator("#icon")
        expect(icon).to_have_attribute("href", re.compile(r"/icon\.svg"))
        with connect(place.redis_url) as client:
            fill_tabs(client, MANY)
        fill_submissions(place.redis_url, place.folder, MANY)
        expect(page.get_by_role("heading", level=1)).to_contain_text("problems need attention")
        expect(page).to_have_title(re.compile("problems need attention"))
        expect(icon).to_have_attribute("href", re.compile(r"/icon-trouble\.svg"))
    return place


def see_first_run(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text("before the first batch")
    expect(page.locator("#verdict ~ ol > li")).to_contain_text(
        [
            "runs, and Redis answers",
            "start gemini-batch-receiver worker",
            "gemini-batch-receiver webhooks create",
            "gemini-batch-receiver batches submit FILE --model MODEL",
        ]
    )
    expect(page.locator("#stored")).to_have_count(0)
    assert faults_of(page) == []


def test_every_tab_fits_a_phone(filled: World, browser: Browser) -> None:
    with window(browser, filled, viewport=PHONE, color_scheme="dark") as page:
        for path in (*TABS.values(), *LISTS):
            page.goto(path)
            height_px = page.evaluate("document.documentElement.scrollHeight")
            assert path in LONG or height_px <= MAX_HEIGHT_PX, path
            assert overflow_px(page) == 0, path
            assert path in LISTS or faults_of(page) == [], path


def test_tabs_lead_to_each_other_and_errors_back(filled: World, browser: Browser) -> None:
    with window(browser, filled) as page:
        for label, path in TABS.items():
            page.get_by_role("navigation", name="Tabs").get_by_role("link", name=label).click()
            expect(page).to_have_url(f"{filled.web_url}{path}")
            current = page.locator("nav [aria-current=page]")
            expect(current).to_have_text(label)
        page.goto("/status/nosuch")
        expect(page.get_by_role("heading", level=1)).to_have_text("No such page")
        assert faults_of(page) == []
        page.get_by_role("link", name="Go to the overview").click()
        page.locator("#buried").get_by_role("link", name=f"All {MANY}").click()
        expect(page.locator("main tbody tr")).to_have_count(MANY)
