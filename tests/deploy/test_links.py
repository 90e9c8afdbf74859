"""Links between the pages lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.pages import LINK, PAGES, ROOT

PICTURE = re.compile(r"!\[([^]]*)\]\(([^)]*)\)")
FOLDERS = [ROOT / name for name in ("receiver", "workers", "deploy", "tests")]
LINKED = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The headings as GitHub names them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for _, path, anchor in LINK.findall(page.read_text()):
        if path.startswith(("http:", "https:")):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_pictures_are_small_and_described() -> None:
    shown = [(page, *link) for page in PAGES for link in PICTURE.findall(page.read_text())]
    assert shown
    for page, said, path in shown:
        assert said
        assert (page.parent / path).stat().st_size <= 150_000


def test_page_one_leads_to_the_pages() -> None:
    paths = {path for _, path, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert paths >= {str(page.relative_to(ROOT)) for page in PAGES[1:]} | {
        "deploy/THREATS.md",
        "CHANGELOG.md",
    }
