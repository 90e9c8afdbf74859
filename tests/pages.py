"""The pages that a user reads."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "receiver/README.md",
        "receiver/cli/README.md",
        "workers/README.md",
        "deploy/README.md",
        "deploy/MONITORING.md",
        "deploy/LOGS.md",
        "deploy/sandbox/README.md",
        "tests/README.md",
    )
]
DOCS = "\n".join(page.read_text() for page in PAGES)


LINK = re.compile(r"\[([^]]*)\]\(([^)#]*)(?:#([^)]*))?\)")


def without_links(text: str) -> str:
    """What a reader sees of a page."""
    return LINK.sub(r"\1", text)


def section(title: str) -> str:
    """The text below a heading such as `## Cost`, up to the next one of its level or above; no other page has it."""
    level = title.partition(" ")[0]
    found = [text.partition(f"\n{title}\n")[2] for text in (page.read_text() for page in PAGES)]
    (text,) = filter(None, found)
    return re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]
