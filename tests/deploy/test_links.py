"""Links between the pages lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.deploy.reading import DEPLOY, ROOT

PAGES = [ROOT / "README.md", DEPLOY / "README.md", DEPLOY / "THREATS.md", DEPLOY / "LICENSES.md"]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def anchors(page: Path) -> set[str]:
    """The headings as GitHub names them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_readme_leads_to_the_pages() -> None:
    paths = {path for path, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert {"deploy/README.md", "deploy/THREATS.md"} <= paths
