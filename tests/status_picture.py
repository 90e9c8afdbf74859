"""Makes the docs' picture of the status page, from a real run of the sandbox.

Run it as `python -m tests.status_picture`.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from deploy.sandbox.processes import allocate_port
from deploy.sandbox.valkey import running_valkey
from tests.acceptance.conftest import World
from tests.browsers import running_browser
from tests.pages import ROOT
from tests.running import answers, running_program, running_sandbox, set_faults, submit_file
from tests.waiting import eventually

PICTURE = ROOT / "receiver" / "status" / "status-page.png"
TOKEN = "token-of-the-picture"
WIDTH_PX, MARGIN_PX = 1200, 24
MIN_PROGRESS = 0.3
STORED = {"product captions": 600, "support tickets": 240, "translations (de)": 1200}
FLAKY = 20  # one request of so many fails in the batch with errors


def requests_of(count: int, special: str = "") -> bytes:
    """An input file of so many requests; one of `FLAKY` has the marker `special` of the sandbox."""
    texts = [f"{special} Hello" if special and n % FLAKY == 0 else "Hello" for n in range(count)]
    rows = [
        {"key": f"request-{n}", "request": {"contents": [{"parts": [{"text": text}]}]}}
        for n, text in enumerate(texts)
    ]
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
        settings |= {"RECONCILE_INTERVAL_S": "60"}
        for name in ("serve", "worker", "worker"):
            stack.enter_context(running_program(folder, settings, name))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20, "the web process")
        yield world


def fill(world: World) -> None:
    """Three batches are stored, one of them with errors, and one is being downloaded."""
    for name, count in STORED.items():
        special = "[sandbox:error 8]" if name == "support tickets" else ""
        batch = submit_file(world.gemini_url, requests_of(count, special), name)
        manifest = world.outputs / batch.removeprefix("batches/") / "_manifest.json"
        eventually(manifest.exists, 60, name)
    set_faults(world.gemini_url, drip_downloads={"bytes_per_s": 60_000, "times": 1})
    submit_file(world.gemini_url, requests_of(4000), "nightly summaries")


def photograph(page: Page, world: World, picture: Path) -> None:
    """The page down to the end of the stored batches, once the download is well under way."""
    page.goto(f"{world.web_url}/status")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    bar = page.locator("#running progress")
    expect(bar).to_be_visible(timeout=20_000)
    enough = MIN_PROGRESS * int(bar.get_attribute("max") or 0)
    eventually(lambda: int(bar.get_attribute("value") or 0) > enough, 30, "a third of the download")
    box = page.locator("#stored").bounding_box()
    if box is None:
        raise RuntimeError("the page shows no stored batches")
    height_px = box["y"] + box["height"] + MARGIN_PX
    clip: Any = {"x": 0, "y": 0, "width": WIDTH_PX, "height": height_px}
    page.screenshot(path=picture, full_page=True, clip=clip)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.status_picture", description=__doc__)
    parser.add_argument("picture", nargs="?", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="gemini-batches-") as folder,
        running_world(Path(folder)) as world,
        running_browser() as browser,
    ):
        fill(world)
        photograph(
            browser.new_page(viewport={"width": WIDTH_PX, "height": 800}), world, arguments.picture
        )


if __name__ == "__main__":
    main()
