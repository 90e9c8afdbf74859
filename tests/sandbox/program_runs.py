"""Programs of users, run against the sandbox in a folder of their own."""

import os
import subprocess
from pathlib import Path

from tests.programs import give_up, require

PROGRAMS = Path(__file__).with_name("client_programs")
NODE_MODULES = Path(__file__).parents[2] / ".node" / "node_modules"
KEY = "a-key"
TIMEOUT_S = 30

Ran = subprocess.CompletedProcess[str]


def environment(url: str) -> dict[str, str]:
    """What a user sets before running a program; the SDKs read the host from here."""
    direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    gemini = {"GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": "", "GOOGLE_GEMINI_BASE_URL": url}
    return {**os.environ, **direct, **gemini}


def run(argv: list[str], url: str, folder: Path) -> Ran:
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


def provide_node_modules(folder: Path) -> None:
    """Let modules in the folder import the SDK; skips where Node or the SDK is missing."""
    require("node")
    if not (NODE_MODULES / "@google" / "genai").is_dir():
        give_up("@google/genai", "npm install --prefix .node @google/genai@3")
    (folder / "node_modules").symlink_to(NODE_MODULES)
