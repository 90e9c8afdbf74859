"""Programs of users, run against the sandbox in a folder of their own."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

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
    require("node", "nodejs")
    if not (NODE_MODULES / "@google" / "genai").is_dir():
        give_up("@google/genai", "npm install --prefix .node @google/genai@3")
    (folder / "node_modules").symlink_to(NODE_MODULES)


class Ended(NamedTuple):
    code: int
    output: str
    errors: str

    @property
    def printed(self) -> str:
        """The output of a program that went well, without its last line feed."""
        assert self.code == 0, self.errors
        return self.output.removesuffix("\n")


class Program(Protocol):
    """Runs one of our programs by its name; `url` is Gemini's where that is not the sandbox."""

    def __call__(self, name: str, *arguments: str, url: str = "") -> Ended: ...


def in_a_process(command: str, ending: str, url: str, folder: Path) -> Program:
    """Programs that `command` runs, each copied to the folder and run there."""

    def run_program(name: str, *arguments: str, url: str = url) -> Ended:
        file = f"{name}{ending}"
        shutil.copy(next(PROGRAMS.glob(f"*/{file}")), folder)
        ran = run([command, file, *arguments], url, folder)
        return Ended(ran.returncode, ran.stdout, ran.stderr)

    return run_program


def in_this_process(
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Program:
    """Python programs, run where the SDK is imported already: that takes longer than they do."""

    def run_program(name: str, *arguments: str, url: str = url) -> Ended:
        path = PROGRAMS / "python" / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [path.name, *arguments])
        for variable, value in environment(url).items():
            monkeypatch.setenv(variable, value)
        code, last_words = 0, ""
        try:
            runpy.run_path(str(path), run_name="__main__")
        except (Exception, SystemExit) as end:  # noqa: BLE001 - its own process would end with 1
            code, last_words = 1, f"{end}\n"
        shown = capsys.readouterr()
        return Ended(code, shown.out, shown.err + last_words)

    return run_program
