"""Answers on the page of a real web process: what is shown, what is sent, and what never is."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import ConsoleMessage, Dialog, Page, ViewportSize, expect

from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from receiver.status.answer_links import result_path
from receiver.storage import LocalStorage, open_storage
from tests import nasty
from tests.browsers import running_browser
from tests.receiver.inbox.test_queries import claimed
from tests.receiver.status.answer_world import (
    HOSTILE,
    KEYS,
    LINES,
    PNG,
    SHOWN,
    SVG,
    fill,
    path_of,
)
from tests.receiver.status.test_routes import BEARER, TOKEN, serving
from tests.running import CLIENT
from tests.seen_pages import faults_of, overflow_px
from tests.storage_servers import Bucket
from tests.workers.storing import store

SAFE_KEYS = [key for key in KEYS if len(key) < 1000 and key.isprintable()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    fill(folder)
    return folder


@pytest.fixture(scope="module")
def web_url(valkey_url: str, folder: Path) -> Iterator[str]:
    with connect(valkey_url) as client:
        client.flushall()
        inbox = Inbox(client)
        inbox.finish(claimed(inbox, "batches/b1"), Summary(display_name="b1", outcomes={"ok": 1}))
    with serving(valkey_url, folder, STATUS_ANSWERS="true") as url:
        yield url


def get(web_url: str, path: str, status: int = 200) -> httpx.Response:
    answer = CLIENT.get(f"{web_url}{path}", headers=BEARER)
    assert answer.status_code == status, answer.text[:2000]
    return answer


def shown(page: httpx.Response) -> str:
    """The text between the tags of a page's main part."""
    main = page.text.partition("<main")[2].partition("</main>")[0]
    return html.unescape(re.sub(r"<[^>]*>", "", f"<main{main}"))


def links_of(page: httpx.Response, within: str) -> list[str]:
    part = page.text.partition(f'id="{within}"')[2].partition("</section>")[0]
    return [html.unescape(found) for found in re.findall(r'href="([^"]*)"', part)]


def test_without_the_setting_no_route_gives_content(valkey_url: str, folder: Path) -> None:
    paths = [
        f"/status/batches/b1/{path}"
        for path in ("results/text", "lines/1", "media/4/answer/1", "downloads/errors")
    ]
    with serving(valkey_url, folder) as url:
        answers = [get(url, path, 404) for path in paths]
        get(url, "/status/batches/b1/next", 405)  # where buttons lead
        page = get(url, "/status/batches/b1")
    assert "STATUS_ANSWERS=true" in answers[0].text
    assert not [answer for answer in answers if "second line" in answer.text]
    assert "/results/" not in page.text
    assert "/downloads/" not in page.text
    assert "batches results batches/b1 KEY" in page.text


@pytest.mark.parametrize(
    "path", ["results/text", "lines/1", "media/4/answer/1", "next", "downloads/errors"]
)
def test_stranger_gets_no_content(web_url: str, path: str) -> None:
    answer = CLIENT.get(f"{web_url}/status/batches/b1/{path}")
    assert (answer.status_code, 'name="token"' in answer.text) == (401, True)


@pytest.mark.parametrize("batch", ["b1", "b2"])
def test_hostile_text_is_shown_as_text(web_url: str, batch: str) -> None:
    for key in ("text", "json", "call"):
        page = get(web_url, path_of(key, batch))
        assert "<img src=x onerror=alert(1)>" in shown(page)
        assert "<img src=x" not in page.text
        assert "\x1b" not in page.text
    assert f"{SHOWN}�[31m\n  second line" in shown(get(web_url, path_of("text", batch)))


def test_request_stands_beside_its_answer(web_url: str) -> None:
    page = get(web_url, path_of("text"))
    asked = page.text.partition('id="request"')[2].partition('id="answer"')[0]
    assert html.escape(SHOWN).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in asked
    assert "/status/batches/b1/media/1/request/1" in links_of(page, "request")
    assert "The storage has no request with this key" in shown(get(web_url, path_of("json")))


def test_json_is_indented_with_its_digits_and_thoughts_are_folded(web_url: str) -> None:
    assert '  "a": "1.0000000000000000001"' in shown(get(web_url, path_of("json")))
    page = get(web_url, path_of("thinking")).text
    folded = page.partition("<summary>Thoughts, 16 characters</summary>")[2]
    assert "a secret thought" in folded.partition("</details>")[0]


@pytest.mark.parametrize("key", ["long", "deep", "many"])
def test_pages_are_bounded(web_url: str, key: str) -> None:
    page = get(web_url, path_of(key))
    assert len(page.content) < 500_000
    assert page.text.count("<img") < 25
    if key == "long":
        assert "100,000 more characters are not shown" in shown(page)


def test_media_run_nothing(web_url: str) -> None:
    """A picture is one of few types; everything else is saved, whatever it says that it is."""
    line = LINES.index(next(line for line in LINES if b'"media"' in line)) + 1
    addresses = links_of(get(web_url, path_of("media")), "answer")[:3]
    assert addresses == [f"/status/batches/b1/media/{line}/answer/{n}" for n in (1, 2, 3)]
    picture, *others = (get(web_url, address) for address in addresses)
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    assert "inline" in picture.headers["content-disposition"]
    for other in others:
        assert (other.content, other.headers["content-type"]) == (SVG, "application/octet-stream")
        assert "attachment" in other.headers["content-disposition"]
    for answer in (picture, *others):
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    get(web_url, f"/status/batches/b1/media/{line}/answer/4", 404)
    get(web_url, f"/status/batches/b1/media/{line}/answer/0", 404)
    get(web_url, "/status/batches/b1/media/999/answer/1", 404)
    get(web_url, f"/status/batches/b1/media/{line}/other/1", 404)
    assert get(web_url, "/status/batches/b1/media/1/request/1").content == PNG


@pytest.mark.parametrize("key", SAFE_KEYS, ids=repr)
def test_any_key_has_its_page(web_url: str, key: str) -> None:
    page = get(web_url, result_path("/status/batches/b1", key))
    number = KEYS.index(key)
    assert f"question {number}" in shown(page)
    assert f"answer {number}" in shown(page)


def test_list_leads_to_every_result(web_url: str) -> None:
    """Keys that no address can hold too, and lines without a key."""
    for batch, count in (("b1", len(LINES)), ("b2", len(LINES) + 21)):
        page = get(web_url, f"/status/batches/{batch}")
        links = [link for link in links_of(page, "outputs") if "line=" in link]
        assert len(page.content) < 100_000
        assert len(links) == count
        for link in links:
            found = get(web_url, link)
            assert "Answer" in shown(found)
            assert len(link) < 5_000
            assert len(found.content) < 500_000


def test_first_line_of_a_key_is_told_from_its_second(web_url: str) -> None:
    pages = [get(web_url, f"/status/batches/b2/results/fr-unicode?line={n}") for n in (5, 14)]
    assert ["a second line of its key" in shown(page) for page in pages] == [False, True]
    by_key = get(web_url, "/status/batches/b2/results/fr-unicode")
    assert "a second line of its key" not in shown(by_key)
    another = get(web_url, "/status/batches/b2/results/de-last?line=5")
    assert "line 5" not in shown(another).lower()


def test_outcomes_narrow_the_list_and_lead_on(web_url: str) -> None:
    page = get(web_url, "/status/batches/b2?outcome=error")
    rows = page.text.partition('id="outputs"')[2]
    assert re.findall(r"<td><svg.*?</svg>\s*(\w+)</td>", rows, re.DOTALL) == ["error"] * 4
    first = get(web_url, "/status/batches/b2/results/fr-again?outcome=error")
    assert "8 RESOURCE_EXHAUSTED it broke" in shown(first)
    follow = html.unescape(re.findall(r'id="after" href="([^"]*)"', first.text)[0])
    assert "3 INVALID_ARGUMENT it broke" in shown(get(web_url, follow))
    jump = get(web_url, "/status/batches/b2/next?outcome=failed&after=12", 303)
    assert jump.headers["location"].endswith("/results/?line=13&outcome=failed")
    from_the_start = get(web_url, "/status/batches/b2/next?outcome=failed&after=999", 303)
    assert "/results/de-cut?line=8" in from_the_start.headers["location"]
    get(web_url, "/status/batches/b1/next?outcome=blocked", 404)


def test_missing_request_is_shown_without_a_result(web_url: str) -> None:
    page = get(web_url, "/status/batches/b1?outcome=missing")
    link = next(link for link in links_of(page, "outputs") if "never" in link)
    page = get(web_url, link, 404)
    assert "is anybody there?" in shown(page)
    assert "Gemini sent no result" in shown(page)
    unknown = get(web_url, path_of(HOSTILE * 2), 404)
    assert "none of the 10 requests had it" in shown(unknown)


def test_downloads_are_the_stored_bytes(web_url: str, folder: Path) -> None:
    storage = LocalStorage(folder / "outputs")
    page = get(web_url, "/status/batches/b2")
    offered = [link for link in links_of(page, "results") if "/downloads/" in link]
    assert [link.rpartition("/")[2] for link in offered] == ["errors", "table", "retry", "manifest"]
    for link in offered:
        answer = get(web_url, link)
        assert answer.content in {storage.read(name) for name in storage.list_names("b2")}
        assert "attachment" in answer.headers["content-disposition"]
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert get(web_url, "/status/batches/b2/lines/16").content == nasty.ROWS[11]
    get(web_url, "/status/batches/b2/lines/3", 404)
    get(web_url, "/status/batches/b2/downloads/..%2f..%2fb1", 404)
    get(web_url, "/status/batches/none/downloads/errors", 404)


def test_changed_answer_is_not_shown(web_url: str, folder: Path) -> None:
    place, line = folder / "outputs/b1/thinking.json", LINES[2] + b"\n"
    assert place.read_bytes() == line
    place.write_bytes(line.replace(b"said", b"lied"))
    page = get(web_url, path_of("thinking"))
    place.write_bytes(line)
    assert "has changed since it was written" in shown(page)
    assert "lied" not in page.text
    assert 'id="after"' in page.text


def test_bucket_gives_a_download_itself(own_s3: Bucket, valkey_url: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        own_s3.enter(patch)
        storage = open_storage(f"{own_s3.url}/signed")
        store(storage, nasty.failure("one", 8), 1)
    more = {**own_s3.environment, "STORAGE_URL": f"{own_s3.url}/signed"}
    with serving(valkey_url, tmp_path, STATUS_ANSWERS="true", **more) as url:
        sent = get(url, "/status/batches/b1/downloads/errors", 303)
    assert sent.headers["cache-control"] == "no-store"
    assert sent.headers["referrer-policy"] == "same-origin"
    assert CLIENT.get(sent.headers["location"]).content == storage.read("b1/_errors.jsonl")


@pytest.fixture(scope="module")
def page(web_url: str) -> Iterator[Page]:
    """A logged-in window of a phone, in the dark; nothing in it runs what an answer holds."""
    errors = list[str]()

    def note_dialog(dialog: Dialog) -> None:
        errors.append(dialog.message)
        dialog.dismiss()

    def note_line(line: ConsoleMessage) -> None:
        if line.type == "error":
            errors.append(line.text)

    with running_browser() as browser:
        size: ViewportSize = {"width": 390, "height": 844}
        context = browser.new_context(base_url=web_url, color_scheme="dark", viewport=size)
        page = context.new_page()
        page.on("dialog", note_dialog)
        page.goto("/status")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("link", name="Overview")).to_be_visible()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", note_line)
        yield page
        context.close()
    assert errors == []


def test_somebody_clicks_from_a_batch_to_its_failures_and_pictures(page: Page) -> None:
    page.goto("/status/batches?q=thinking")
    page.get_by_role("link", name="its request and answer").click()
    expect(page.locator("#answer")).to_contain_text("said")
    for batch in ("b2?outcome=failed", "b1"):
        page.goto(f"/status/batches/{batch}")
        assert overflow_px(page) == 0
    assert faults_of(page) == []
    page.get_by_role("link", name="First failure").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("failed")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", level=1)).to_have_text("failed again")
    expect(page.locator("#answer")).to_contain_text("3 INVALID_ARGUMENT it broke")
    page.keyboard.press("k")
    expect(page.get_by_role("heading", level=1)).to_have_text("failed")
    page.locator(".crumbs").get_by_role("link", name="batches/b1").click()
    expect(page.locator("#outputs tbody tr")).to_have_count(2)
    page.keyboard.press("j")
    expect(page.locator("#errors a").first).to_be_focused()
    page.get_by_role("link", name=f"ok {len(LINES) - 2}").click()
    page.get_by_label("Key").fill("media")
    page.get_by_role("button", name="Show").click()
    picture = page.get_by_role("img", name="Picture 1 of the answer")
    expect(picture).to_have_js_property("naturalWidth", 64)
    with page.expect_download() as saved:
        page.get_by_role("link", name="File 2").click()
    assert saved.value.path().read_bytes() == SVG
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download the line").click()
    assert saved.value.path().read_bytes() == next(line for line in LINES if b'"media"' in line)


@pytest.mark.parametrize("key", ["text", "json", "thinking", "call", "long", HOSTILE, "failed"])
def test_everybody_can_read_an_answer(page: Page, key: str) -> None:
    page.goto(path_of(key))
    for summary in page.locator("summary").all():
        summary.click()
    assert page.locator("main img[src=x]").count() == 0
    assert overflow_px(page) == 0
    assert faults_of(page) == []
