"""What a browser finds wrong with a page."""

from importlib import resources

from playwright.sync_api import Page


def faults_of(page: Page) -> list[str]:
    """What axe finds wrong: labels, contrast, headings, tables, landmarks."""
    source = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
    page.evaluate(source)
    found = page.evaluate("() => axe.run()")
    return [
        f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}"
        for one in found["violations"]
    ]


def overflow_px(page: Page) -> int:
    """How much wider the page is than its window."""
    width: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return width
