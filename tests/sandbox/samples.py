"""The samples of Gemini's Batch API guide as scripts, run unchanged but for the host; see guide/README.md."""

import os
import subprocess
from pathlib import Path

GUIDE = Path(__file__).with_name("guide")
HOST = "https://generativelanguage.googleapis.com"
KEY = "a-key"
TIMEOUT_S = 30


def sample(name: str) -> str:
    """A sample by its name, such as `python/inline.py`."""
    return (GUIDE / name).read_text()


def environment(url: str) -> dict[str, str]:
    """What a user sets before running a sample; the SDKs read the host from here."""
    direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {
        **os.environ,
        **direct,
        "GEMINI_API_KEY": KEY,
        "GOOGLE_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": url,
    }


def run(argv: list[str], url: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program in the folder; its exit code is the test's to judge."""
    return subprocess.run(
        argv,
        cwd=folder,
        env=environment(url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def made_right(text: str, *changes: tuple[str, str]) -> str:
    """The sample with its mistakes corrected, each of which stands in it once."""
    for wrong, right in changes:
        assert text.count(wrong) == 1, wrong
        text = text.replace(wrong, right)
    return text
