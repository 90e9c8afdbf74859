import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.cli.lazy_group import LazyGroup


def all_lazy(group: LazyGroup) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, target in group.lazy.items():
        found |= (
            all_lazy(target) if isinstance(target, LazyGroup) else {f"{group.name} {name}": target}
        )
    return found


TARGETS = all_lazy(main)
LISTING = ("batches", "inbox", "notices", "submissions", "webhooks")


@pytest.mark.parametrize("words", TARGETS)
def test_command_is_called_what_the_table_calls_it(words: str) -> None:
    module, _, attribute = TARGETS[words].partition(":")
    __import__(module)
    command = getattr(sys.modules[module], attribute)
    assert isinstance(command, click.Command)
    assert words.endswith(f" {command.name}")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("batch", ["batches"]),
        ("batch list", ["batches list"]),
        ("submit", ["batches submit"]),
        ("results abc", ["batches results"]),
        (
            "list",
            ["batches list", "inbox list", "notices list", "submissions list", "webhooks list"],
        ),
        ("batches lst", ["batches list"]),
        ("webhooks submit", ["batches submit"]),
        ("nonsense", []),
    ],
)
def test_unknown_command_names_what_may_be_meant(words: str, meant: list[str]) -> None:
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 2
    said = result.stderr.splitlines()[-1]
    assert said.startswith("Error: No such command ")
    assert re.findall(r"`gemini-batch-receiver ([a-z ]+)`", said) == meant


@pytest.mark.parametrize("arguments", [["--version"], ["batches", "--nonsense"], ["submit"]])
def test_start_loads_no_command(arguments: list[str]) -> None:
    code = (
        "import atexit, sys;"
        "from receiver.cli import main;"
        "packages = ('receiver.', 'workers.');"
        "ours = lambda: sorted(one for one in sys.modules if one.startswith(packages));"
        "atexit.register(lambda: print(*ours()));"
        f"main({arguments!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[-1] == "receiver.cli receiver.cli.lazy_group"


@pytest.mark.parametrize("module", ["inbox", "notices", "status"])
def test_command_that_only_asks_redis_does_not_wait_for_httpx(module: str) -> None:
    code = f"import sys, receiver.cli.{module}; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
