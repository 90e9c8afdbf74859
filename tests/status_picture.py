"""Makes the docs' pictures of the status page, from a real run of the sandbox.

Run it as `python -m tests.status_picture`.
"""

import argparse
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect

from deploy.sandbox.processes import allocate_port
from deploy.sandbox.valkey import running_valkey
from receiver.storage import LocalStorage
from tests.acceptance.conftest import World
from tests.browsers import running_browser
from tests.pages import ROOT
from tests.running import answers, running_program, running_sandbox, set_faults, submit_file
from tests.waiting import eventually
from tests.workers.storing import put_input

FOLDER = ROOT / "receiver" / "status" / "pictures"
TOKEN = "token-of-the-picture"
WIDTHS: dict[str, ViewportSize] = {
    "wide": {"width": 1200, "height": 800},
    "phone": {"width": 390, "height": 844},
}
MAX_HEIGHT_PX = 1700
COLORS = 128
MIN_PROGRESS = 0.2
STORED = {"product captions": 600, "support tickets": 240, "translations (de)": 1200}
KEY = "kettle-042"
CAPTION = {
    "systemInstruction": {"parts": [{"text": "You write captions for a shop. Be brief."}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "A whistling kettle of enamelled steel, two litres, in mint green."}
            ],
        }
    ],
    "generationConfig": {
        "responseModalities": ["TEXT", "IMAGE"],
        "thinkingConfig": {"includeThoughts": True},
        "temperature": 0.4,
    },
}
FLAKY = 20  # one request of so many fails in the batch with errors


@dataclass(frozen=True)
class Picture:
    """One page in one window."""

    tab: str
    width: str  # of WIDTHS
    scheme: Literal["light", "dark"]

    @property
    def file(self) -> str:
        return f"{self.tab}-{self.width}-{self.scheme}.png"


FIRST = (Picture("first-run", "wide", "light"),)
PICTURES = (
    Picture("overview", "wide", "light"),
    Picture("overview", "wide", "dark"),
    Picture("overview", "phone", "light"),
    Picture("overview", "phone", "dark"),
    Picture("batches", "wide", "light"),
    Picture("batches", "phone", "dark"),
    Picture("batch", "wide", "dark"),
    Picture("batch", "phone", "light"),
    Picture("answer", "wide", "light"),
    Picture("answer", "phone", "dark"),
    Picture("system", "wide", "light"),
)


def requests_of(count: int, special: str = "") -> bytes:
    """An input file of so many requests; one of `FLAKY` has the marker `special` of the sandbox."""
    texts = [f"{special} Hello" if special and n % FLAKY == 0 else "Hello" for n in range(count)]
    rows = [
        {"key": f"request-{n}", "request": {"contents": [{"parts": [{"text": text}]}]}}
        for n, text in enumerate(texts)
    ]
    rows[0] = {"key": KEY, "request": CAPTION}
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """The sandbox, Valkey, the web process and two workers."""
    with ExitStack() as stack:
        quick = ("--pending", "0.05", "--running", "0.05", "--retry-base", "0.2")
        gemini_url = stack.enter_context(running_sandbox(folder, *quick))
        (folder / "valkey").mkdir()
        redis_url = stack.enter_context(running_valkey(folder / "valkey"))
        world = World(folder, gemini_url, redis_url, allocate_port())
        settings = world.settings | {"STATUS_TOKEN": TOKEN, "PUBLIC_URL": world.web_url}
        settings |= {"RECONCILE_INTERVAL_S": "60", "STATUS_ANSWERS": "true"}
        for name in ("serve", "worker", "worker"):
            stack.enter_context(running_program(folder, settings, name))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20, "the web process")
        yield world


def fill(world: World) -> dict[str, str]:
    """Three batches are stored, one of them with errors, and one is being downloaded.

    Gives the address of each tab.
    """
    batches = {}
    for name, count in STORED.items():
        special = "[sandbox:error 8]" if name == "support tickets" else ""
        requests = requests_of(count, special)
        batch = submit_file(world.gemini_url, requests, name)
        put_input(LocalStorage(world.outputs), requests, batch)  # as `batches submit` does
        manifest = world.outputs / batch.removeprefix("batches/") / "_manifest.json"
        eventually(manifest.exists, 60, name)
        batches[name] = batch
    set_faults(world.gemini_url, drip_downloads={"bytes_per_s": 30_000, "times": 1})
    submit_file(world.gemini_url, requests_of(4000), "nightly summaries")
    return {
        "overview": "/status",
        "batches": "/status/batches",
        "batch": f"/status/{batches['support tickets']}",
        "answer": f"/status/{batches['product captions']}/results/{KEY}",
        "system": "/status/system",
    }


@contextmanager
def window(browser: Browser, world: World, picture: Picture) -> Iterator[Page]:
    """A window in which somebody has logged in."""
    context = browser.new_context(
        base_url=world.web_url, color_scheme=picture.scheme, viewport=WIDTHS[picture.width]
    )
    page = context.new_page()
    page.goto("/status")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    yield page
    context.close()


def wait_for_download(page: Page) -> None:
    bar = page.locator("#running progress")
    expect(bar).to_be_visible(timeout=20_000)
    enough = MIN_PROGRESS * int(bar.get_attribute("max") or 0)
    eventually(lambda: int(bar.get_attribute("value") or 0) > enough, 30, "part of the download")


def photograph(page: Page, file: Path) -> None:
    """The page down to its end, or as much of it as a picture should have; in few colours."""
    height_px = page.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
    width_px = page.evaluate("innerWidth")
    clip = (0, 0, width_px, min(int(height_px), MAX_HEIGHT_PX))
    whole = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    shown = whole.crop(clip).convert("RGB")
    shown.quantize(COLORS, Image.Quantize.MAXCOVERAGE).save(file, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.status_picture", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    target: Path = parser.parse_args().folder
    target.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="gemini-batches-") as folder,
        running_world(Path(folder)) as world,
        running_browser() as browser,
    ):
        for picture in FIRST:
            with window(browser, world, picture) as page:
                expect(page.get_by_role("heading", level=1)).to_contain_text("first batch")
                photograph(page, target / picture.file)
        addresses = fill(world)
        for picture in PICTURES:
            with window(browser, world, picture) as page:
                if picture.tab == "overview":
                    wait_for_download(page)
                page.goto(addresses[picture.tab])
                photograph(page, target / picture.file)


if __name__ == "__main__":
    main()
