"""How long a person waits for the status page of many batches, until the first text is seen."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from playwright.sync_api import Page

from deploy.sandbox.valkey import running_valkey
from receiver.outputs.paths import Template
from receiver.storage import LocalStorage
from tests import nasty
from tests.bench.goals import verdict
from tests.bench.rounds import Say
from tests.bench.tables import draw
from tests.browsers import running_browser
from tests.full_inbox import serving_full_inbox
from tests.waiting import eventually
from tests.workers.storing import put_input, store

TOKEN = "a-token-of-the-bench"
LIMIT_MS = 1000
FAILED_OF = 10_000
PAGES = {
    "overview": "/status",
    "batches": "/status/batches",
    "oldest first": "/status/batches?sort=oldest",
    "a text that is nowhere": "/status/batches?q=nosuch",
    "an outcome that is nowhere": "/status/batches?outcome=missing",
    "a batch": "/status/batches/b000001",
    "a batch of as many results": "/status/batches/large",
    "its failures": "/status/batches/large?outcome=failed",
    "its last answer": "/status/batches/large/results/last",
    "at Gemini": "/status/at-gemini",
    "submissions": "/status/submissions",
    "deliveries": "/status/deliveries",
    "notices": "/status/notices",
    "system": "/status/system",
}
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def measure(folder: Path, batches: int, rounds: int, say: Say) -> Iterator[str]:
    """Every page in turn, after a round that fills the caches; gives the table."""
    found: dict[str, list[float]] = {label: [] for label in PAGES}
    with (
        running_valkey(folder) as redis_url,
        serving_full_inbox(redis_url, folder, TOKEN, batches) as url,
        running_browser() as browser,
    ):
        say("storing a large batch")
        _store_large(LocalStorage(folder / "outputs"), batches)
        page = browser.new_page(base_url=url)
        page.goto("/status")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}" if number else "warming up")
            for label, path in PAGES.items():
                paint_ms = _measure_paint_ms(page, path)
                if number:
                    found[label].append(paint_ms)
    rows = [_row(label, median(times)) for label, times in found.items()]
    yield draw((f"{batches:,} stored batches", "goal ms", "ms", ""), rows)


def _store_large(storage: LocalStorage, results: int) -> None:
    """As many results and requests; the last one has the key `last`, and one of 10,000 failed."""
    keys = [*(f"request-{number}" for number in range(1, results)), "last"]
    put_input(
        storage, b"\n".join(b'{"key":"%b","request":{}}' % key.encode() for key in keys), "large"
    )
    lines = (
        nasty.failure(key, 8) if number % FAILED_OF == 0 else nasty.answer(key, "word " * 100)
        for number, key in enumerate(keys, 1)
    )
    template = Template.parse("{batch}/all.jsonl")
    store(storage, b"\n".join(lines), results, template, batch_id="large")


def _measure_paint_ms(page: Page, path: str) -> float:
    """From the request to the first text that is seen."""
    page.goto(path)
    return float(eventually(lambda: page.evaluate(PAINT), 10, "the first paint"))


def _row(label: str, paint_ms: float) -> list[str]:
    return [label, f"<= {LIMIT_MS}", f"{paint_ms:.0f}", verdict(paint_ms, LIMIT_MS)]
