"""Which mutants of the Lua scripts live through the tests of the inbox and of its users."""

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.model.running import running_client
from tests.mutation.lua import Mutant, make_mutants
from tests.mutation.running import ROOT, copy_checkout, passes
from tests.mutation.survivors import Score, Survivor, read_excused
from tests.mutation.transcript import TranscriptPlayer, record

SCRIPTS = Path("receiver/inbox/lua")
INBOX = "tests/receiver/inbox"
ANY_SCRIPT = (f"{INBOX}/test_moments.py", f"{INBOX}/test_foreign_keys.py")
LEDGER = (
    *ANY_SCRIPT,
    f"{INBOX}/test_ledger.py",
    f"{INBOX}/test_ledgers.py",
    f"{INBOX}/test_outages.py",
    f"{INBOX}/test_queries.py",
)
NOTICES = (
    *ANY_SCRIPT,
    "tests/receiver/notices/test_queue.py",
    "tests/receiver/notices/test_outbox.py",
)
# The tests of a script, where they are not those of the ledger; all end within seconds.
KILLERS = {
    "prelude": (*LEDGER, *NOTICES),
    "count": ("tests/receiver/telemetry/metrics/test_counters.py",),
    "probe": (f"{INBOX}/test_redis_health_writes.py",),
    "find": (f"{INBOX}/test_finding.py",),
    **dict.fromkeys(("claim_notice", "settle_notice", "enqueue_notice"), NOTICES),
    **dict.fromkeys(("retry_notices", "purge_notices", "enqueue_overdue_notices"), NOTICES),
    "look_for_unattended_notices": NOTICES,
    **dict.fromkeys(
        ("acquire_reconcile_lock", "renew_reconcile_lock", "release_reconcile_lock"),
        (*ANY_SCRIPT, "tests/receiver/recovery/test_reconcile_lock.py"),
    ),
}
PYTEST = ("pytest", "-x", "-q", "-p", "no:cacheprovider")


def list_mutants() -> list[Mutant]:
    """Every mutant of every script."""
    paths = sorted((ROOT / SCRIPTS).glob("*.lua"))
    return [one for path in paths for one in make_mutants(path.stem, path.read_text())]


def killers_of(script: str) -> Sequence[str]:
    """The tests that are to kill what the model accepts."""
    return KILLERS.get(script, LEDGER)


@dataclass(frozen=True)
class Workspace:
    """Where one mutant at a time is tried."""

    copy: Path  # of the checkout
    player: TranscriptPlayer


@contextmanager
def workspaces(count: int) -> Iterator["queue.SimpleQueue[Workspace]"]:
    """So many for the length of a `with`."""
    free, transcript = queue.SimpleQueue[Workspace](), record()
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(running_client())
            free.put(
                Workspace(
                    stack.enter_context(copy_checkout()), TranscriptPlayer(client, transcript)
                )
            )
        yield free


def run_lua(mutants: Sequence[Mutant], jobs: int, report: Callable[[str], None]) -> Score:
    """Try mutants: first against the model, then against the tests.

    Raises RuntimeError where the tests fail without any.
    """
    killed, survivors = list[Survivor](), list[Survivor]()
    with workspaces(jobs) as free, ThreadPoolExecutor(jobs) as pool:
        scripts = {killers_of(one.script): one.script for one in mutants}
        if not all(pool.map(lambda script: _lives(free, script, None), scripts.values())):
            raise RuntimeError("the tests fail without any mutant")
        alive = pool.map(lambda one: _lives(free, one.script, one.text), mutants)
        for number, (mutant, is_alive) in enumerate(zip(mutants, alive, strict=True), 1):
            found = Survivor(f"{mutant.script}.lua", mutant.change)
            (survivors if is_alive else killed).append(found)
            if is_alive:
                report(f"lives: {mutant.script}.lua:{mutant.line}\n{mutant.change}")
            if number % 50 == 0:
                report(f"{number} of {len(mutants)}")
    return Score(killed, survivors, read_excused())


def _lives(free: "queue.SimpleQueue[Workspace]", script: str, text: str | None) -> bool:
    """Whether a script with this text passes everything; None: as it is."""
    original = (ROOT / SCRIPTS / f"{script}.lua").read_text()
    own = free.get()
    path = own.copy / SCRIPTS / f"{script}.lua"
    try:
        path.write_text(text or original)
        return own.player.accepts(script, text or original) and passes(
            own.copy, *PYTEST, *killers_of(script)
        )
    finally:
        path.write_text(original)
        free.put(own)
